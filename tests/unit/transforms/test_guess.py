import tomllib

import pytest

from schemas.feed_config import SupplierFile
from transforms.guess import NOTHING, guess_config
from transforms.guess_cells import cells
from transforms.guess_header import guess_header
from transforms.guess_names import meaning
from transforms.guess_text import guess_text
from transforms.guess_toml import as_toml

NORDWIND = """Nordwind Handel GmbH
Artikel;Bestand;Wieder da;EAN;EK-Preis
00471;1.250;;4006381333931;12,50
A-100;10+;;;3,99
A-101;auf Anfrage;24.12.2026;;1.204,00
A-102;ausverkauft;;4006381333931;7,10
Summe;1.260;;;
"""


def numbered(text, delimiter=";"):
    return [(at, tuple(line.split(delimiter))) for at, line in enumerate(text.splitlines(), 1)]


def guessed(text, delimiter=";", **options):
    guesses = guess_config("acme", [], numbered(text, delimiter), workbook=False, whole=True, **options)
    return {guess.key: guess for guess in guesses}


def test_a_file_with_a_title_a_total_and_german_names_is_understood():
    found = guessed(NORDWIND)
    assert {
        key: found[key].value for key in found if key.startswith(("feed.columns", "feed.format", "feed.decimal", "feed.tho"))
    } == {
        "feed.decimal": ",",
        "feed.thousands": ".",
        "feed.format.header_row": 2,
        "feed.format.footer": found["feed.format.footer"].value,
        "feed.columns.supplier_sku": "Artikel",
        "feed.columns.on_hand": "Bestand",
        "feed.columns.next_available_on": {"column": "Wieder da", "formats": "%d.%m.%Y"},
        "feed.columns.gtin": "EAN",
        "feed.columns.unit_cost": {"column": "EK-Preis", "kind": "EK-Preis"},
    }
    assert "Summe" in found["feed.format.footer"].evidence


def test_what_no_file_tells_is_for_a_person_and_offers_least_until_then():
    found = guessed(NORDWIND)
    open_keys = {key: guess.value for key, guess in found.items() if guess.confidence == "decide"}
    assert open_keys["feed.timezone"] == "UTC"
    assert open_keys["feed.quantities"] == "gross"
    assert open_keys["feed.stale_after"] == "24h"


def test_a_word_is_unknown_unless_it_says_none_or_holds_a_number():
    assert guessed(NORDWIND)["feed.words"].value == {"{n}+": "{n}", "auf Anfrage": "unknown", "ausverkauft": 0}


def test_a_file_without_a_quantity_gets_a_placeholder_and_not_the_next_best_column():
    found = guessed("SKU,Price,Weight\nA,1.50,12\nB,2.50,13\n", ",")
    assert found["feed.columns.on_hand"].value == NOTHING
    assert found["feed.columns.on_hand"].confidence == "decide"


def test_columns_with_one_quantity_name_and_a_place_are_warehouses():
    found = guessed("SKU,Stock Berlin,Stock Paris\nA,1,2\nB,3,\n", ",")
    assert found["feed.wide.columns"].value == {"berlin": "Stock Berlin", "paris": "Stock Paris"}
    assert "feed.columns.on_hand" not in found


def test_a_file_without_a_header_is_read_by_position():
    found = guessed("A-1;4006381333931;17\nA-2;4006381333931;3\nA-3;;5\n")
    assert found["feed.format.header"].value is False
    assert found["feed.columns.supplier_sku"].value == "#1"
    assert found["feed.columns.gtin"].value == "#2"
    assert found["feed.columns.on_hand"].value == "#3"


def test_a_number_with_two_readings_leaves_the_mark_to_a_person():
    found = guessed("SKU;Stock\nA;1.250\nB;7\n")
    assert found["feed.decimal"].value is None
    assert "'1.250' has two readings" in found["feed.decimal"].evidence


@pytest.mark.parametrize("price", ["12.50", "1,204.00"])
def test_the_mark_of_one_column_does_not_decide_a_number_with_two_readings_in_another(price):
    found = guessed(f"SKU;Stock;Price\nA;1.250;{price}\nB;7;3.99\n")
    assert found["feed.decimal"].value is None
    assert found["feed.decimal"].confidence == "unsure"
    assert "'1.250' has two readings" in found["feed.decimal"].evidence
    assert "feed.thousands" not in found


def test_a_mark_that_settles_a_number_with_two_readings_in_its_own_column_is_unsure():
    decimal = guessed("SKU;Stock\nA;1.250\nB;12.5\n")["feed.decimal"]
    assert (decimal.value, decimal.confidence) == (".", "unsure")
    assert "so '1.250' is no thousands" in decimal.evidence
    assert guessed("SKU;Stock\nA;1,250\nB;12.5\n")["feed.decimal"].confidence == "sure"  # 1,250 is rejected, not read


def test_a_text_with_two_readings_in_a_workbook_leaves_the_mark_to_a_person():
    guesses = guess_config("acme", [], numbered("SKU;Stock\nA;1.250\nB;7\n"), workbook=True, whole=True)
    (decimal,) = [guess for guess in guesses if guess.key == "feed.decimal"]
    assert (decimal.value, decimal.confidence) == (None, "unsure")


@pytest.mark.parametrize(
    "names",
    [
        "Jan;Feb;Mar",
        "2026-01;2026-02;2026-03",
        "W01;W02;W03",
        "Q1 2026;Q2 2026;Year",
        "M\u00e4rz;April;Mai 26",
        "01/2026;02/2026;x",
    ],
)
def test_columns_named_as_months_weeks_or_years_are_a_plan_and_no_places_with_stock(names):
    found = guessed(f"SKU;{names}\nA;1;2;3\nB;4;5;6\n")
    assert "feed.wide.columns" not in found
    assert (found["feed.columns.on_hand"].value, found["feed.columns.on_hand"].confidence) == ("?", "decide")
    assert guessed("SKU;Mars Rd;Augsburg;Marseille\nA;1;2;3\nB;4;5;6\n")["feed.wide.columns"].confidence == "unsure"


def test_columns_named_as_in_the_database_of_an_sap_system_are_known():
    found = guessed("MATNR|WERKS|LABST|MEINS\n000000000000012345|1000|12|ST\n000000000000012346|1000|7|ST\n".replace("|", ";"))
    named = {key: found[f"feed.columns.{key}"].value for key in ("supplier_sku", "location", "on_hand", "unit")}
    assert named == {"supplier_sku": "MATNR", "location": "WERKS", "on_hand": "LABST", "unit": "MEINS"}


def test_a_total_at_the_end_is_no_footer_where_products_are_called_so_too():
    rows = "Name;SKU;Stock\nTotal Repair;1;5\nSum Up;2;6\nOil;3;7\nOil 2;4;7\n"
    assert "feed.format.footer" not in guessed(rows + "Total;;25\n")
    assert guessed(rows.replace("Total R", "R").replace("Sum U", "U") + "Total;;25\n")["feed.format.footer"].confidence == "unsure"


def test_words_that_the_configuration_takes_for_one_are_guessed_once():
    found = guessed("SKU;Stock\nA;stra\u00dfe\nB;STRASSE\nC;5\nD;6\nE;7\n")
    assert len(found["feed.words"].value) == 1


@pytest.mark.parametrize("line", ["sep=\t\n", '"sep=;"\r\n', "sep=~\n"])
def test_a_delimiter_that_the_first_line_states_is_taken_as_the_reader_takes_it(line):
    mark = line.strip('"\r\n')[4]
    text = guess_text(f"{line}SKU{mark}Qty,x\nA{mark}5,6\n".encode(), whole=True)
    assert text.delimiter == mark
    assert [cells for _, cells in text.rows] == [("SKU", "Qty,x"), ("A", "5,6")]


@pytest.mark.parametrize("codec", ["utf-16", "utf-32", "utf-8-sig", "utf-8"])
@pytest.mark.parametrize("end", ["\n", "\r"])
def test_a_sample_that_ends_inside_a_character_is_guessed_as_the_whole_file_is(codec, end):
    text = f"SKU;Qty{end}" + f"\U0001f529-1;5{end}" * 40
    data = text.encode(codec)
    for cut in range(len(data) - 40, len(data)):
        found = guess_text(data[:cut], whole=False)
        assert found.encoding == ("utf-8" if codec == "utf-8" else "auto")
        assert set(found.rows[1:]) <= {(at, ("\U0001f529-1", "5")) for at in range(2, 42)}


@pytest.mark.parametrize(
    ("texts", "decimal", "thousands"),
    [
        (["1.250,50"], ",", "."),
        (["1,250.50"], ".", ","),
        (["1 250", "3"], None, " "),
        (["12,5"], ",", None),
        (["1.250.000"], None, "."),
        (["7", "12"], None, None),
        (["1.250", "0.5"], ".", None),
    ],
)
def test_number_marks_are_read_off_the_numbers(texts, decimal, thousands):
    marks = cells(texts).marks()
    assert (marks.decimal, marks.thousands) == (decimal, thousands)


def test_a_day_and_month_that_could_be_swapped_give_both_formats():
    assert cells(["03/04/2026", "05/06/2026"]).date_formats()[0] == ("%d/%m/%Y", "%m/%d/%Y")
    assert cells(["03/04/2026", "25/06/2026"]).date_formats() == (("%d/%m/%Y",), 1.0)


@pytest.mark.parametrize(
    "name", ["Minimum order quantity", "Quantity Lower Bound 1", "Unavailable", "Reorder_Level", "Stock ($)", ""]
)
def test_a_name_that_says_something_else_is_no_quantity(name):
    assert meaning(name, "on_hand")[0] == 0


@pytest.mark.parametrize(
    ("codec", "text", "found"),
    [
        ("utf-8", "Artikel;Größe\nA;1\n", "utf-8"),
        ("utf-8-sig", "Artikel;Größe\nA;1\n", "auto"),
        ("utf-16", "Artikel;Größe\nA;1\n", "auto"),
        ("cp1252", "Référence;Quantité\nA;1\n", "cp1252"),
        ("cp1251", "Артикул;Остаток\nГайка;1\n", "cp1251"),
        ("gb18030", "货号;库存数量\n螺丝;1\n", "gb18030"),
    ],
)
def test_an_encoding_is_guessed_and_only_a_mark_or_valid_utf8_is_sure(codec, text, found):
    guess = guess_text(text.encode(codec), whole=True)
    assert guess.encoding == found
    assert guess.encoding_sure == (found in {"utf-8", "auto"})
    assert [row for _, row in guess.rows] == [tuple(line.split(";")) for line in text.splitlines()]


def test_inch_marks_that_are_no_quotes_turn_quoting_off():
    text = guess_text(b'SKU;Name;Qty\nA;"3/4" bolt;1\nB;"1/2" nut;2\n', whole=True)
    assert text.quote == ""
    assert text.rows[1] == (2, ("A", '"3/4" bolt', "1"))


def test_a_header_is_found_below_a_preamble():
    assert guess_header(numbered("Stock list of today\n\nSKU;Qty\nA;1\n")).row == 3


def test_the_text_is_toml_whatever_stands_in_the_file():
    strange = 'SKU "x"\x7f;Qty\\;#]\n' + 'A;in "stock"\n' + "B;\x1b[31m\n" + "C;{n}\n" + "D;In Stock\nE;in stock\n"
    guesses = guess_config("acme", [], numbered(strange), workbook=False, whole=True)
    typed = SupplierFile.model_validate(tomllib.loads(as_toml([*guesses, *_form()], file="a\nb.csv")))
    assert typed.supplier.code == "acme"
    assert 'in "stock"' in typed.feed[0].words


def test_what_nobody_can_see_or_a_terminal_obeys_is_escaped_in_the_text():
    strange = "SKU\x9b31m;Qty\u202e\nA;sold\u200bout\nB;\U000e0001\nC;\x7f\n"
    text = as_toml([*guess_config("acme", [], numbered(strange), workbook=False, whole=True), *_form()], file="x.csv")
    assert [c for c in text.replace("\n", "") if not c.isprintable()] == []
    feed = SupplierFile.model_validate(tomllib.loads(text)).feed[0]
    assert feed.columns.supplier_sku.column == ("SKU\x9b31m",)
    assert "sold\u200bout" in feed.words


def test_every_unsure_key_says_so_in_a_comment():
    text = as_toml(guess_config("acme", _form(), numbered(NORDWIND), workbook=False, whole=True), file="nordwind.csv")
    assert text.startswith("# Guessed from nordwind.csv.")
    assert text.count("DECIDE: ") + text.count("UNSURE: ") >= 7
    assert SupplierFile.model_validate(tomllib.loads(text)).feed[0].columns.supplier_sku.column == ("Artikel",)


def _form():
    from transforms.guess import Guess

    return [Guess("feed.format.type", "delimited", "the file is text", "sure")]


def test_two_accents_in_a_row_inside_a_word_are_not_read_as_chinese():
    text = "Artikel;Bezeichnung;Bestand\r\nA-1;Größe XL;5\r\nA-2;Größe L;7\r\n"
    assert guess_text(text.encode("cp1252"), whole=True).encoding == "cp1252"
    assert guess_text("品番;名称;在庫\r\nA-1;手袋 大;5\r\n".encode("gb18030"), whole=True).encoding == "gb18030"


def test_rows_that_repeat_the_same_articles_may_be_movements_and_a_person_is_asked():
    moves = "\n".join(f"A-{number % 3};{number - 4};2026-11-0{number % 9 + 1}" for number in range(12))
    found = guessed(f"SKU;Qty;Posted\n{moves}\n")
    assert {found[f"feed.columns.{name}"].confidence for name in ("supplier_sku", "on_hand")} == {"unsure"}
    assert "movement" in found["feed.columns.on_hand"].evidence
    places = "\n".join(f"A-{number % 3};{number};W{number // 3}" for number in range(12))
    found = guessed(f"SKU;Qty;Warehouse\n{places}\n")
    assert "movement" not in found["feed.columns.on_hand"].evidence
