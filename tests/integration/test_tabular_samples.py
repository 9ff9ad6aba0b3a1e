"""Real supplier files: each is read by a feed of its own (tests/data/samples) and compared with what its sidecar expects.

The sidecars' conventions are in ../shared/samples/MANIFEST.md; where a sidecar is held to be wrong, docs/known-limits.md says why.
"""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from stockfeed.pipeline.trial import try_file
from tests.integration.conftest import FEEDS

pytestmark = pytest.mark.needs_shared

STEMS = sorted(path.stem for path in FEEDS.glob("t*.toml"))
FIELDS = (
    "supplier_sku",
    "gtin",
    "quantity",
    "quantity_kind",
    "warehouse",
    "unit",
    "price",
    "price_kind",
    "currency",
    "available_date",
)
OTHER_OBSERVED = ("condition", "mpn", "gtin_raw", "gtin_note", "quantity_text")
#: What sidecars tell of a row beside our nouns: an observation has no place for it.
NOT_OURS = {
    "archived", "article", "asin", "barcode_raw", "category", "characteristic", "expiry", "handle", "in_delivery", "last_issue",
    "list_price", "location", "location_qty", "lot", "manufacturer", "msrp", "name_", "note", "option", "options", "own_code",
    "package", "price_raw", "reserved", "retail", "status", "token", "tracker", "variant_id", "vat",
}  # fmt: skip
#: Other words for the same kind of quantity: a flag is what the supplier says of what is available.
KINDS = {"availability flag": "available"}
#: Refused as a whole, though the sidecar also tells what stands in it: the feed "catalogue" of the same supplier reads that.
REFUSED_SUMMARIES = {"t10_shopify_products_apostrophe_barcode_no_qty"}
#: Every row must be refused for want of a key.
WITHOUT_KEYS = {"t05_shopify_inventory_all_sku_empty", "t08_shopify_product_csv_no_sku"}
#: Seven rows without a SKU, and one with a SKU but without a quantity.
NOTHING_USABLE = {"t57_square_catalog_wide_location_columns_excerpt"}
#: Held to be wrong, with the argument in docs/known-limits.md.
CORRECTED = {
    "t21_cyrillic_two_warehouse_columns": {"price_sum": "18310602", "rows_with_price": 1984},  # 7 error cells were read as 15
}


@pytest.fixture(scope="module")
def tabular(shared: Path) -> Path:
    return shared / "samples" / "tabular"


def file_of(tabular: Path, stem: str) -> Path:
    [path] = [path for path in tabular.iterdir() if path.stem == stem]
    return path


def expected_of(tabular: Path, stem: str):
    return json.loads(file_of(tabular, stem).with_name(file_of(tabular, stem).name + ".expected.json").read_text())


class Read:
    """What `feeds try --stage read` says of a file."""

    def __init__(self, lines) -> None:
        lines = list(lines)
        self.summary = lines[-1]
        self.seen = [line for line in lines if line["type"] == "observation"]
        self.rejections = [line for line in lines if line["type"] == "rejection"]

    def of_kind(self, kind):
        return [line for line in self.seen if line["quantity_kind"] == KINDS.get(kind, kind)]


def read(sample_settings, sample_feeds, tabular, stem, feed="stock") -> Read:
    return Read(try_file(sample_settings, sample_feeds[f"{stem}.{feed}"], file_of(tabular, stem), stage="read"))


def test_every_sample_has_a_feed_and_every_feed_a_sample(tabular):
    assert sorted(path.name.removesuffix(".expected.json").rpartition(".")[0] for path in tabular.glob("*.expected.json")) == STEMS


@pytest.mark.parametrize("stem", STEMS)
def test_a_sample_gives_what_its_sidecar_says(sample_settings, sample_feeds, tabular, stem):
    expected = expected_of(tabular, stem)
    result = read(sample_settings, sample_feeds, tabular, stem)
    if stem in REFUSED_SUMMARIES:
        check_refused(result)
        result = read(sample_settings, sample_feeds, tabular, stem, "catalogue")
    if isinstance(expected, list):
        check_rows(result, expected)
    elif expected["kind"] == "reject":
        check_refused(result)
    else:
        assert expected["kind"] == "summary"
        check_summary(result, expected | CORRECTED.get(stem, {}))


def check_refused(result: Read) -> None:
    """The declared columns are not there: nothing is read, and what is missing is named."""
    assert result.seen == []
    assert result.summary["outcome"] == "rejected"
    assert [line["code"] for line in result.rejections] == ["HEADER-MISSING"]
    assert "has no column" in result.rejections[0]["message"] or "no header found" in result.rejections[0]["message"]


def check_rows(result: Read, expected) -> None:
    rows = result.of_kind(expected[0]["quantity_kind"])
    assert [{name: row[name] for name in FIELDS} for row in rows] == [{name: row[name] for name in FIELDS} for row in expected]
    for row, want in zip(rows, expected, strict=True):
        assert differences(result, row, want) == {}


def differences(result: Read, row, want) -> dict:
    """Return what `want` says that `row` does not, field by field."""
    assert set(want) - set(FIELDS) - set(OTHER_OBSERVED) - {"on_hand", "availability"} - NOT_OURS == set()
    meant = {name: want[name] for name in (*FIELDS, *OTHER_OBSERVED) if name in want}
    meant["quantity_kind"] = KINDS.get(meant["quantity_kind"], meant["quantity_kind"] or row["quantity_kind"])
    if "availability" in want:
        meant["quantity_text"] = want["availability"]
    found = {name: row[name] for name in meant}
    if "on_hand" in want:
        meant["on_hand"] = want["on_hand"]
        found["on_hand"] = next(o["quantity"] for o in result.of_kind("on_hand") if o["row"] == row["row"])
    return {name: (found[name], meant[name]) for name in meant if found[name] != meant[name]}


def check_summary(result: Read, expected) -> None:
    kind = expected["spot_rows"][0]["quantity_kind"] if "spot_rows" in expected else expected["all_rows"][0]["quantity_kind"]
    rows = result.of_kind(kind) if kind else result.seen
    numbers = [None if row["quantity"] is None else Decimal(row["quantity"]) for row in rows]
    known = [number for number in numbers if number is not None]
    keys = Counter((row["supplier_sku"], row["warehouse"]) for row in rows if row["supplier_sku"] is not None)
    prices = [Decimal(row["price"]) for row in rows if row["price"] is not None]
    found = {
        "rows": len(rows),
        "distinct_supplier_sku": len({row["supplier_sku"] for row in rows} - {None}),
        "rows_without_sku": sum(row["supplier_sku"] is None for row in rows),
        "total_quantity": sum(known, Decimal(0)),
        "quantity_zero": sum(number == 0 for number in known),
        "quantity_negative": sum(number < 0 for number in known),
        "quantity_unknown": len(numbers) - len(known),
        "duplicate_sku_and_warehouse_count": sum(count > 1 for count in keys.values()),
        "price_sum": sum(prices, Decimal(0)),
        "rows_with_price": len(prices),
        "gtin_valid": sum(row["gtin"] is not None for row in rows),
        "gtin_present_but_invalid": sum(row["gtin_raw"] is not None for row in rows),
        "on_hand_total": sum((Decimal(row["quantity"] or 0) for row in result.of_kind("on_hand")), Decimal(0)),
        "units": Counter(row["unit"] for row in rows),
        "flags": Counter(row["quantity_text"] for row in rows),
    }
    wanted = {name: expected[name] for name in found if name in expected}
    wanted |= {name: Decimal(wanted[name]) for name in ("total_quantity", "price_sum", "on_hand_total") if name in wanted}
    assert {name: found[name] for name in wanted} == wanted
    check_places(rows, keys, expected)
    values = Counter(row["quantity"] for row in rows)
    assert {n: values[n] for n in expected.get("quantity_vocabulary", {})} == expected.get("quantity_vocabulary", {})
    for want in expected.get("spot_rows", ()):
        near = [d for row in rows if row["supplier_sku"] == want["supplier_sku"] and row["warehouse"] == want["warehouse"]
                for d in [differences(result, row, want)]]  # fmt: skip
        assert {} in near, (want, near[:3])
    if "all_rows" in expected:
        assert [differences(result, row, want) for row, want in zip(rows, expected["all_rows"], strict=True)] == [{}] * len(rows)


def check_places(rows, keys, expected) -> None:
    """Totals by warehouse, and keys that occur twice; sidecars show some with blanks around them, which are no part of ours."""
    totals: dict[str, Decimal] = {}
    for row in rows:
        totals[row["warehouse"]] = totals.get(row["warehouse"], Decimal(0)) + Decimal(row["quantity"] or 0)
    wanted: dict[str, Decimal] = {}
    for place, total in expected.get("total_by_warehouse", {}).items():
        wanted[place.strip()] = wanted.get(place.strip(), Decimal(0)) + Decimal(total)
    assert not wanted or totals == wanted
    shown = {sku if place is None else f"{sku} @ {place}": count for (sku, place), count in keys.items()}
    examples = {
        " @ ".join(part.strip() for part in key.split(" @ ")): n for key, n in expected.get("duplicate_examples", {}).items()
    }
    assert {key: shown.get(key) for key in examples} == examples


@pytest.mark.parametrize("stem", sorted(WITHOUT_KEYS))
def test_rows_without_a_key_are_all_refused(sample_settings, sample_feeds, tabular, stem):
    lines = list(try_file(sample_settings, sample_feeds[f"{stem}.stock"], file_of(tabular, stem)))
    assert [line for line in lines if line["type"] == "record"] == []
    summary = lines[-1]
    assert summary["rows"]["rejected"] == expected_of(tabular, stem)["rows"]
    assert {line["code"] for line in lines if line["type"] == "rejection"} == {"SKU-BLANK"}
    assert summary["outcome"] != "applied"


@pytest.mark.parametrize("stem", STEMS)
def test_the_rules_account_for_every_row_of_a_sample(sample_settings, sample_feeds, tabular, stem):
    *_, summary = try_file(sample_settings, sample_feeds[f"{stem}.stock"], file_of(tabular, stem))
    rows = summary["rows"]
    assert rows["read"] == rows["accepted"] + rows["rejected"] + rows["skipped"]
    expected = expected_of(tabular, stem)
    refused = stem in REFUSED_SUMMARIES or (isinstance(expected, dict) and expected["kind"] == "reject")
    assert (summary["outcome"] == "rejected") == (refused or stem in WITHOUT_KEYS | NOTHING_USABLE), summary["findings"]
