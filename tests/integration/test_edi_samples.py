"""Real EDI files: each read as an engineer would set its feed up, and compared with what its sidecar expects.

The sidecars' conventions are in ../shared/samples/MANIFEST.md; where a sidecar is held to be wrong, docs/known-limits.md says why.
"""

import json
import os
from pathlib import Path

import pytest

from schemas.feed_config import Feed
from stockfeed.pipeline.trial import try_file
from stockfeed.settings import load_settings
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.needs_shared

FIELDS = ("supplier_sku", "gtin", "quantity", "warehouse", "unit", "price", "currency", "available_date")
#: What the engineer declares of a supplier's messages, where the defaults do not fit.
FORMS = {
    "08_ems": {"sku_qualifiers": ["MG"], "location_entities": ["ST"]},  # consignment stock lies at the buyer's plant
    "24_fragment": {"envelope": "optional", "quantities": {"QA": "available", "QO": "on_order", "QC": "reserved"}},
    "i7_fragment": {"envelope": "optional"},
}
#: "Accept only as a test fragment": refused as they are, read where the feed says that envelopes are left out.
FRAGMENTS = ("20_", "24_", "26_", "27_", "29_", "i7_", "25_")
#: Files in which only the segment count is wrong, so that a feed may tolerate it.
ONLY_SE01 = ("10_", "19_", "28_")
#: Sidecar words → our kinds of quantity; what stands after a blank is the sidecar's own remark.
KINDS = {"unmapped": "unmapped", "unknown": "unmapped", "dispensed": "movement", "received": "movement", "committed": "reserved"}


def files() -> list[str]:
    root = Path(os.environ.get("STOCKFEED_SHARED", REPOSITORY.parent / "shared")) / "samples"
    found = [f"{kind}/{p.name}" for kind in ("x12_846", "x12_envelope", "edifact") for p in sorted((root / kind).glob("*"))]
    return [name for name in found if not name.endswith(".json")] or ["none"]


def form_of(name: str) -> dict:
    stem = Path(name).name
    found = next((form for start, form in FORMS.items() if stem.startswith(start)), {})
    return {"type": "edifact" if name.startswith("edifact/") else "edi_x12", **found}


def feed_of(form: dict, tolerate=()) -> Feed:
    return Feed.model_validate({
        "code": "stock", "source": {"type": "folder", "path": "/data"}, "format": form, "timezone": "UTC", "quantities": "net",
        "stale_after": "48h", "decimal": ".", "duplicates": "last", "tolerate": tolerate,
        "columns": {"supplier_sku": "supplier_sku", "available": "available", "on_hand": "on_hand", "location": "location"},
    })  # fmt: skip


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = tmp_path_factory.mktemp("edi")
    return load_settings({"STOCKFEED_STATE": str(root / "state")}, root)


def read(settings, shared, name, form=None, tolerate=()):
    *lines, summary = try_file(settings, feed_of(form or form_of(name), tolerate), shared / "samples" / name, stage="read")
    return [line for line in lines if line["type"] == "observation"], summary


def kind(text: str) -> str:
    word = text.partition(" ")[0]
    return KINDS.get(word, word)


def check(seen, rows) -> None:
    assert [{f: one[f] for f in FIELDS} for one in seen] == [
        {f: _unit(row) if f == "unit" else row[f] for f in FIELDS} for row in rows
    ]
    assert [one["quantity_kind"] for one in seen] == [kind(row["quantity_kind"]) for row in rows]
    for one, row in zip(seen, rows, strict=True):
        for extra in ("mpn", "buyer_sku", "gtin_raw", "gtin_note"):
            assert extra not in row or one[extra] == row[extra]
        assert (one["price_kind"] or "") == (row["price_kind"] or "").partition(" ")[0]


def _unit(row) -> str | None:
    return row["unit"] and row["unit"].partition(" ")[0]


@pytest.mark.parametrize("name", files())
def test_a_sample_gives_what_its_sidecar_says(settings, shared, name):
    expected = json.loads((shared / "samples" / f"{name}.expected.json").read_text())
    if isinstance(expected, list):
        seen, summary = read(settings, shared, name)
        assert summary["outcome"] == "applied"
        check(seen, expected)
        return
    if expected["kind"] in ("fragment", "no_envelope"):
        assert read(settings, shared, name, {"type": form_of(name)["type"]})[1]["outcome"] == "rejected"
        seen, summary = read(settings, shared, name, {**form_of(name), "envelope": "optional"})
        check([one for one in seen if one["quantity_kind"] != "movement"], expected.get("rows", expected.get("rows_if_loaded")))
        if "movements" in expected:
            assert [one["quantity"] for one in seen if one["quantity_kind"] == "movement"] == [
                m["quantity"] for m in expected["movements"]
            ]
        return
    form = {**form_of(name), "envelope": "optional"} if Path(name).name.startswith(FRAGMENTS) else form_of(name)
    seen, summary = read(settings, shared, name, form)
    right = {"reject": {"rejected"}, "duplicate": {"rejected"}}.get(expected["kind"], {"ignored"})
    assert summary["outcome"] in right, summary
    if expected["kind"] != "reject":
        assert seen == []


@pytest.mark.parametrize("name", [n for n in files() if Path(n).name.startswith(ONLY_SE01)])
def test_where_only_the_segment_count_is_wrong_a_feed_may_tolerate_it_and_is_told(settings, shared, name):
    expected = json.loads((shared / "samples" / f"{name}.expected.json").read_text())
    form = {**form_of(name), "test": "read"}
    seen, summary = read(settings, shared, name, form, tolerate=("SE01",))
    assert summary["outcome"] == "applied"
    check(seen, expected["rows_if_envelope_errors_were_ignored"])


def test_the_reasons_of_a_refusal_are_all_told(settings, shared):
    for name, words in {
        "06_isa16_equals_element_separator.edi": ("ISA06", "ISA08", "ISA16", "SE01 says 06 segments, there are 8"),
        "13_single_line_wrong_group_id_IQ.edi": ("GS01 IQ", "BIA is missing", "SE01 says 10 segments, there are 9"),
        "14_LIN01_skipped_pairs_shifted.edi": ("LIN02 '012345678905'", "BIA is missing", "SE01 says 8 segments, there are 7"),
        "15_unpadded_short_ISA.edi": ("not 106", "GS01 IQ", "BIA is missing"),
        "16_two_units_EA_and_CS_no_BIA.edi": ("BIA is missing",),
        "25_fragment_defects_date_35_CTT_lie.txt": ("BIA04 '20260835' is not a date", "CTT01 5 against 2"),
    }.items():
        form = {"type": "edi_x12", "envelope": "optional"} if name.startswith("25_") else None
        message = read(settings, shared, f"x12_846/{name}", form)[1]["findings"][0]["message"]
        assert [word for word in words if word not in message] == []
