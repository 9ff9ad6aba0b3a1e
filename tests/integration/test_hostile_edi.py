"""Every hostile EDI file through collect and ingest: it ends as EXPECT.csv says, and people are told where."""

import csv
import os
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.integration.hostile_world import HostileWorld, HourClock, database_template, points_at

pytestmark = pytest.mark.needs_shared


def expectations() -> dict[str, dict[str, str]]:
    listed = Path(os.environ.get("STOCKFEED_SHARED", REPOSITORY.parent / "shared")) / "hostile/made/EXPECT.csv"
    if not listed.is_file():
        return {}
    with listed.open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file) if row["file"].startswith("edi/")}


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    return database_template(tmp_path_factory.mktemp("database"))


def feed_toml(inbox: Path, kind: str, *, sku: str = "supplier_sku", extra: str = "", form: str = "") -> str:
    """A feed of 846 or INVRPT messages, as docs/formats shows it."""
    quantity = "available" if kind == "edi_x12" else "on_hand"
    return f"""
[supplier]
code = "acme"
name = "Acme"
[[feed]]
code = "stock"
source = {{ type = "folder", path = "{inbox}", settle = "0s", ignore = [], pattern = "*" }}
format = {{ type = "{kind}"{form and ", " + form} }}
timezone = "UTC"
quantities = "net"
stale_after = "24h"
trust_first = true
decimal = "."
duplicates = "last"
{extra}
[feed.columns]
supplier_sku = "{sku}"
{quantity} = "{quantity}"
location = "location"
"""


def world_for(tmp_path: Path, template: Path, name: str, **more: str) -> HostileWorld:
    kind, sku = ("edi_x12", "supplier_sku") if name.endswith(".x12") else ("edifact", "gtin")
    return HostileWorld(tmp_path, feed_toml(tmp_path / "inbox", kind, sku=sku, **more), HourClock(), template)


@pytest.mark.parametrize("name", list(expectations()) or ["none"])
def test_each_hostile_file_ends_as_expected_and_says_where(tmp_path, template, shared, name):
    made, expected = shared / "hostile/made", expectations()[name]
    world = world_for(tmp_path, template, name)
    if expected["outcome"] == "HOLD":
        assert world.deliver((made / "edi/e01_good_846.x12").read_bytes(), "first.x12").verdict == "ACCEPT"
    outcome = world.deliver((made / name).read_bytes(), Path(name).name)
    world.close()
    right = {expected["outcome"], expected["also_ok"]} - {""}
    if expected["outcome"] == "ACCEPT":
        right.add("ACCEPT_WARN")
    assert outcome.verdict in right, outcome.told
    if expected["must_name"]:
        assert points_at(expected["must_name"], outcome) == "", outcome.told
    assert (outcome.rows_accepted > 0) == (outcome.verdict.startswith("ACCEPT") or outcome.verdict == "HOLD")


def test_every_file_of_the_list_is_walked(shared):
    assert {Path(name).name for name in expectations()} == {path.name for path in (shared / "hostile/made/edi").iterdir()}


def test_the_second_of_two_interchanges_is_what_counts(tmp_path, template, shared):
    world = world_for(tmp_path, template, "e14.x12")
    world.deliver((shared / "hostile/made/edi/e14_two_interchanges.x12").read_bytes(), "e14.x12")
    found = {r.supplier_sku: float(r.available) for r in world.query("SELECT * FROM inventory_v1")}
    world.close()
    assert found == {"AB-00001": 1.0, "AB-00002": 2.0, "AB-00003": 3.0}
