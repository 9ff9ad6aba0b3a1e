"""The examples of the pages in docs/formats are run, so that the pages stay true."""

import re
import tomllib
from decimal import Decimal

import pytest
from pydantic import ValidationError

from schemas.errors import ConfigError
from schemas.feed_config import SupplierFile
from stockfeed.pipeline.trial import try_file
from stockfeed.settings import load_config, load_settings
from tests.conftest import REPOSITORY
from transforms.formats.options import DelimitedOptions
from transforms.formats.registry import FORMATS, options_model

PAGES = sorted((REPOSITORY / "docs/formats").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_example_of_a_page_gives_what_the_page_says(tmp_path, page):
    blocks = re.findall(r"```(\w+)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (_, data), (_, config), (_, table) = blocks[:3]  # the file, its feed, its records; a page may show more after them
    (tmp_path / "config/suppliers").mkdir(parents=True)
    [code] = re.findall(r"\[supplier\]\ncode = \"(\w+)\"", config)
    (tmp_path / f"config/suppliers/{code}.toml").write_text(config, encoding="utf-8")
    (tmp_path / "file").write_text(data, encoding="utf-8")
    settings = load_settings({"STOCKFEED_STATE": str(tmp_path / "state")}, tmp_path)
    [feed] = load_config(settings).feeds.values()
    assert feed.format.type == page.stem
    lines = list(try_file(settings, feed, tmp_path / "file"))
    records = [line for line in lines if line["type"] == "record"]
    assert [line for line in lines if line["type"] == "rejection"] == []
    found = [(r["supplier_sku"], r["available"] or r["on_hand"], r["location"], r["unit_cost"]) for r in records]
    rows = [re.split(r"\s{2,}", line) for line in table.strip().splitlines()]
    assert [(sku, Decimal(quantity), place) for sku, quantity, place, _ in found] == [(r[0], Decimal(r[1]), r[2]) for r in rows]
    assert all(len(row) == 3 or Decimal(cost) == Decimal(row[3]) for row, (*_, cost) in zip(rows, found, strict=True))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_names_every_key_of_its_format(page):
    own = options_model(page.stem).model_fields.keys() - DelimitedOptions.model_fields.keys()
    text = page.read_text(encoding="utf-8")
    assert [name for name in sorted(own) if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_key_that_is_about_tables_of_another_kind_is_refused_and_never_ignored(page):
    config = tomllib.loads(re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)[0])
    form = config["feed"][0]["format"]
    for key in ({"header_row": 3}, {"skip_blank_in": ["a"]}, {"group_column": "a", "group_rows": "b"}):
        with pytest.raises(ValidationError):
            options_model(form["type"]).model_validate({name: form[name] for name in form if name != "type"} | key)


@pytest.mark.parametrize(
    ("kind", "old", "new", "line"),
    [
        (
            "json_doc",
            '"stock.free"',
            '"$.stock.free"',
            "available: '$.stock.free': a column's path begins at the record",
        ),
        (
            "json_doc",
            '"sale | price"',
            '"sale || price"',
            "unit_cost: 'sale || price' is not a path: cannot read '|| price'",
        ),
        (
            "json_doc",
            '"sale | price"',
            '"sale|price"',
            "unit_cost: 'sale|price' is not a path: cannot read '|price'; write for example a | b, with blanks around the mark",
        ),
        (
            "xml_doc",
            '"inventoryLocationId"',
            '"id|name"',
            "location: 'id|name' is not a path: cannot read 'id|name'; write for example a | b, with blanks around the mark",
        ),
        ("json_doc", '"upc"', '{ column = ["upc", "ids[?(@.a)]"] }', "gtin: 'ids[?(@.a)]' is not a path"),
        ("xml_doc", '"../../partId"', '"../../../../partId"', "supplier_sku: a column goes 4 levels up"),
        (
            "xml_doc",
            '"inventoryLocationId"',
            '"x:inventoryLocationId"',
            "location: 'x:inventoryLocationId' is not a path",
        ),
    ],
)
def test_a_column_that_is_no_path_is_a_mistake_before_any_file_comes(tmp_path, kind, old, new, line):
    text = re.findall(r"```toml\n(.*?)```", (REPOSITORY / f"docs/formats/{kind}.md").read_text("utf-8"), re.DOTALL)[0]
    assert old in text
    [code] = re.findall(r"\[supplier\]\ncode = \"(\w+)\"", text)
    (tmp_path / "config/suppliers").mkdir(parents=True)
    (tmp_path / f"config/suppliers/{code}.toml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(load_settings({"STOCKFEED_STATE": str(tmp_path / "state")}, tmp_path))
    [told] = caught.value.hint.splitlines()
    assert told.partition(": ")[2].startswith(f"feed.columns.{line}")


@pytest.mark.parametrize(("kind", "old", "new"), [("json_doc", "stock.free", "stock.fre"), ("xml_doc", "/value", "/val")])
def test_a_path_that_no_record_has_is_told_with_those_there_are(tmp_path, kind, old, new):
    blocks = re.findall(r"```(\w+)\n(.*?)```", (REPOSITORY / f"docs/formats/{kind}.md").read_text("utf-8"), re.DOTALL)
    (_, data), (_, config) = blocks[:2]
    feed = SupplierFile.model_validate(tomllib.loads(config.replace(old, new))).feed[0]
    (tmp_path / "file").write_text(data, encoding="utf-8")
    settings = load_settings({"STOCKFEED_STATE": str(tmp_path)}, tmp_path)
    *_, summary = try_file(settings, feed, tmp_path / "file")
    [finding] = summary["findings"]
    assert (finding["code"], finding["message"].partition("; ")[0].startswith("no record has '")) == ("HEADER-MISSING", True)
    assert re.search(rf"Did you mean '\S*{old}' for '\S*{new}'\? Correct \[feed.columns\]", finding["remedy"])


def test_columns_of_fixed_width_are_those_of_fields(tmp_path):
    text = re.findall(r"```toml\n(.*?)```", (REPOSITORY / "docs/formats/fixed_width.md").read_text("utf-8"), re.DOTALL)[0]
    (tmp_path / "config/suppliers").mkdir(parents=True)
    wrong = text.replace('"DEPOT"', '"DEPO"').replace("[11, 15]", "[11]")
    (tmp_path / "config/suppliers/oldhouse.toml").write_text(wrong, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(load_settings({"STOCKFEED_STATE": str(tmp_path / "state")}, tmp_path))
    assert [line.partition(": ")[2] for line in caught.value.hint.splitlines()] == [
        "feed.format.fields.QTY: value 2 of this list is missing",
        "feed.columns.location: `fields` have no column 'DEPO'; did you mean DEPOT?",
    ]


def test_rows_of_an_edi_file_are_not_skipped_by_a_pattern():
    for key in ({"skip_rows": {"sample": "^X"}}, {"skip_blank": False}, {"footer": "^X"}):
        with pytest.raises(ValidationError, match="is for tables"):
            options_model("edi_x12").model_validate(key)


def test_every_format_beside_tables_has_a_page():
    assert {page.stem for page in PAGES} >= {"fixed_width", "json_doc", "xml_doc"}
    assert {page.stem for page in PAGES} <= set(FORMATS)
