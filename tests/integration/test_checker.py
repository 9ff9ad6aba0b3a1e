"""The checker finds each kind of damage, on both databases, and nothing on a sound one."""

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import insert

from schemas import tables as t
from stockfeed.checker import QUERIES, check_database
from stockfeed.store.engine import write

BYTES = b"SKU,Qty\nA,5\n"
SHA256 = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture
def sound(engine, tmp_path, clock):
    """A database with one applied delivery, one level, one offer, and its archive."""
    now = clock()
    folder = tmp_path / "archive" / SHA256[:2] / SHA256[2:4]
    folder.mkdir(parents=True)
    (folder / SHA256).write_bytes(BYTES)
    key = {"feed_id": 1, "supplier_sku": "A", "location": "", "condition": ""}
    offer = {"channel": "shop", "sku": "A", "channel_location": "1"}
    with write(engine) as connection:

        def add(table, **values):
            connection.execute(insert(table).values(**values))

        add(t.feed, id=1, code="acme.stock", supplier="acme", supplier_name="Acme", supplier_kind="supplier", last_applied_id=1)
        add(t.feed, id=2, code="acme.other", supplier="acme", supplier_name="Acme", supplier_kind="supplier")
        counts = {"rows_read": 3, "rows_accepted": 1, "rows_rejected": 1, "rows_skipped": 1}
        delivery = {"feed_id": 1, "source_name": "a.csv", "size": len(BYTES), "config_version": "c", "received_at": now}
        add(t.delivery, id=1, source_identity="a", sha256=SHA256, state="applied", **delivery, **counts)
        add(t.inventory, **key, on_hand=5000, delivery_id=1, source_row=2)
        add(t.level_change, id=1, **key, kind="new", delivery_id=1, at=now, on_hand_after=5000)
        ats = {"version": 1, "reason_code": "offered"}
        add(t.available_to_sell, **offer, **ats, quantity=5, steps=[], computed_at=now)
        add(t.ats_change, id=2, **offer, **ats, after=5, at=now)
    return engine, tmp_path / "archive", now


def damage(engine, statement):
    with write(engine) as connection:
        connection.exec_driver_sql(statement)


def test_a_sound_database_has_no_faults(sound):
    assert check_database(*sound) == []


PUBLICATION = (
    "INSERT INTO publication"
    " (channel, sku, channel_location, quantity, version, idempotency_key, state, attempts, created_at, sent_at) VALUES"
    " ('shop', 'A', '1', 5, {version}, '{version}', 'confirmed', 1, '2026-11-02T08:00:00+00:00', '2026-11-02T08:00:00+00:00')"
)
_CHANGE = "feed_id, supplier_sku, location, condition, kind, delivery_id, at, on_hand_after"
SECOND_CHANGE = f"INSERT INTO level_change (id, {_CHANGE}) SELECT 9, {_CHANGE} FROM level_change"
OPEN_HOLD = (
    "INSERT INTO hold (id, kind, delivery_id, findings, state, opened_at)"
    " VALUES (1, 'delivery', 1, '[]', 'open', '2026-11-02T08:00:00+00:00')"
)


@pytest.mark.parametrize(
    ("rule", "subject", "statements"),
    [
        ("I2", "delivery 1, A", [SECOND_CHANGE]),
        ("I3", "acme.stock", ["UPDATE delivery SET state = 'undone'"]),
        ("I5", "acme.stock, A", ["UPDATE inventory SET on_hand = 6000"]),
        ("I5", "acme.stock, A", ["UPDATE inventory SET available = 0"]),
        ("I5", "shop, A", ["UPDATE available_to_sell SET quantity = 4"]),
        ("I7", "shop, A", ["UPDATE available_to_sell SET quantity = -1", "UPDATE ats_change SET after = -1"]),
        ("I8", "shop, A", [PUBLICATION.format(version=2), PUBLICATION.format(version=1)]),
        ("I9", "delivery 1", ["UPDATE delivery SET rows_accepted = 2"]),
        ("I15", "feed 1, A", ["UPDATE inventory SET delivery_id = 77"]),
        ("I15", "feed 1, A", ["UPDATE inventory SET source_row = 0"]),
        ("I1", "hold 1, delivery 1", [OPEN_HOLD]),
    ],
)  # fmt: skip
def test_damage_is_found_and_named(sound, rule, subject, statements):
    engine, archive, now = sound
    for statement in statements:
        damage(engine, statement)
    assert [(fault["rule"], fault["subject"]) for fault in check_database(engine, archive, now)] == [(rule, subject)]


def test_bytes_that_are_missing_changed_or_strange_are_found(sound):
    engine, archive, now = sound
    path = archive / SHA256[:2] / SHA256[2:4] / SHA256
    path.write_bytes(b"other")
    [fault] = check_database(engine, archive, now)
    assert (fault["subject"], fault["message"]) == ("delivery 1", f"its bytes {SHA256[:12]}… changed in the archive")
    path.rename(path.with_name("f" * 64))
    faults = check_database(engine, archive, now)
    assert [fault["message"] for fault in faults] == [
        f"its bytes {SHA256[:12]}… are not in the archive",
        "bytes in the archive belong to no delivery",
    ]


def test_a_delivery_without_an_end_state_is_found_after_ten_minutes(sound):
    engine, archive, now = sound
    damage(engine, "UPDATE feed SET last_applied_id = NULL")
    damage(engine, "UPDATE delivery SET state = 'received'")
    assert check_database(engine, archive, now + timedelta(minutes=9)) == []
    [fault] = check_database(engine, archive, now + timedelta(minutes=11))
    assert (fault["rule"], fault["subject"]) == ("I1", "delivery 1")


def test_every_rule_that_is_checked_is_one_of_the_design():
    assert {rule for rule, _, _ in QUERIES} <= {f"I{n}" for n in range(1, 18)}
