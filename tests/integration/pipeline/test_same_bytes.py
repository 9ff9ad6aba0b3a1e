"""The same bytes again, and what sources and readers found about an arrival, on both databases."""

import json

import pytest
from sqlalchemy import text

from schemas.errors import PermanentError
from stockfeed.pipeline.acts import release_delivery, replay_delivery, undo_delivery
from stockfeed.pipeline.collect import collect
from stockfeed.pipeline.ingest import ingest
from stockfeed.store.engine import write
from tests.integration.pipeline.conftest import csv, many

WHO = {"actor": "ann", "reason": "checked with the supplier"}
OWN = 'trust_first = true\norder_by = "own"\nas_of = { column = "at", formats = ["%Y-%m-%d %H:%M"] }'
SPOOFED = {"code": "SENDER", "severity": "hold", "message": "the sender is not the supplier", "remedy": "Ask them."}


def timed(quantity: int, at: str) -> str:
    return "sku,qty,at\n" + "".join(f"S{n:03},{quantity + n % 7},{at}\n" for n in range(30))


def arrive(world, content: str, *findings: dict[str, str]) -> int:
    """Collect one file an hour later, with what its source found about it, and return the delivery's id."""
    world.clock.advance(hours=1)
    world.put(content)
    (delivery_id,) = collect(world.app, "acme.stock").delivery_ids
    with write(world.app.engine) as connection:
        values = {"id": delivery_id, "found": json.dumps(list(findings))}
        connection.execute(text("UPDATE delivery SET findings = :found, arrival_findings = :found WHERE id = :id"), values)
    return delivery_id


def test_the_same_bytes_with_their_own_time_are_unchanged(world):
    world.configure(OWN).deliver(timed(5, "2026-11-02 08:00"))
    before = world.query("SELECT as_of FROM feed")
    again = world.deliver(timed(5, "2026-11-02 08:00"))
    assert again.state == "unchanged"
    assert world.query("SELECT as_of FROM feed") == before, "the stock is not younger than it says"


def test_undone_bytes_with_their_own_time_can_only_be_held(world):
    world.configure(OWN).deliver(timed(5, "2026-11-02 08:00"))
    second = world.deliver(timed(6, "2026-11-02 09:00"))
    undo_delivery(world.app, second.delivery_id, **WHO)
    again = world.deliver(timed(6, "2026-11-02 09:00"))
    assert (again.state, again.findings[0]["code"]) == ("held", "UNDONE-BYTES")


def test_older_bytes_with_their_own_time_are_superseded(world):
    world.configure(OWN).deliver(timed(5, "2026-11-02 08:00"))
    world.deliver(timed(6, "2026-11-02 09:00"))
    assert world.deliver(timed(5, "2026-11-02 08:00")).state == "superseded"


def test_a_file_without_rows_cannot_say_its_time_and_is_rejected(world):
    world.configure(OWN).deliver(timed(5, "2026-11-02 08:00"))
    result = world.deliver("sku,qty,at\n")
    assert result.state == "rejected"
    assert "time of the stock" in result.reason


def test_repeated_content_is_normal_in_a_delta_feed(world):
    world.configure('trust_first = true\nmode = "delta"').deliver(many(30))
    world.deliver({"A": 5})
    world.deliver({"A": 3})
    assert world.deliver({"A": 5}).state == "applied"
    assert world.stock()["A"] == 5


def test_unchanged_stock_from_the_future_is_held_and_does_not_get_younger(world):
    world.configure('trust_first = true\norder_by = "source_time"').deliver({"A": 3})
    before = world.query("SELECT as_of, stale_at FROM feed")
    world.clock.advance(days=300)
    world.put(csv({"A": 3}))
    world.clock.advance(days=-300)
    (result,) = world.sync()
    assert (result.state, result.findings[0]["code"]) == ("held", "AS-OF-FUTURE")
    assert world.query("SELECT as_of, stale_at FROM feed") == before


def test_unchanged_content_with_an_older_time_does_not_make_the_stock_older(world):
    world.configure().deliver({"A": 3})
    before = world.query("SELECT as_of FROM feed")[0].as_of
    world.clock.advance(hours=-5)
    world.put(csv({"A": 3}))
    world.clock.advance(hours=6)
    (result,) = world.sync()
    assert result.state == "unchanged"
    assert world.query("SELECT as_of FROM feed")[0].as_of == before


def test_what_the_source_found_holds_unchanged_content_too(world):
    world.configure().deliver({"A": 3})
    before = world.query("SELECT as_of FROM feed")
    held = ingest(world.app, arrive(world, csv({"A": 3}), SPOOFED))
    assert (held.state, held.reason) == ("held", SPOOFED["message"])
    assert world.query("SELECT as_of FROM feed") == before


def test_a_released_delivery_names_each_finding_once(world):
    world.configure().deliver(many(30))
    held = ingest(world.app, arrive(world, csv(many(30, 0)), SPOOFED))
    codes = sorted(f["code"] for f in held.findings)
    released = release_delivery(world.app, held.delivery_id, **WHO)
    assert released.state == "applied"
    assert sorted(f["code"] for f in released.findings) == codes


def test_a_delivery_rejected_by_a_contract_is_accepted_after_the_contract_was_corrected(world):
    expect = '[[feed.expect]]\ntype = "expect_column_values_to_be_between"\ncolumn = "on_hand"\nmax_value = 5\nseverity = "reject"'
    world.configure(tables=expect)
    bad = world.deliver(many(30))
    assert bad.state == "rejected"
    world.edit("max_value = 5", "max_value = 500")
    assert replay_delivery(world.app, bad.delivery_id, actor="ann").state == "applied"


def test_what_the_source_found_survives_a_replay_under_another_configuration(world):
    world.configure().deliver({"A": 3})
    held = ingest(world.app, arrive(world, "sku,qty,free\nA,3,2\n", SPOOFED))
    world.edit('on_hand = "qty"', 'on_hand = "free"')
    again = replay_delivery(world.app, held.delivery_id, actor="ann")
    assert (again.state, again.reason) == ("held", SPOOFED["message"])


def test_old_content_that_comes_every_hour_leaves_one_open_hold(world):
    world.configure().deliver(many(30, 10))
    world.deliver(many(30, 11))
    results = [world.deliver(many(30, 10)) for _ in range(3)]
    assert [r.state for r in results] == ["held"] * 3
    assert "HELD-AGREES" in {f["code"] for f in results[-1].findings}
    assert [r.delivery_id for r in world.query("SELECT delivery_id FROM hold WHERE state = 'open'")] == [results[-1].delivery_id]


def test_one_arrival_read_twice_with_the_same_configuration_is_a_duplicate(world):
    first = world.configure().deliver({"A": 3})
    world.edit('on_hand = "qty"', 'on_hand = "units"')
    second = replay_delivery(world.app, first.delivery_id, actor="ann")
    assert second.state == "rejected"
    world.edit('on_hand = "units"', 'on_hand = "qty"')
    again = replay_delivery(world.app, second.delivery_id, actor="ann")
    assert (again.state, again.reason) == ("duplicate", f"the same arrival as delivery {first.delivery_id}")
    assert world.stock() == {"A": 3}


def test_a_delivery_whose_bytes_are_gone_is_not_put_back_in_line(world):
    world.is_damaged = True
    world.configure().deliver({"A": 3})
    bad = world.deliver("sku,units\nA,4\n")
    (row,) = world.query(f"SELECT sha256 FROM delivery WHERE id = {bad.delivery_id}")
    world.app.archive.path(row.sha256).unlink()
    with pytest.raises(PermanentError, match="archive has no file"):
        replay_delivery(world.app, bad.delivery_id, actor="ann")
    assert collect(world.app, "acme.stock").delivery_ids == ()


@pytest.mark.parametrize(
    "content", [b"sku,qt\x00y\nA,1\n", b"sku,qty\nA\x00B,1\nC,2\n", b"sku,qty\n\xff\xfe,1\nC,2\n", b"\x00" * 50, b""]
)
def test_bytes_that_no_database_takes_as_text_end_the_delivery_and_not_the_worker(world, content):
    world.configure().deliver({"A": 3, "C": 2})
    world.clock.advance(hours=1)
    world.put(content)
    (result,) = world.sync()
    assert result.state in {"applied", "rejected", "held"}
    assert world.stock() == {"A": 3, "C": 2}


def test_a_frozen_export_with_its_own_time_is_told_by_its_arrival(world):
    world.configure(OWN + '\nfrozen_after = "4h"').deliver(timed(5, "2026-11-02 08:00"))
    results = [world.deliver(timed(5, "2026-11-02 08:00")) for _ in range(5)]
    assert [[f["code"] for f in r.findings] for r in results] == [[], [], [], ["EXPORT-FROZEN"], ["EXPORT-FROZEN"]]


def test_a_bad_row_between_two_absences_shows_that_the_sku_is_not_gone(world):
    world.configure().deliver({"A": 1, "B": 5})
    world.deliver({"A": 2})
    world.deliver({"A": 3, "B": "lots"})
    world.deliver({"A": 4})
    assert world.stock()["B"] == 5
    assert world.query("SELECT missing_count, unconfirmed_count FROM inventory WHERE supplier_sku = 'B'") == [(1, 1)]


def test_bytes_that_are_gone_do_not_get_a_delivery_parked(world):
    world.configure().deliver({"A": 3})
    delivery_id = arrive(world, csv({"A": 4}))
    (row,) = world.query(f"SELECT sha256 FROM delivery WHERE id = {delivery_id}")
    path = world.app.archive.path(row.sha256)
    content = path.read_bytes()
    path.unlink()
    for _ in range(4):
        with pytest.raises(PermanentError, match="archive has no file"):
            ingest(world.app, delivery_id)
    path.write_bytes(content)
    assert ingest(world.app, delivery_id).state == "applied"
