"""Real documents of suppliers (JSON, XML): each is read by a feed of its own (tests/data/samples) as its sidecar expects.

A quantity that is a band or a word stays that; an error answer gives nothing.
"""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from stockfeed.pipeline.trial import try_file
from tests.integration.conftest import FEEDS

pytestmark = pytest.mark.needs_shared

STEMS = sorted(path.stem for path in FEEDS.glob("o*.toml"))
FIELDS = ("supplier_sku", "gtin", "quantity", "warehouse", "price", "currency", "available_date")
#: What a sidecar tells that an observation has a place for, beside those.
ALSO = ("mpn", "gtin_raw", "gtin_note", "quantity_text")
#: What sidecars tell of a row beside our nouns.
NOT_OURS = {
    "allocated", "availability_code", "buyer_sku", "map", "msrp", "note", "on_order_text", "price_breaks", "status", "style",
    "total_in_message", "vendor_code",
}  # fmt: skip
KINDS = {"availability flag": "available"}
#: A unit as it is spelt out in the file; `words` of the feed say what it means, and words are rules.
SPELT = {"each_EA": "EA"}
#: Prices without a currency: the sidecar has none either, and the feed's own is no part of an observation.


def file_of(shared: Path, stem: str) -> Path:
    [path] = [p for p in (shared / "samples/other_formats").iterdir() if p.stem == stem and not p.name.endswith(".expected.json")]
    return path


def expected_of(shared: Path, stem: str):
    path = file_of(shared, stem)
    return json.loads(path.with_name(path.name + ".expected.json").read_text(encoding="utf-8"))


def read(sample_settings, sample_feeds, shared, stem):
    *lines, summary = try_file(sample_settings, sample_feeds[f"{stem}.stock"], file_of(shared, stem), stage="read")
    return [line for line in lines if line["type"] == "observation"], summary, lines


def differences(row, want) -> dict:
    """Return what `want` says that `row` does not, field by field."""
    assert set(want) - set(FIELDS) - set(ALSO) - {"quantity_kind", "price_kind", "unit", "availability"} - NOT_OURS == set()
    meant = {name: want[name] for name in (*FIELDS, *ALSO) if name in want}
    meant["quantity_kind"] = KINDS.get(want["quantity_kind"], want["quantity_kind"])
    meant["price_kind"] = want["price_kind"] and want["price_kind"].split(" (")[0]
    meant["unit"] = want["unit"]
    if "availability" in want:
        meant["quantity_text"] = want["availability"]
    found = {name: row[name] for name in meant} | {"unit": SPELT.get(row["unit"], row["unit"])}
    return {name: (found[name], meant[name]) for name in meant if found[name] != meant[name]}


def test_every_document_has_a_feed_and_every_feed_a_document(shared):
    names = [path.name for path in (shared / "samples/other_formats").glob("*.expected.json")]
    assert sorted(name.removesuffix(".expected.json").rpartition(".")[0] for name in names) == STEMS


@pytest.mark.parametrize("stem", STEMS)
def test_a_document_gives_what_its_sidecar_says(sample_settings, sample_feeds, shared, stem):
    expected = expected_of(shared, stem)
    seen, summary, lines = read(sample_settings, sample_feeds, shared, stem)
    if isinstance(expected, dict) and expected["kind"] == "reject":
        assert seen == []
        assert summary["outcome"] == "rejected"
        assert all(
            word in lines[0]["message"] for word in (("SOAP Fault", "105") if "fault" in stem else ("unbound prefix", "line 11"))
        )
        return
    wanted = expected if isinstance(expected, list) else expected["spot_rows"]
    kind = KINDS.get(wanted[0]["quantity_kind"], wanted[0]["quantity_kind"])
    rows = [row for row in seen if row["quantity_kind"] == kind]
    if isinstance(expected, list):
        assert [differences(row, want) for row, want in zip(rows, wanted, strict=True)] == [{}] * len(wanted)
    else:
        check_summary(rows, seen, expected)


def check_summary(rows, seen, expected) -> None:
    assert len(rows) == expected.get("products", expected.get("offers"))
    assert len({row["supplier_sku"] for row in rows}) == len(rows)  # no duplicates are expected
    for kind, name in (("on_hand", "on_hand_vocabulary"), ("on_order", "on_order_vocabulary")):
        if name in expected:
            words = Counter(row["quantity"] or row["quantity_text"] for row in seen if row["quantity_kind"] == kind)
            assert words == expected[name]
    if "all_isbn_valid" in expected:
        assert all(row["gtin"] for row in rows)
    if "price_sum" in expected:
        assert sum(Decimal(row["price"]) for row in rows) == Decimal(expected["price_sum"])
        assert Counter(row["quantity_text"] for row in rows) == {"true": expected["available_true"]}
    for want in expected["spot_rows"]:
        assert [differences(row, want) for row in rows if row["supplier_sku"] == want["supplier_sku"]] == [{}]


@pytest.mark.parametrize("stem", STEMS)
def test_the_rules_account_for_every_record_of_a_document(sample_settings, sample_feeds, shared, stem):
    *_, summary = try_file(sample_settings, sample_feeds[f"{stem}.stock"], file_of(shared, stem))
    rows = summary["rows"]
    assert rows["read"] == rows["accepted"] + rows["rejected"] + rows["skipped"]
