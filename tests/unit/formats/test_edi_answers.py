"""Acknowledgements: what they say of good, wrong and repeated interchanges, and that they are well-formed themselves."""

import io
from datetime import UTC, datetime

import pytest

from tests.unit.formats.edi_making import invrpt, lines, x12
from transforms.formats import edi_x12, edifact
from transforms.formats.edi_answers import answers
from transforms.formats.edi_options import EdifactOptions, X12Options
from transforms.formats.edi_report import Report

AT, SHA256 = datetime(2026, 11, 24, 13, 5, tzinfo=UTC), "0123456789abcdef" * 4


def report_of(content: bytes, **options) -> Report:
    return edi_x12.examine(lambda: io.BytesIO(content), X12Options(**options))


def segments(content: bytes, kind="997", *, repeated=False, **options) -> list[str]:
    (answer,) = answers(report_of(content, **options), kind, SHA256, AT, repeated=repeated)
    return answer.content.decode().replace("\n", "").split("~")[:-1]


def contrl(content: bytes, *, repeated=False) -> list[str]:
    report = edifact.examine(lambda: io.BytesIO(content), EdifactOptions())
    (answer,) = answers(report, "contrl", SHA256, AT, repeated=repeated)
    return answer.content.decode().removeprefix("UNA:+.? '").replace("\n", "").split("'")[:-1]


def test_a_good_846_is_answered_with_ta1_and_997_accepted():
    assert segments(x12(*lines(2))) == [
        "ISA*00*          *00*          *ZZ*BUYER          *ZZ*SUPPLIER       *261123*1253*U*00401*000000905*0*P*>",
        "TA1*000000905*261123*1253*A*000",
        "GS*FA*BUYER*SUPPLIER*20261123*1253*905*X*004010",
        "ST*997*0001",
        "AK1*IB*1",
        "AK2*846*0001",
        "AK5*A",
        "AK9*A*1*1*1",
        "SE*6*0001",
        "GE*1*905",
        "IEA*1*000000905",
    ]


def test_the_999_names_its_guide():
    told = segments(x12(*lines(1)), "999")
    assert "ST*999*0001*005010X231A1" in told
    assert "IK5*A" in told
    assert "AK1*IB*1*004010" in told


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ((b"SE*6*0001", b"SE*9*0001"), ["AK5*R*4", "AK9*R*1*1*0"]),
        ((b"SE*6*0001", b"SE*6*0002"), ["AK5*R*3", "AK9*R*1*1*0"]),
        ((b"BIA*00*DD*STK1*20261123*1253~", b""), ["AK3*BIA*2**3", "AK5*R*4*5"]),
        ((b"GE*1*1", b"GE*2*1"), ["AK5*A", "AK9*R*2*1*0*5"]),
        ((b"GE*1*1", b"GE*1*9"), ["AK9*R*1*1*0*4"]),
        ((b"GE*1*1~", b""), ["TA1*000000905*261123*1253*A*000", "AK9*R*1*1*0*3"]),
        ((b"QTY*33*1*EA", b"Q1#*33*1*EA"), ["AK3*Q1#*4**1", "AK5*R*5"]),
        ((b"IEA*1", b"IEA*2"), ["TA1*000000905*261123*1253*R*021", "IEA*0*000000905"]),
        ((b"IEA*1*000000905", b"IEA*1*000000906"), ["TA1*000000905*261123*1253*R*001"]),
        ((b"IEA*1*000000905~", b""), ["TA1*000000905*261123*1253*R*023"]),
        ((b"SUPPLIER       *ZZ", b"SUPPLIER*ZZ"), ["TA1*000000905*261123*1253*R*006"]),
    ],
)
def test_each_fault_has_the_code_of_the_standard(change, wanted):
    told = segments(x12(*lines(1), "REF*IO*W1").replace(*change))
    assert [one for one in wanted if one not in told] == [], told


def test_a_tolerated_count_is_accepted_with_an_error():
    told = segments(x12(*lines(1), said=9), tolerate=("SE01",))
    assert "AK5*E*4" in told
    assert "AK9*E*1*1*1" in told


def test_a_replayed_interchange_is_refused_as_a_duplicate():
    assert segments(x12(*lines(1)), repeated=True)[1:] == ["TA1*000000905*261123*1253*R*025", "IEA*0*000000905"]


def test_the_second_of_two_equal_control_numbers_is_a_duplicate():
    both = [a.content.decode() for a in answers(report_of(x12(*lines(1)) * 2), "997", SHA256, AT)]
    assert "*A*000~" in both[0]
    assert "*R*025~" in both[1]


def test_no_acknowledgement_is_acknowledged():
    for kind in ("997", "999"):
        assert answers(report_of(x12(kind=kind).replace(b"GS*IB", b"GS*FA")), "997", SHA256, AT) == []


def test_what_answers_is_itself_a_right_interchange():
    (answer,) = answers(report_of(x12(*lines(1), said=9)), "997", SHA256, AT)
    assert report_of(answer.content).faults == []


def test_a_good_invrpt_is_answered_with_contrl():
    assert contrl(invrpt("LIN+1++4006381333931:EN", "QTY+145:10:PCE")) == [
        "UNB+UNOC:3+BUYER:14+SUPPLIER:14+261123:1253+905",
        "UNH+1+CONTRL:D:3:UN",
        "UCI+905+SUPPLIER:14+BUYER:14+7",
        "UNT+3+1",
        "UNZ+1+905",
    ]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ((b"UNT+6+1", b"UNT+50+1"), "UCM+1+INVRPT:D:96A:UN:EAN004+4+29+UNT"),
        ((b"UNT+6+1", b"UNT+6+2"), "UCM+1+INVRPT:D:96A:UN:EAN004+4+28+UNT"),
        ((b"BGM+35", b"BGM+73"), "UCM+1+INVRPT:D:96A:UN:EAN004+4+12+BGM"),
        ((b"UNZ+1+905", b"UNZ+2+905"), "UCI+905+SUPPLIER:14+BUYER:14+4+29"),
        ((b"UNZ+1+905", b"UNZ+1+906"), "UCI+905+SUPPLIER:14+BUYER:14+4+28"),
        ((b"UNZ+1+905'", b""), "UCI+905+SUPPLIER:14+BUYER:14+4+13"),
    ],
)
def test_each_fault_of_an_edifact_file_has_its_0085(change, wanted):
    assert wanted in contrl(invrpt("LIN+1++4006381333931:EN", "QTY+145:10:PCE").replace(*change))


def test_a_contrl_is_not_answered_and_a_replayed_one_is_refused():
    report = edifact.examine(lambda: io.BytesIO(invrpt("UCI+1+A+B+8", kind="CONTRL:D:3:UN")), EdifactOptions())
    assert answers(report, "contrl", SHA256, AT) == []
    assert "UCI+905+SUPPLIER:14+BUYER:14+4+26" in contrl(invrpt("LIN+1++4006381333931:EN"), repeated=True)


def test_an_answer_has_a_name_number_and_time_of_its_interchange_and_tells_two_files_apart():
    content = x12(*lines(1)) + x12(*lines(1), control=906)
    found = answers(report_of(content), "997", SHA256, AT)
    assert [answer.name for answer in found] == ["SUPPLIER-000000905-997-01234567-1.x12", "SUPPLIER-000000906-997-01234567-2.x12"]
    assert answers(report_of(content), "997", SHA256, datetime(2027, 1, 1, tzinfo=UTC)) == found
    assert answers(report_of(content), "997", "f" * 64, AT)[0].name != found[0].name
    report = edifact.examine(lambda: io.BytesIO(invrpt("LIN+1++A:SA", control="A/../b")), EdifactOptions())
    assert [answer.name for answer in answers(report, "contrl", SHA256, AT)] == ["SUPPLIER-A____b-contrl-01234567-1.edi"]


def test_a_file_of_many_interchanges_gets_an_answer_for_each():
    content = b"".join(x12(*lines(1), control=number) for number in range(1, 251))
    assert len({answer.name for answer in answers(report_of(content), "997", SHA256, AT)}) == 250


def test_a_date_that_is_none_is_replaced_by_when_the_delivery_ended():
    for wrong in (b"269923*1253", b"26112\xc2\xb2*1253", b"      *1253"):
        told = segments(x12(*lines(1)).replace(b"261123*1253", wrong, 1), tolerate=("ISA-WIDTH",))
        assert told[0].split("*")[9:11] == ["261124", "1305"]
        assert report_of("~".join([*told, ""]).encode()).faults == []
