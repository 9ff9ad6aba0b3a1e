"""The checker finds each kind of damage, on both databases, and nothing on a sound one."""

import json
import os
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from schemas.errors import ConfigError, TransientError
from schemas.tables import metadata
from stockfeed.checker import QUERIES, check_database, levels
from stockfeed.checker.reading import snapshot
from stockfeed.cli.boundary import run
from stockfeed.pipeline.acts import reject_delivery, release_delivery, replay_delivery, undo_delivery
from stockfeed.pipeline.retention import retain
from stockfeed.pipeline.sweep import sweep
from stockfeed.store.engine import read, write
from tests.integration.checked_world import WHO, SellingWorld
from tests.integration.pipeline.conftest import csv

CHANNEL = """
[channel]
code = "shop"
name = "Shop"
kind = "shopify"
connection = "shop"
locations = ["main"]
"""
SNAPSHOT = 'trust_first = true\nmissing_after = 2\nsales_lag = "0s"'


@pytest.fixture
def sound(tmp_path, database_url, clock):
    """Deliveries 1 and 2 are applied, 3 is held, 4 rejected; A was published, sold at the shop and published again."""
    world = SellingWorld(tmp_path, database_url, clock).configure(SNAPSHOT).open_shop("A", "B")
    world.deliver({"A": 5, "B": 7})
    world.deliver({"A": 60, "B": 7, "C": "x"})
    world.publish()
    world.shop.sell("A", 2)
    world.reconcile()
    world.publish()
    assert world.deliver({"A": 0, "B": 0}).state == "held"
    assert world.deliver("strange\n1\n").state == "rejected"
    world.reconcile()
    yield world
    world.close()


def damage(world, *statements):
    with write(world.app.engine) as connection:
        for statement in statements:
            connection.execute(text(statement))


def rules(faults):
    return {(one["rule"], one["subject"]) for one in faults}


def test_a_sound_database_has_no_faults(sound):
    assert sound.faults() == []
    assert sound.query("SELECT COUNT(*) FROM level_change")[0][0] == 3
    assert sound.shop.shows("A") == 58


_CHANGE = "feed_id, supplier_sku, location, condition, kind, delivery_id, at, on_hand_before, on_hand_after, before"
_SECOND_CHANGE = f"INSERT INTO level_change (id, {_CHANGE}) SELECT id + 900, {_CHANGE} FROM level_change WHERE id = 1"
_PUBLICATION = (
    "INSERT INTO publication (channel, sku, channel_location, quantity, version, idempotency_key, state, attempts, created_at,"
    " sent_at) SELECT channel, sku, channel_location, {quantity}, {version}, 'k', '{state}', 1, created_at, sent_at"
    " FROM publication WHERE sku = '{sku}' AND version = 1"
)
_NEW_DELIVERY = (
    "INSERT INTO delivery (feed_id, source_name, source_identity, sha256, size, config_version, received_at, ended_at, state,"
    " epoch, attempts, acknowledgement, applied_before_id, feed_before, order_key)"
    " SELECT feed_id, source_name, 'twice', sha256, size, config_version, received_at, ended_at, state,"
    " epoch, attempts, acknowledgement, applied_before_id, feed_before, 9 FROM delivery WHERE id = 2"
)
_DAMAGES = [
    # every delivery ends, with its hold
    ("I1", "hold 1, delivery 3", ["UPDATE delivery SET state = 'superseded' WHERE id = 3"]),
    ("I1", "hold 1, delivery 3", ["UPDATE delivery SET state = 'rejected' WHERE id = 3"]),
    ("I1", "delivery 3", ["UPDATE hold SET state = 'released'"]),
    ("I1", "delivery 4", ["UPDATE delivery SET ended_at = NULL WHERE id = 4"]),
    # one delivery acts once, and not halfway
    ("I2", "delivery 1, A", [_SECOND_CHANGE]),
    ("I4", "delivery 2", ["UPDATE delivery SET changes = 7 WHERE id = 2"]),
    ("I4", "delivery 2", ["DELETE FROM level_change WHERE delivery_id = 2"]),
    ("I4", "delivery 2", ["UPDATE level_change SET id = 99 WHERE id = 2"]),
    # the order of applied deliveries
    ("I3", "acme.stock", ["UPDATE delivery SET state = 'undone' WHERE id = 2"]),
    ("I3", "delivery 2", ["UPDATE feed SET last_applied_id = 1"]),
    ("I3", "delivery 2", ["UPDATE delivery SET order_key = 0 WHERE id = 2"]),
    ("I3", "delivery 2", ["UPDATE delivery SET state = 'undone' WHERE id = 1"]),
    ("I3", "delivery 2", ["UPDATE level_change SET id = 0 WHERE delivery_id = 2"]),
    ("I3", "delivery 2", ["UPDATE delivery SET as_of = '2026-11-03T08:00:00.000000+00:00' WHERE id = 2"]),
    # what is stored follows from the history
    ("I5", "acme.stock, A", ["UPDATE inventory SET on_hand = 6000 WHERE supplier_sku = 'A'"]),
    ("I5", "acme.stock, A", ["UPDATE inventory SET available = 0 WHERE supplier_sku = 'A'"]),
    ("I5", "acme.stock, A", ["UPDATE inventory SET on_order = 1 WHERE supplier_sku = 'A'"]),
    ("I5", "acme.stock, B", ["DELETE FROM inventory WHERE supplier_sku = 'B'"]),
    ("I5", "feed 1, B", ["DELETE FROM level_change WHERE supplier_sku = 'B'"]),
    ("I5", "feed 1, A", ["UPDATE level_change SET on_hand_before = 1 WHERE delivery_id = 2"]),
    ("I5", "shop, B", ["UPDATE available_to_sell SET quantity = 4 WHERE sku = 'B'"]),
    ("I5", "shop, B", ["UPDATE available_to_sell SET version = 4 WHERE sku = 'B'"]),
    ("I5", "shop, B", ["DELETE FROM ats_change WHERE sku = 'B'"]),
    ("I5", "shop, A", ["UPDATE ats_change SET before = 1 WHERE sku = 'A' AND version = 2"]),
    ("I5", "shop, A", ["UPDATE ats_change SET version = 9 WHERE sku = 'A' AND version = 1"]),
    # what the channel has
    ("I6", "shop, B", ["UPDATE listing SET confirmed_quantity = 1, confirmed_at = '2026-11-02T00:00:00+00:00' WHERE sku = 'B'"]),
    ("I7", "shop, B", ["UPDATE available_to_sell SET quantity = -1 WHERE sku = 'B'"]),
    ("I7", "shop, B", [_PUBLICATION.format(sku="B", quantity=6, version=1, state="confirmed")]),
    ("I7", "shop, B", [_PUBLICATION.format(sku="B", quantity=7, version=5, state="confirmed")]),
    ("I8", "shop, A", [_PUBLICATION.format(sku="A", quantity=q, version=v, state="confirmed") for q, v in ((58, 2), (60, 1))]),
    ("I8", "shop, B", [_PUBLICATION.format(sku="B", quantity=7, version=1, state="pending")] * 2),
    ("I8", "shop, B", [_PUBLICATION.format(sku="B", quantity=7, version=1, state="sent")] * 2),
    # counts
    ("I9", "delivery 2", ["UPDATE delivery SET rows_accepted = 1 WHERE id = 2"]),
    ("I9", "delivery 2", ["UPDATE delivery SET rows_skipped = 1, rows_read = 4 WHERE id = 2"]),
    # feeds keep apart, workers too
    ("I10", "delivery 2", ["UPDATE level_change SET feed_id = 7 WHERE delivery_id = 2"]),
    ("I11", "delivery 5", [_NEW_DELIVERY]),
    ("I11", "feed acme.stock", ["UPDATE feed SET lease_until = '2026-11-02T08:00:00.000000+00:00'"]),
    ("I11", "channel shop", ["UPDATE channel SET lease_until = '2027-11-02T08:00:00.000000+00:00', lease_holder = 'x'"]),
    # evidence
    ("I12", "delivery 2, rejection 1", ["UPDATE rejection SET remedy = ' ' WHERE delivery_id = 2"]),
    ("I12", "delivery 2, rejection 1", ["UPDATE rejection SET value = 'a\nb' WHERE delivery_id = 2"]),
    ("I12", "delivery 4", ["UPDATE delivery SET reason = NULL WHERE id = 4"]),
    ("I12", "hold 1, delivery 3", ["UPDATE hold SET findings = '[]'"]),
    ("I14", "delivery 4", ["UPDATE delivery SET state = 'received', acknowledgement = 'done' WHERE id = 4"]),
    ("I15", "feed 1, A", ["UPDATE inventory SET delivery_id = 77 WHERE supplier_sku = 'A'"]),
    ("I15", "feed 1, A", ["UPDATE inventory SET delivery_id = 3 WHERE supplier_sku = 'A'"]),
    ("I15", "feed 1, A", ["UPDATE inventory SET source_row = 0 WHERE supplier_sku = 'A'"]),
    ("I15", "feed 1, A", ["UPDATE inventory SET confirmed_delivery_id = 4 WHERE supplier_sku = 'A'"]),
    ("I15", "delivery 77", ["UPDATE level_change SET delivery_id = 77 WHERE delivery_id = 2"]),
    ("I15", "delivery 3", ["UPDATE level_change SET delivery_id = 3 WHERE delivery_id = 2"]),
    ("I15", "shop, B", ["UPDATE ats_change SET cause = 'delivery 77' WHERE sku = 'B'"]),
    # undo
    ("I17", "delivery 2", ["UPDATE delivery SET feed_before = NULL WHERE id = 2"]),
    ("I17", "feed 1, A", ["UPDATE level_change SET before = NULL WHERE delivery_id = 2"]),
    ("I17", "reservation 1, A", ["UPDATE reservation SET released_by = 'delivery 3'"]),
]  # fmt: skip


def saved(world):
    with write(world.app.engine) as connection:
        return {table: connection.execute(table.select()).all() for table in metadata.sorted_tables}


def restore(world, tables):
    """Put every table back, so that one world serves for all damages."""
    with write(world.app.engine) as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
        for table, rows in tables.items():
            for row in rows:
                connection.execute(table.insert().values({k: v for k, v in row._mapping.items() if v is not None}))


def test_damage_is_found_and_named(sound):
    before, unseen = saved(sound), []
    for rule, subject, statements in _DAMAGES:
        damage(sound, *statements)
        found = sound.faults()
        if (rule, subject) not in rules(found):
            unseen.append((rule, subject, statements, found))
        restore(sound, before)
    assert unseen == []
    assert sound.faults() == []


def test_every_query_has_a_damage_that_only_it_may_find():
    assert {rule for rule, _, _ in QUERIES} <= {rule for rule, _, _ in _DAMAGES} <= {f"I{n}" for n in range(1, 18)}


def test_bytes_that_are_missing_changed_or_strange_are_found(sound):
    (row,) = sound.query("SELECT sha256 FROM delivery WHERE id = 2")
    path = sound.app.archive.path(row.sha256)
    path.write_bytes(b"other")
    [fault] = sound.faults()
    assert (fault["rule"], fault["subject"]) == ("I1", "delivery 2")
    assert fault["message"] == f"its bytes {row.sha256[:12]}… changed in the archive"
    path.rename(path.with_name("f" * 64))
    assert [fault["message"] for fault in sound.faults()] == [f"its bytes {row.sha256[:12]}… are not in the archive"]


@pytest.mark.parametrize(("name", "rule"), [("f" * 64, "I1"), (f"{'f' * 64}.1.part", "I16")])
def test_bytes_that_no_delivery_knows_are_a_fault_after_two_days(sound, name, rule):
    """Before that, a run that stored them and failed may still be repeated."""
    folder = sound.app.settings.archive_dir / "ff" / "ff"
    folder.mkdir(parents=True)
    strange = folder / name
    strange.write_bytes(b"arrived")
    for days, expected in ((1, []), (3, [(rule, "ffffffffffff")])):
        instant = (sound.clock.now - timedelta(days=days)).timestamp()
        os.utime(strange, (instant, instant))
        assert list(rules(sound.faults())) == expected


def test_a_delivery_without_an_end_state_is_found_after_ten_minutes(sound):
    damage(sound, "UPDATE delivery SET state = 'received', ended_at = NULL WHERE id = 4")
    sound.clock.advance(minutes=9)
    assert sound.faults() == []
    sound.clock.advance(minutes=2)
    [fault] = sound.faults()
    assert (fault["rule"], fault["subject"]) == ("I1", "delivery 4")


def test_a_secret_in_a_stored_text_is_found_whatever_its_characters(sound):
    damage(sound, "UPDATE channel SET last_error = 'no login with p_w%! here'")
    assert sound.faults(secrets=["p_w%!"])[0]["rule"] == "I13"
    assert sound.faults(secrets=["pxw%!", ""]) == []


@pytest.mark.parametrize(
    ("rule", "event"),
    [
        ("I7", {"type": "set", "sku": "A", "location": "main", "quantity": 59}),
        ("I7", {"type": "set", "sku": "B", "location": "elsewhere", "quantity": 7}),
        ("I7", {"type": "set", "sku": "A", "location": "main", "quantity": 60, "version": 2}),
        ("I8", {"type": "set", "sku": "A", "location": "main", "quantity": 60}),
        ("I8", {"type": "set", "sku": "A", "location": "main", "quantity": 60, "version": 1}),
        ("I6", {"type": "shown", "sku": "A", "location": "main", "quantity": 60}),
    ],
)  # fmt: skip
def test_what_a_channel_should_not_have_got_or_show_is_found(sound, rule, event):
    assert sound.faults() == []
    path = sound.shop.write_log(sound.root / "told.ndjson")  # `faults` writes the true one to another file
    [now] = sound.query("SELECT quantity FROM available_to_sell WHERE sku = 'A'")
    newest = {"type": "set", "sku": "A", "location": "main", "quantity": now.quantity}  # the sale had left the shop right
    with path.open("a") as file:
        file.writelines(json.dumps(one) + "\n" for one in ([newest, event] if rule == "I8" else [event]))
    assert [one["rule"] for one in sound.faults(channel_logs={"shop": path})] == [rule]


@pytest.mark.parametrize("line", ["", "[1]", '{"type": "set", "sku": "A", "location": "main"}', '{"type": "other"}'])
def test_a_line_that_is_no_event_is_named(sound, line):
    path = sound.root / "bad.ndjson"
    path.write_text(line + "\n")
    with pytest.raises(ConfigError, match="line 1: not an event"):
        sound.faults(channel_logs={"shop": path})


def test_at_most_twenty_faults_are_told_and_no_kind_hides_another(sound):
    for number in range(30):
        damage(sound, f"INSERT INTO product (sku, tags) VALUES ('{number}', '[]')")
    damage(
        sound,
        "UPDATE level_change SET delivery_id = 77",
        "INSERT INTO available_to_sell (channel, sku, channel_location, quantity, version, reason_code, steps, computed_at)"
        " SELECT 'shop', p.sku, 'main', 1, 1, 'in_stock', '[]', d.received_at FROM product p, delivery d WHERE d.id = 1",
    )
    found = check_database(sound.app.engine, sound.app.settings.archive_dir, sound.clock.now)
    assert len(found) == 20
    assert ("I15", "delivery 77") in rules(found)


def test_the_checker_cannot_write(sound):
    with pytest.raises((DBAPIError, TransientError)), snapshot(sound.app.engine.url) as connection:
        connection.exec_driver_sql("UPDATE feed SET epoch = 7")


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    from sqlalchemy import make_url

    path = tmp_path / "none.sqlite3"
    with pytest.raises(TransientError):
        check_database(make_url(f"sqlite:///{path}"), tmp_path, None)
    assert not path.exists()


def test_a_long_legal_history_has_no_faults(tmp_path, database_url, clock):
    """Unchanged, held, replaced, released, rejected, undone, replayed, missing, stale and forgotten."""
    world = SellingWorld(tmp_path, database_url, clock).configure(SNAPSHOT).open_shop("A", "B", "C")
    world.deliver({"A": 5, "B": 7, "C": 1})
    world.publish()
    assert world.faults() == []
    world.deliver({"A": 5, "B": 7})
    assert world.deliver({"A": 5, "B": 7}).state == "unchanged"
    assert world.stock()["C"] == 0
    assert world.faults() == []
    held = world.deliver({"A": 0})
    again = world.deliver({"A": 0, "B": 0})
    assert (held.state, again.state) == ("held", "held")
    assert world.faults() == []
    assert release_delivery(world.app, again.delivery_id, **WHO).state == "applied"
    world.publish()
    world.deliver({"A": 9, "B": "x"})
    last = world.deliver({"A": 8, "C": 3})
    world.shop.sell("A", 2)
    world.publish()
    undo_delivery(world.app, last.delivery_id, **WHO)
    world.publish()
    assert world.faults() == []
    assert world.deliver({"A": 8, "C": 3}).state == "held"
    assert world.deliver({"A": 5, "B": 7}).state == "held"
    rejected = world.deliver("sku,units\nA,4\n")
    assert rejected.state == "rejected"
    world.edit('on_hand = "qty"', 'on_hand = ["qty", "units"]')
    clock.advance(hours=1)
    assert replay_delivery(world.app, rejected.delivery_id, actor="ann").state == "applied"
    assert replay_delivery(world.app, 1, actor="ann").state == "superseded"
    world.reconcile()
    world.publish()
    assert world.faults() == []
    clock.advance(days=2)
    sweep(world.app)
    world.publish()
    assert world.shop.shows("A") == 0
    clock.advance(days=90)
    assert retain(world.app).files > 3
    assert world.faults() == []
    world.close()


def test_deltas_that_wait_long_for_a_person_are_no_fault_until_they_could_end(tmp_path, database_url, clock):
    world = SellingWorld(tmp_path, database_url, clock).configure('trust_first = true\nmode = "delta"')
    world.deliver({"A": 1})
    bad = world.deliver("sku,units\nB,4\n")
    assert bad.state == "rejected"
    for quantity in (5, 6):
        world.clock.advance(hours=1)
        world.put(csv({"B": quantity}))
    assert {result.state for result in world.sync()} == {"received"}
    clock.advance(days=3)
    assert world.faults() == []
    reject_delivery(world.app, bad.delivery_id, **WHO)
    clock.advance(minutes=9)
    assert world.faults() == []
    clock.advance(minutes=2)
    assert {fault["message"] for fault in world.faults()} == {"has no end state since more than 10 minutes"}
    assert [result.state for result in world.sync()] == ["applied", "applied"]
    assert world.faults() == []
    world.close()


def test_late_files_of_single_locations_are_no_fault(tmp_path, database_url, clock):
    world = SellingWorld(tmp_path, database_url, clock).configure(
        'trust_first = true\nscope = "location"\norder_by = "source_time"'
    )
    world.edit('on_hand = "qty"', 'on_hand = "qty"\nlocation = "place"')
    world.deliver("sku,qty,place\nA,5,north\n")
    world.deliver("sku,qty,place\nA,6,south\n")
    late = world.put("sku,qty,place\nA,7,north\n")
    instant = (clock.now - timedelta(minutes=30)).timestamp()
    os.utime(late, (instant, instant))
    assert [result.state for result in world.sync()] == ["applied"]
    assert world.faults() == []
    world.close()


def test_the_command_ends_with_1_and_names_the_faults(sound, monkeypatch, capsys):
    folder = sound.root / "config" / "channels"
    folder.mkdir()
    (folder / "shop.toml").write_text(CHANNEL)
    log = sound.shop.write_log(sound.root / "shop.ndjson")
    for name, value in (("CONFIG", "config"), ("STATE", "state"), ("DATABASE_URL", sound.database_url)):
        monkeypatch.setenv(f"STOCKFEED_{name}", value)
    monkeypatch.chdir(sound.root)

    def check(*options):
        code = run(["db", "check", *options])
        return code, capsys.readouterr().out

    assert check("--channel-log", str(log)) == (0, "All rules hold.\n")
    assert check("--channel-log", f"shop={log}") == (0, "All rules hold.\n")
    assert check("--channel-log", "nothing.ndjson")[0] == 3
    damage(sound, "UPDATE inventory SET on_hand = 1 WHERE supplier_sku = 'A'")
    code, told = check("--json")
    assert (code, json.loads(told)["rule"]) == (1, "I5")
    code, told = check("--archive", "nowhere")
    assert (code, told.count("are not in the archive")) == (1, 4)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_no_rule_of_levels_looks_something_up_for_each_level(engine):
    """A SKU's history is found by filters of blocks there: for each of many levels that took hours."""
    with read(engine) as connection:
        plans = {what: "\n".join(connection.execute(text(f"EXPLAIN {query}")).scalars()) for _, what, query in levels.QUERIES}
    lookups = ("SubPlan", "ix_level_change_feed_id_supplier_sku")
    assert [what for what, plan in plans.items() if any(one in plan for one in lookups)] == []
