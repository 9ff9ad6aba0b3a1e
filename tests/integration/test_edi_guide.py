"""The examples of docs/formats are run, so that the pages stay true."""

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

from schemas.errors import ConfigError
from schemas.feed_config import SupplierFile
from stockfeed.pipeline.trial import try_file
from stockfeed.settings import load_config, load_settings
from tests.conftest import REPOSITORY


def page(kind: str) -> tuple[SupplierFile, str]:
    text = (REPOSITORY / "docs/formats" / f"{kind}.md").read_text("utf-8")
    config, message = re.search(r"```toml\n(.*?)```", text, re.DOTALL), re.search(r"```edi\n(.*?)```", text, re.DOTALL)
    return SupplierFile.model_validate(tomllib.loads(config[1])), message[1]


def mistakes_in_the_example(kind: str, tmp_path: Path, changes: dict[str, str]) -> list[str]:
    text = re.search(r"```toml\n(.*?)```", (REPOSITORY / f"docs/formats/{kind}.md").read_text("utf-8"), re.DOTALL)[1]
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "config/suppliers").mkdir(parents=True)
    (tmp_path / "config/suppliers/nordwind.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(load_settings({"STOCKFEED_STATE": str(tmp_path / "state")}, tmp_path))
    return [line.partition(": ")[2] for line in caught.value.hint.splitlines()]


@pytest.mark.parametrize("kind", ["edi_x12", "edifact"])
def test_a_column_that_no_edi_file_has_is_a_mistake_before_any_file_comes(tmp_path, kind):
    changes = {'"available"\non_': '"availabel"\non_', 'gtin = "gtin"': 'gtin = { column = "ean", required = false }'}
    changes |= {'location = "location"': 'location = ["depot", "location"]'}
    assert mistakes_in_the_example(kind, tmp_path, changes) == [
        "feed.columns.available: EDI files have no column 'availabel'; did you mean available?"
    ]


def test_a_number_where_a_text_stands_is_told_as_that(tmp_path):
    assert mistakes_in_the_example("edi_x12", tmp_path, {'acknowledge = "997"': "acknowledge = 997"}) == [
        'feed.format.acknowledge: 997 is a number here; write the text "997"'
    ]


def test_a_fault_that_cannot_be_tolerated_is_a_mistake_before_any_file_comes(tmp_path):
    assert mistakes_in_the_example("edi_x12", tmp_path, {'# tolerate = ["SE01"]': 'tolerate = ["CTT01", "SE1"]'}) == [
        "feed.tolerate: 'SE1' is not one of SE01, CTT01, ISA-WIDTH, GS01; did you mean SE01?"
    ]


@pytest.mark.parametrize(
    ("kind", "name"), [("edi_x12", "NORDWIND-000000905-997-{}-1.x12"), ("edifact", "NORDWIND-905-contrl-{}-1.edi")]
)
def test_the_page_names_the_file_that_answers_its_own_example(kind, name):
    digits = hashlib.sha256(page(kind)[1].encode()).hexdigest()[:8]
    assert f"`{name.format(digits)}`" in (REPOSITORY / f"docs/formats/{kind}.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("kind", "records"),
    [
        (
            "edi_x12",
            [
                ("AB-00001", "30", "12.5", "04006381333931"),
                ("AB-00001", "12", "12.5", "04006381333931"),
                ("AB-00002", "20", None, None),
                ("AB-00003", "0", "3.2", None),
            ],
        ),
        (
            "edifact",
            [
                ("AB-00001", "10", "12.5", "04006381333931"),
                ("AB-00001", "4", "12.5", "04006381333931"),
                ("AB-00002", "0", None, "04006381333948"),
            ],
        ),
    ],
)
def test_the_example_of_a_page_gives_its_stock(tmp_path: Path, kind, records):
    config, message = page(kind)
    (tmp_path / "message").write_text(message)
    settings = load_settings({"STOCKFEED_STATE": str(tmp_path)}, tmp_path)
    *lines, summary = try_file(settings, config.feed[0], tmp_path / "message")
    found = [(r["supplier_sku"], r["available"], r["unit_cost"], r["gtin"]) for r in lines if r["type"] == "record"]
    assert [line for line in lines if line["type"] == "rejection"] == []
    assert found == records
    assert summary["outcome"] == "applied"
