"""collect and ingest, from a supplier's folder to the central table, on both databases."""

import gc
import hashlib
import json
import threading

import pytest

from schemas.errors import PermanentError, TransientError
from stockfeed.pipeline.acknowledge import acknowledge_all
from stockfeed.pipeline.acts import reject_delivery, release_delivery, release_feed, replay_delivery, undo_delivery
from stockfeed.pipeline.collect import collect
from stockfeed.pipeline.ingest import ingest
from tests.integration.pipeline.conftest import csv, many

WHO = {"actor": "ann", "reason": "checked with the supplier"}


def test_a_delivery_is_archived_recorded_and_applied(world):
    world.configure()
    result = world.deliver({"A": 3, "B": 0})
    assert (result.state, result.rows_read, result.rows_accepted, result.changes) == ("applied", 2, 2, 2)
    assert world.stock() == {"A": 3, "B": 0}
    (row,) = world.query("SELECT * FROM delivery")
    assert row.sha256 == hashlib.sha256(csv({"A": 3, "B": 0}).encode()).hexdigest()
    assert world.app.archive.verify(row.sha256)


def test_syncing_again_finds_nothing_new(world):
    world.configure().deliver({"A": 3})
    assert collect(world.app, "acme.stock").delivery_ids == ()


def test_ingesting_a_delivery_twice_gives_the_same_answer_and_acts_once(world):
    first = world.configure().deliver({"A": 3})
    assert ingest(world.app, first.delivery_id).state == "applied"
    assert len(world.query("SELECT * FROM level_change")) == 1


def test_bad_rows_are_kept_aside_and_the_others_applied(world):
    world.configure()
    result = world.deliver("sku,qty\nA,3\n,4\nB,\nC,lots\nD,-1\nE,5,6\nF,7\n")
    assert (result.state, result.rows_read, result.rows_accepted, result.rows_rejected) == ("applied", 7, 2, 5)
    assert world.stock() == {"A": 3, "F": 7}
    found = {(r.code, r.row) for r in world.query('SELECT code, "row" FROM rejection')}
    assert found == {("SKU-BLANK", 3), ("QTY-BLANK", 4), ("QTY-WORD", 5), ("QTY-NEGATIVE", 6), ("ROW-WIDTH", 7)}


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ('"json_doc", lines = true', lambda n: json.dumps({"sku": f"A{n}", "number": n})),
        ('"delimited"', lambda n: f"A{n},{n}" if n else "sku,number"),
    ],
)
def test_a_file_of_many_batches_without_the_column_is_rejected_for_that_and_nothing_goes_on_reading_it(world, form, line):
    world.configure()
    path = world.root / "config/suppliers/acme.toml"
    path.write_text(path.read_text().replace('{ type = "delimited" }', f"{{ type = {form}, batch_rows = 10 }}"))
    world._reopen()
    gc.collect()
    gc.disable()  # what goes on only until somebody searches for garbage goes on
    try:
        result = world.deliver("\n".join(map(line, range(5_000))) + "\n")
        left = [thread.name for thread in threading.enumerate() if thread.name == "normalise"]
    finally:
        gc.enable()
    assert (result.state, left) == ("rejected", [])
    assert "qty" in result.reason


def test_every_rejection_says_row_column_value_rule_and_remedy(world):
    world.configure().deliver("sku,qty\nA,3\nC,lots\n")
    (row,) = world.query("SELECT * FROM rejection")
    assert (row.row, row.line, row.column_name, row.value, row.code) == (3, 3, "qty", "lots", "QTY-WORD")
    assert row.message
    assert row.remedy


def test_rows_read_are_accepted_rejected_or_skipped(world):
    world.configure()
    result = world.deliver("sku,qty\nA,3\n\nB,x\nA,3\nC,1\nC,2\n")
    assert result.rows_read == result.rows_accepted + result.rows_rejected + result.rows_skipped


def test_a_key_seen_only_in_a_bad_row_keeps_its_last_good_level(world):
    world.configure().deliver({"A": 3, "B": 5})
    for _ in range(3):
        world.deliver(f"sku,qty\nA,{world.clock.now.hour}\nB,lots\n")
    assert world.stock()["B"] == 5


def test_an_absent_sku_goes_to_zero_after_two_complete_snapshots(world):
    world.configure().deliver({"A": 3, "B": 5})
    world.deliver({"A": 4})
    assert world.stock() == {"A": 4, "B": 5}
    world.deliver({"A": 5})
    assert world.stock() == {"A": 5, "B": 0}


def test_an_unchanged_file_counts_the_missing_again_and_refreshes_the_age(world):
    world.configure().deliver({"A": 3, "B": 5})
    world.deliver({"A": 3})
    before = world.query("SELECT as_of FROM feed")[0].as_of
    result = world.deliver({"A": 3})
    assert result.state == "unchanged"
    assert world.stock() == {"A": 3, "B": 0}
    assert world.query("SELECT as_of FROM feed")[0].as_of > before


def test_an_unreadable_file_is_rejected_and_the_last_good_levels_stay(world):
    world.configure().deliver({"A": 3})
    result = world.deliver("<!DOCTYPE html><html><body>Please sign in</body></html>")
    assert result.state == "rejected"
    assert world.stock() == {"A": 3}


def test_a_file_without_the_declared_columns_is_rejected_naming_them(world):
    world.configure().deliver({"A": 3})
    result = world.deliver("article,stock\nA,4\n")
    assert result.state == "rejected"
    assert "sku" in result.reason
    assert world.stock() == {"A": 3}


@pytest.mark.parametrize("rows", [many(30, 0), {}], ids=["all zero", "no rows"])
def test_a_suspicious_delivery_is_held_and_changes_nothing(world, rows):
    world.configure().deliver(many(30))
    result = world.deliver(rows)
    assert result.state == "held"
    assert world.stock() == many(30)
    assert len(world.query("SELECT * FROM hold WHERE state = 'open'")) == 1


def test_releasing_a_held_delivery_applies_it(world):
    world.configure().deliver(many(30))
    held = world.deliver(many(30, 0))
    assert release_delivery(world.app, held.delivery_id, **WHO).state == "applied"
    assert set(world.stock().values()) == {0.0}
    (hold,) = world.query("SELECT * FROM hold")
    assert (hold.state, hold.decided_by) == ("released", "ann")
    assert world.query("SELECT actor, act FROM audit") == [("ann", "release_delivery")]


def test_rejecting_a_held_delivery_keeps_the_levels(world):
    world.configure().deliver(many(30))
    held = world.deliver(many(30, 0))
    assert reject_delivery(world.app, held.delivery_id, **WHO).state == "rejected"
    assert world.stock() == many(30)
    with pytest.raises(PermanentError, match="not held"):
        release_delivery(world.app, held.delivery_id, **WHO)


def test_a_later_good_snapshot_supersedes_a_held_one(world):
    world.configure().deliver(many(30))
    held = world.deliver(many(30, 0))
    assert world.deliver(many(30, 11)).state == "applied"
    assert ingest(world.app, held.delivery_id).state == "superseded"
    assert {r.state for r in world.query("SELECT state FROM hold")} == {"superseded"}


def test_two_held_deliveries_that_agree_say_so(world):
    world.configure().deliver(many(60))
    world.deliver(many(60, 0))
    second = world.deliver(many(60, 0, S000=1))
    assert second.state == "held"
    assert "HELD-AGREES" in {f["code"] for f in second.findings}


def test_the_content_of_an_older_snapshot_is_held(world):
    world.configure().deliver(many(30, 10))
    world.deliver(many(30, 11))
    result = world.deliver(many(30, 10))
    assert (result.state, result.findings[0]["code"]) == ("held", "OLD-BYTES")


def test_repeating_content_is_normal_where_the_feed_says_so(world):
    world.configure("trust_first = true\nrepeats = true").deliver(many(30, 10))
    world.deliver(many(30, 11))
    assert world.deliver(many(30, 10)).state == "applied"


def test_an_older_file_never_overwrites_a_newer_one(world):
    world.configure('trust_first = true\norder_by = "source_time"').deliver({"A": 3})
    world.clock.advance(hours=-2)
    world.put(csv({"A": 9}))
    world.clock.advance(hours=2)
    (result,) = world.sync()
    assert result.state == "superseded"
    assert world.stock() == {"A": 3}


def test_three_superseded_deliveries_in_a_row_raise_an_alarm(world):
    world.configure('trust_first = true\norder_by = "source_time"').deliver({"A": 3})
    world.clock.advance(hours=-9)
    results = [world.deliver({"A": n}) for n in range(3)]
    assert [r.state for r in results] == ["superseded"] * 3
    assert [f["code"] for f in results[-1].findings] == ["OLDER-REPEATED"]


def test_stock_from_the_future_is_held(world):
    world.configure('trust_first = true\norder_by = "source_time"')
    world.clock.advance(hours=1)
    world.put(csv({"A": 3}))
    world.clock.advance(minutes=-30)
    (result,) = world.sync()
    assert (result.state, result.findings[0]["code"]) == ("held", "AS-OF-FUTURE")


def test_undo_restores_levels_position_and_age(world):
    world.configure().deliver(many(30, 10))
    before = world.query("SELECT as_of, order_key, last_applied_id FROM feed")
    second = world.deliver(many(30, 11))
    assert undo_delivery(world.app, second.delivery_id, **WHO).state == "undone"
    assert world.stock() == many(30)
    assert world.query("SELECT as_of, order_key, last_applied_id FROM feed") == before
    assert world.query("SELECT epoch FROM feed")[0].epoch == 1


def test_undone_bytes_can_only_be_held(world):
    world.configure().deliver(many(30, 10))
    second = world.deliver(many(30, 11))
    undo_delivery(world.app, second.delivery_id, **WHO)
    again = world.deliver(many(30, 11))
    assert (again.state, again.findings[0]["code"]) == ("held", "UNDONE-BYTES")


def test_only_the_last_applied_delivery_can_be_undone(world):
    first = world.configure().deliver(many(30, 10))
    world.deliver(many(30, 11))
    with pytest.raises(PermanentError, match="not the last applied"):
        undo_delivery(world.app, first.delivery_id, **WHO)


def test_undoing_the_very_first_delivery_leaves_no_levels(world):
    first = world.configure().deliver(many(30, 10))
    undo_delivery(world.app, first.delivery_id, **WHO)
    assert world.stock() == {}


def test_a_new_feed_is_in_shadow_until_released(world):
    world.configure("").deliver({"A": 3})
    assert {bool(r.in_shadow) for r in world.query("SELECT in_shadow FROM inventory_v1")} == {True}
    assert release_feed(world.app, "acme.stock", **WHO)
    assert {bool(r.in_shadow) for r in world.query("SELECT in_shadow FROM inventory_v1")} == {False}
    assert not release_feed(world.app, "acme.stock", **WHO)


def test_a_feed_without_stock_cannot_be_released(world):
    world.configure("")
    with pytest.raises(PermanentError, match="no applied delivery"):
        release_feed(world.app, "acme.stock", **WHO)


def test_a_held_delta_blocks_later_deltas_until_it_is_decided(world):
    world.configure('trust_first = true\nmode = "delta"').deliver(many(30, 10))
    held = world.deliver(many(30, 0))
    assert held.state == "held"
    later = world.deliver({"S000": 7})
    assert (later.state, later.reason) == (
        "received",
        f"waits for delivery {held.delivery_id}, which must be released or rejected first",
    )
    reject_delivery(world.app, held.delivery_id, **WHO)
    assert [r.state for r in world.sync()] == ["applied"]
    assert world.stock()["S000"] == 7


def test_a_rejected_delivery_is_read_again_after_the_mapping_was_corrected(world):
    world.configure().deliver({"A": 3})
    bad = world.deliver("sku,units\nA,4\n")
    assert bad.state == "rejected"
    world.edit('on_hand = "qty"', 'on_hand = ["qty", "units"]')
    assert replay_delivery(world.app, bad.delivery_id, actor="ann").state == "applied"
    assert world.stock() == {"A": 4}


def test_an_applied_delivery_is_read_anew_under_another_configuration(world):
    first = world.configure().deliver("sku,qty,free\nA,3,2\n")
    world.edit('on_hand = "qty"', 'on_hand = "free"')
    again = replay_delivery(world.app, first.delivery_id, actor="ann")
    assert (again.state, again.delivery_id) == ("applied", first.delivery_id + 1)
    assert world.stock() == {"A": 2}


def test_a_delivery_is_acknowledged_only_after_it_ended(world):
    world.configure().edit('settle = "0s"', 'settle = "0s", after = "delete"')
    world.clock.advance(hours=1)
    path = world.put(csv({"A": 3}))
    ids = collect(world.app, "acme.stock").delivery_ids
    assert acknowledge_all(world.app, "acme.stock") == 0
    assert path.exists()
    ingest(world.app, ids[0])
    assert acknowledge_all(world.app, "acme.stock") == 1
    assert not path.exists()
    assert acknowledge_all(world.app, "acme.stock") == 0


def test_two_runs_of_one_feed_do_not_write_at_once(world):
    from schemas.tables import feed
    from stockfeed.pipeline.lease import hold_lease

    world.configure().deliver({"A": 3})
    with hold_lease(world.app, feed, "acme.stock"), pytest.raises(TransientError, match="being worked on"):
        collect(world.app, "acme.stock")


def test_a_missing_archive_file_is_a_clear_error_and_nothing_changes(world):
    world.is_damaged = True
    world.configure().deliver({"A": 3})
    world.clock.advance(hours=1)
    world.put(csv({"A": 4}))
    (delivery_id,) = collect(world.app, "acme.stock").delivery_ids
    sha = world.query(f"SELECT sha256 FROM delivery WHERE id = {delivery_id}")[0].sha256
    world.app.archive.path(sha).unlink()
    with pytest.raises(PermanentError, match="archive has no file"):
        ingest(world.app, delivery_id)
    assert world.stock() == {"A": 3}


def test_replaying_with_the_same_configuration_is_refused(world):
    first = world.configure().deliver({"A": 3})
    with pytest.raises(Exception, match="present configuration already"):
        replay_delivery(world.app, first.delivery_id, actor="ann")


def test_what_a_guard_rejects_is_stored_under_its_own_code(world):
    world.configure()
    result = world.deliver("sku,qty\nA,lots\nB,lots\n")
    assert (result.state, result.findings[0]["code"]) == ("rejected", "ALL-REJECTED")
    assert world.query("SELECT reason_code FROM delivery") == [("ALL-REJECTED",)]
    assert [r.code for r in world.query("SELECT code FROM rejection ORDER BY number")] == ["ALL-REJECTED", "QTY-WORD", "QTY-WORD"]


def test_what_a_contract_rejects_is_stored_with_the_row_and_column_it_names(world):
    expect = '[[feed.expect]]\ntype = "expect_column_values_to_be_between"\ncolumn = "on_hand"\nmax_value = 5\nseverity = "reject"'
    world.configure(tables=expect).deliver({"A": 3, "B": 9})
    (problem,) = world.query("SELECT * FROM rejection")
    assert (problem.code, problem.column_name, problem.row) == ("EXPECT-FAILED", "on_hand", 3)
