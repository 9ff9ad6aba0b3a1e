"""The EDI readers on small messages: what a row is, which quantity counts, where stock lies, and what is refused."""

import io
import time
import tracemalloc

import pytest
from pydantic import ValidationError

from schemas.errors import DeliveryError
from tests.unit.formats.edi_making import invrpt, lines, x12
from transforms.formats import edi_x12, edifact
from transforms.formats.edi_options import HEADER, EdifactOptions, X12Options


def rows(content: bytes, *columns: str, **options):
    module, model = (edi_x12, X12Options) if b"ISA" in content[:10] else (edifact, EdifactOptions)
    batches = list(module.read(lambda: io.BytesIO(content), model(**options)))
    places = [f"c{HEADER.index(name)}" for name in columns]
    return [row for batch in batches for row in batch.frame.select(places).rows()]


def refusal(content: bytes, **options) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        rows(content, "supplier_sku", **options)
    return caught.value


def test_pairs_of_lin_come_in_any_order():
    content = x12("LIN**UP*4006381333931*BP*B1*VP*A1", "QTY*33*1", "LIN*7*VP*A2*UP*4006381333931", "QTY*33*2")
    found = rows(content, "supplier_sku", "gtin", "buyer_sku")
    assert found == [("A1", "4006381333931", "B1"), ("A2", "4006381333931", "")]


def test_sdq_splits_the_quantity_and_is_never_added_to_it():
    content = x12("LIN**VP*A", "QTY*33*5*EA", "SDQ*EA*92*W1*2*W2*3")
    assert rows(content, "location", "available") == [("W1", "2"), ("W2", "3")]
    assert rows(content, "location", "available", splits="total") == [("", "5")]


def test_sch_is_future_supply_unless_it_names_a_place():
    content = x12("LIN**VP*A", "QTY*33*5*EA", "SCH*9*EA***018*20261201")
    assert rows(content, "available", "next_available_on") == [("5", "20261201")]


def test_a_loop_of_warehouses_gives_a_row_for_each():
    content = x12("LIN**VP*A", "LS*9", "REF*WS*W1", "QTY*33*1", "REF*WS*W2", "QTY*33*2", "LE*9")
    assert rows(content, "location", "available") == [("W1", "1"), ("W2", "2")]


def test_two_quantities_of_one_kind_reject_the_line_and_are_not_added():
    batch = list(edi_x12.read(lambda: io.BytesIO(x12("LIN**VP*A", "QTY*33*5", "QTY*34*6")), X12Options()))[-1]
    assert batch.frame.height == 0
    assert [r.code for r in batch.rejections] == ["EDI-QTY-TWICE"]
    assert batch.rows_read == 1


def test_on_hand_beside_available_is_another_column():
    content = x12("LIN**VP*A", "QTY*33*5", "QTY*17*9", "QTY*63*4", "QTY*20*1")
    assert rows(content, "available", "on_hand", "on_order") == [("5", "9", "4")]


@pytest.mark.parametrize("count", [1, 40])
def test_a_quantity_code_that_nobody_declared_is_told(count):
    x = x12(*(part for n in range(count) for part in (f"LIN**VP*A{n}", f"QTY*QA*{n}", "QTY*QS*1")))
    e = invrpt(*(part for n in range(count) for part in (f"LIN+{n}++A{n}:SA", f"QTY+QA:{n}", "QTY+QS:1")))
    for content, module, model in ((x, edi_x12, X12Options), (e, edifact, EdifactOptions)):
        options = model(quantities={"QS": "unmapped"})
        told = [note for batch in module.read(lambda content=content: io.BytesIO(content), options) for note in batch.notes]
        assert told == ["quantity code 'QA' is not declared in [feed.format.quantities]: never stock"]


def test_several_groups_and_sets_are_read():
    one = x12(*lines(2)).decode()
    start, end = one.index("GS*"), one.index("IEA")
    second = one[start:end].replace("*1*X*", "*2*X*").replace("GE*1*1", "GE*1*2").replace("AB-", "CD-")
    both = one[:end] + second + one[end:].replace("IEA*1", "IEA*2")
    assert [sku for (sku,) in rows(both.encode(), "supplier_sku")] == ["AB-00001", "AB-00002", "CD-00001", "CD-00002"]


def test_the_same_message_in_other_clothes_is_the_same():
    plain = x12(*lines(5), "CTT*5*15")
    expected = rows(plain, *HEADER)
    for other in (
        b"\xef\xbb\xbf" + plain,
        plain.replace(b"~", b"~\r\n"),
        plain.replace(b"~", b"~\n    "),
        plain.replace(b"~", b"~\n~\n"),
        plain.replace(b"*", b"\x1d").replace(b"~", b"\x1c"),
        plain.replace(b"~", b"\n"),
    ):
        assert rows(other, *HEADER) == expected


@pytest.mark.parametrize("size", [1, 3, 17, 200])
def test_where_a_block_ends_makes_no_difference(size):
    for content in (x12(*lines(40)), invrpt(*(f for n in range(40) for f in (f"LIN+{n}++A??{n}?+:SA", f"QTY+145:{n}")))):
        assert rows(content, *HEADER, block_bytes=size) == rows(content, *HEADER)


@pytest.mark.parametrize("left", [2, 20, 40, 100])
def test_a_cut_file_is_refused_whatever_is_tolerated(left):
    content = x12(*lines(9))
    error = refusal(content[:-left], tolerate=("SE01", "CTT01", "ISA-WIDTH", "GS01"))
    assert error.code in {"FILE-TRUNCATED", "EDI-ENVELOPE"}


def test_the_remedy_names_what_a_feed_may_tolerate_where_that_is_all():
    wrong = x12(*lines(1), "CTT*9", said=99)
    offer = "Where it is a habit of theirs, add {} to the feed's `tolerate`."
    assert refusal(wrong).hint.endswith(offer.format('"CTT01", "SE01"'))
    assert refusal(wrong, tolerate=("CTT01",)).hint.endswith(offer.format('"SE01"'))
    assert refusal(wrong.replace(b"GS*IB", b"GS*IQ"), tolerate=("CTT01", "SE01")).hint.endswith(offer.format('"GS01"'))
    for content in (wrong.replace(b"IEA*1", b"IEA*2"), wrong[:-20]):
        assert "tolerate" not in refusal(content).hint


def test_an_unpadded_isa_is_refused_or_tolerated():
    content = x12(*lines(1)).replace(b"SUPPLIER       ", b"SUPPLIER")
    assert refusal(content).column == "ISA06"
    assert '"ISA-WIDTH"' in refusal(content).hint
    assert rows(content, "supplier_sku", tolerate=("ISA-WIDTH",)) == [("AB-00001",)]


def test_a_released_separator_is_data():
    content = invrpt("LIN+1++A?'B?+C?:D??:SA", "QTY+145:3")
    assert rows(content, "supplier_sku") == [("A'B+C:D?",)]


def test_separators_and_decimal_mark_are_those_of_una():
    content = invrpt("LIN+1++A:SA", "QTY+145:3,5", una="UNA:+,? '").replace(b"'", b"~").replace(b"+", b"|").replace(b":", b"^")
    assert rows(content, "supplier_sku", "on_hand") == [("A", "3.5")]


def test_a_movement_is_no_balance_and_the_last_balance_counts():
    content = invrpt("LIN+1++A:SA", "INV+2++1", "QTY+156:1000", "QTY+145:3000", "INV+1++11", "QTY+156:200", "QTY+145:2800")
    assert rows(content, "on_hand") == [("2800",)]


def test_parts_at_places_are_not_added_to_the_whole():
    content = invrpt("LIN+1++A:SA", "QTY+145:300", "QTY+145:200", "LOC+14+W1", "QTY+145:100", "LOC+14+W2")
    assert rows(content, "location", "on_hand") == [("W1", "200"), ("W2", "100")]


def test_33_is_available_in_x12_and_nothing_in_edifact():
    assert rows(x12("LIN**VP*A", "QTY*33*4"), "available", "on_hand") == [("4", "")]
    assert rows(invrpt("LIN+1++A:SA", "QTY+33:4"), "available", "on_hand") == [("", "")]


def test_latin_1_is_read_where_unb_names_it():
    assert rows(invrpt("LIN+1++Ä1:SA", "QTY+145:4"), "supplier_sku") == [("Ä1",)]


@pytest.mark.parametrize("digits", [400, 5_000])
def test_a_number_of_any_length_is_no_count_and_no_crash(digits):
    long = "9" * digits
    assert rows(x12("LIN**VP*A", f"QTY*33*{long}", "LIN**VP*B", "QTY*33*1", f"CTT*2*{long}"), "available") == [(long,), ("1",)]
    for content, code in (
        (x12("LIN**VP*A", "QTY*33*1", said=long), "EDI-ENVELOPE"),
        (x12("LIN**VP*A", "QTY*33*1", f"CTT*{long}"), "EDI-SEGMENT"),
        (x12("LIN**VP*A", "QTY*33*1").replace(b"GE*1", b"GE*" + long.encode()), "EDI-ENVELOPE"),
        (invrpt("LIN+1++A:SA", "QTY+145:1", said=long), "EDI-ENVELOPE"),
        (invrpt("LIN+1++A:SA", "QTY+145:1", f"CNT+2:{long}"), "EDI-SEGMENT"),
    ):
        assert refusal(content).code == code


def test_a_hash_total_of_decimals_is_exact():
    body = ("LIN**VP*A", "QTY*33*0.1", "LIN**VP*B", "QTY*33*0.2")
    batch = list(edi_x12.read(lambda: io.BytesIO(x12(*body, "CTT*2*0.3")), X12Options()))[-1]
    assert batch.notes == ()


@pytest.mark.parametrize(
    ("module", "options", "one"),
    [(edi_x12, X12Options(), x12(*lines(1))), (edifact, EdifactOptions(), invrpt("LIN+1++A:SA", "QTY+145:1"))],
)
def test_a_file_of_many_small_interchanges_takes_no_longer_for_each(module, options, one):
    def seconds(count: int) -> float:
        """The least of three: a core that two programs share counts more seconds for each."""
        content = b"".join(one.replace(b"905", b"%03d" % (number % 1000)) for number in range(count))
        taken = []
        for _ in range(3):
            began = time.process_time()
            module.examine(lambda: io.BytesIO(content), options)
            taken.append(time.process_time() - began)
        return min(taken)

    seconds(10)
    assert seconds(4_000) < 24 * seconds(500)


def test_a_block_that_ends_inside_a_character_is_no_end():
    content = x12("LIN**VP*Ä€1", "QTY*33*1", *lines(20))
    assert rows(content, *HEADER, block_bytes=1) == rows(content, *HEADER)


def test_a_wrong_table_of_quantities_is_a_mistake_of_the_feed():
    with pytest.raises(ValidationError):
        X12Options(quantities={"33": "plenty"})


def test_memory_does_not_grow_with_the_message():
    def peak(count: int) -> int:
        content = x12(*lines(count))
        tracemalloc.start()
        for _ in edi_x12.read(lambda: io.BytesIO(content), X12Options(batch_rows=500, block_bytes=65_536)):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(40_000) < 1.5 * peak(20_000)
