"""Merging staged rows into the central table, on both databases."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from sqlalchemy import Engine, insert, select, text, update

from schemas.records import KEY_SCHEMA, RECORD_SCHEMA
from schemas.tables import delivery, feed, inventory, level_change, product_link
from stockfeed.store import comparison, levels, staging
from stockfeed.store.engine import write
from stockfeed.store.undo import restore_levels

AT = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
HARD_SKUS = ["NA", "NULL", "001", "1E5", "MARCH1", "True", "nan", " é", " e\u0301", "\\N", "a,b", 'a"b', "", "null"]


@pytest.fixture
def stock(engine: Engine):
    """A feed with an empty set of levels, and how to deliver to it."""
    with write(engine) as connection:
        values = {"supplier": "acme", "supplier_name": "Acme", "supplier_kind": "supplier", "policy": {}}
        connection.execute(insert(feed).values(id=1, code="acme.stock", **values))
    return Deliveries(engine)


class Deliveries:
    """Applies frames of records as deliveries 1, 2, 3 …"""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.last = 0

    def deliver(self, rows, *, rejected=(), find_absent=True, scope_locations=False, missing_after=2):
        frame = records(rows)
        self.last += 1
        with write(self.engine) as connection:
            connection.execute(
                insert(delivery).values(
                    id=self.last, feed_id=1, source_name="f", source_identity=str(self.last), sha256="0" * 64, size=1,
                    config_version="1", received_at=AT, state="applied",
                )
            )  # fmt: skip
            staging.create(connection)
            staging.load_records(connection, frame, 1)
            keys = pl.DataFrame([(sku, "", "") for sku in rejected], schema=dict(KEY_SCHEMA), orient="row")
            staging.load_rejected_keys(connection, keys)
            compared = levels.compare(connection, 1, scope_locations=scope_locations, find_absent=find_absent)
            changes = levels.apply(connection, levels.Applying(1, self.last, AT, missing_after, identity_match=True))
            connection.execute(update(feed).values(last_applied_id=self.last))
            staging.drop(connection)
        return compared, changes

    def undo(self):
        with write(self.engine) as connection:
            count = restore_levels(connection, feed_id=1, delivery_id=self.last, at=AT)
            self.last -= 1
            return count

    def levels(self):
        with write(self.engine) as connection:
            rows = connection.execute(select(inventory).order_by(inventory.c.supplier_sku, inventory.c.location)).all()
        return {(r.supplier_sku, r.location): r for r in rows}

    def on_hand(self):
        return {sku: row.on_hand for (sku, _), row in self.levels().items()}


def records(rows) -> pl.DataFrame:
    """Rows are (sku, quantity) or (sku, quantity, location); quantities in whole units."""
    blank = dict.fromkeys(RECORD_SCHEMA)
    made = [
        blank | {"row": n, "line": n, "supplier_sku": r[0], "location": r[2] if len(r) > 2 else "", "condition": "",
                 "on_hand": None if r[1] is None else r[1] * 1000}
        for n, r in enumerate(rows, start=2)
    ]  # fmt: skip
    return pl.DataFrame(made, schema=dict(RECORD_SCHEMA))


def test_the_first_load_writes_every_level_with_its_row_and_history(stock):
    compared, changes = stock.deliver([("A", 3), ("B", 0), ("C", None)])
    assert (compared.new, changes) == (None, 3)
    found = stock.levels()
    assert found["A", ""].on_hand == 3000
    assert found["C", ""].on_hand is None
    assert found["B", ""].source_row == 3
    assert found["A", ""].sku == "A"
    with write(stock.engine) as connection:
        history = connection.execute(select(level_change).order_by(level_change.c.id)).all()
    assert [(h.id, h.kind, h.on_hand_before, h.on_hand_after) for h in history] == [
        (1, "new", None, 3000),
        (2, "new", None, 0),
        (3, "new", None, None),
    ]


def test_only_changed_levels_are_written(stock):
    stock.deliver([("A", 3), ("B", 5), ("C", 7)])
    compared, changes = stock.deliver([("A", 3), ("B", 4), ("C", 7), ("D", 1)])
    assert (compared.new, compared.changed, compared.known, compared.present, changes) == (1, 1, 3, 3, 2)
    found = stock.levels()
    assert found["A", ""].delivery_id == 1
    assert found["B", ""].delivery_id == 2
    assert found["D", ""].on_hand == 1000


def test_newly_zero_skus_are_counted(stock):
    stock.deliver([("A", 3), ("B", 5), ("C", 0)])
    compared, _ = stock.deliver([("A", 0), ("B", 5), ("C", 0)])
    assert compared.newly_zero == 1


def test_an_absent_sku_goes_to_zero_only_after_two_snapshots(stock):
    stock.deliver([("A", 3), ("B", 5)])
    compared, _ = stock.deliver([("A", 3)])
    assert (compared.known, compared.present, compared.absent) == (2, 1, 1)
    assert stock.on_hand() == {"A": 3000, "B": 5000}
    stock.deliver([("A", 3)])
    assert stock.on_hand() == {"A": 3000, "B": 0}
    _, changes = stock.deliver([("A", 3)])
    assert changes == 0


def test_an_absent_sku_that_returns_is_counted_anew(stock):
    stock.deliver([("A", 3), ("B", 5)])
    stock.deliver([("A", 3)])
    stock.deliver([("A", 3), ("B", 5)])
    assert stock.levels()["B", ""].missing_count == 0
    stock.deliver([("A", 3)])
    assert stock.on_hand()["B"] == 5000


def test_absence_means_nothing_in_a_delta(stock):
    stock.deliver([("A", 3), ("B", 5)])
    for _ in range(3):
        stock.deliver([("A", 2)], find_absent=False)
    assert stock.on_hand() == {"A": 2000, "B": 5000}


def test_a_location_scope_leaves_other_locations_alone(stock):
    stock.deliver([("A", 3, "NJ"), ("A", 5, "LA"), ("B", 1, "NJ")])
    for _ in range(2):
        stock.deliver([("A", 3, "NJ")], scope_locations=True)
    found = stock.levels()
    assert found["A", "LA"].on_hand == 5000
    assert found["B", "NJ"].on_hand == 0


def test_a_key_seen_only_in_rejected_rows_keeps_its_level_and_is_unconfirmed(stock):
    stock.deliver([("A", 3), ("B", 5)])
    for expected in (1, 2, 2):
        stock.deliver([("A", 3)], rejected=["B"])
        row = stock.levels()["B", ""]
        assert (row.on_hand, row.unconfirmed_count, row.missing_count) == (5000, expected, 0)
    assert stock.levels()["B", ""].confirmed_delivery_id == 1


@pytest.mark.parametrize("sku", HARD_SKUS)
def test_hard_skus_come_back_byte_for_byte(stock, sku: str):
    stock.deliver([(sku, 1), ("other", 2)])
    stock.deliver([(sku, 2), ("other", 2)])
    assert stock.on_hand() == {sku: 2000, "other": 2000}


def test_the_two_forms_of_an_accented_letter_are_two_skus(stock):
    stock.deliver([("é", 1), ("e\u0301", 2)])
    assert stock.on_hand() == {"é": 1000, "e\u0301": 2000}


def test_a_product_link_gives_the_master_sku(stock):
    with write(stock.engine) as connection:
        connection.execute(
            insert(product_link).values(feed_id=1, supplier_sku="A", sku="MASTER-A", factor_numerator=1, factor_denominator=1)
        )
    stock.deliver([("A", 3), ("B", 5)])
    found = stock.levels()
    assert (found["A", ""].sku, found["B", ""].sku) == ("MASTER-A", "B")


def test_undo_restores_exactly_what_was_there(stock):
    stock.deliver([("A", 3), ("B", 5), ("C", 7), ("G", 1)])
    stock.deliver([("A", 3), ("B", 5), ("C", 7)])
    before = stock.levels()
    stock.deliver([("A", 1), ("D", 9), ("C", None)], rejected=["B"])
    assert stock.undo() > 0
    assert stock.levels() == before


def test_dates_survive_undo(stock):
    stock.deliver([("A", 3)])
    day = date(2026, 12, 24)
    with write(stock.engine) as connection:
        connection.execute(update(inventory).values(next_available_on=day))
    stock.deliver([("A", 4)])
    assert stock.levels()["A", ""].next_available_on is None
    stock.undo()
    assert stock.levels()["A", ""].next_available_on == day


def test_change_ids_are_dense_and_ordered(stock):
    stock.deliver([("A", 3), ("B", 5)])
    stock.deliver([("A", 4), ("C", 1)])
    stock.deliver([("A", 4), ("C", 1)])
    with write(stock.engine) as connection:
        ids = list(connection.execute(select(level_change.c.id).order_by(level_change.c.id)).scalars())
        assert connection.execute(text("SELECT value FROM clock")).scalar_one() == ids[-1]
    assert ids == list(range(1, len(ids) + 1))


def test_the_public_view_shows_units(stock):
    stock.deliver([("A", 3)])
    with write(stock.engine) as connection:
        row = connection.execute(text("SELECT feed, supplier_sku, on_hand, source_row, delivery_id FROM inventory_v1")).one()
    assert (row.feed, row.supplier_sku, float(row.on_hand), row.source_row, row.delivery_id) == ("acme.stock", "A", 3.0, 2, 1)


def test_loads_of_every_size_arrive_whole_and_in_order(stock) -> None:
    rows = [(f"S{n:04}", None if n % 3 else n, "W" if n % 2 else "") for n in range(257)]
    assert stock.deliver(rows)[1] == 257
    assert {key: level.on_hand for key, level in stock.levels().items()} == {
        (sku, location): None if quantity is None else quantity * 1000 for sku, quantity, location in rows
    }
    assert {sku: level.source_row for (sku, _), level in stock.levels().items()} == {
        row[0]: n for n, row in enumerate(rows, start=2)
    }


def test_a_batch_without_records_is_loaded_as_nothing(stock) -> None:
    assert stock.deliver([])[1] == 0
    assert stock.deliver([("A", 1)])[1] == 1


def test_history_of_a_first_load_is_numbered_in_file_order_even_where_rows_left_it(stock) -> None:
    with write(stock.engine) as connection:
        staging.create(connection)
        staging.load_records(connection, records([("C", 3), ("B", 2), ("A", 1)]), 1)
        staging.pick(connection, pl.Series([2]))
        staging.delete_picked(connection)
        assert levels.apply(connection, levels.Applying(1, 1, AT, 2, identity_match=True)) == 2
        staging.drop(connection)
    assert stock.deliver([("C", 3), ("D", 4)])[1] == 2
    with write(stock.engine) as connection:
        history = connection.execute(select(level_change.c.supplier_sku, level_change.c.kind).order_by(level_change.c.id)).all()
    assert [tuple(row) for row in history] == [("C", "new"), ("A", "new"), ("D", "new"), ("A", "missing")]


def test_levels_written_in_file_order_are_those_written_in_key_order(stock) -> None:
    with write(stock.engine) as connection:
        staging.create(connection)
        staging.load_records(connection, records([("B", 2), ("A", 1)]), 1)
        levels.apply(connection, levels.Applying(1, 1, AT, 2, identity_match=True, in_key_order=True))
        staging.drop(connection)
    assert stock.on_hand() == {"A": 1000, "B": 2000}


@pytest.mark.parametrize("few_of", [0, 1_000_000])
def test_few_touched_levels_are_compared_as_many_are(stock, monkeypatch, few_of: int) -> None:
    monkeypatch.setattr(comparison, "_FEW_OF", few_of)
    stock.deliver([("same", 1), ("rises", 1), ("ends", 5), ("gone", 1), ("lost", 1), ("doubtful", 1)])
    stock.deliver([("same", 1), ("rises", 1), ("ends", 5), ("gone", 1), ("doubtful", 1)])  # "lost" is known no more
    keys = pl.DataFrame(
        [(sku, "", "") for sku in ("rises", "ends", "gone", "doubtful", "new")], schema=dict(KEY_SCHEMA), orient="row"
    )
    with write(stock.engine) as connection:
        staging.create(connection)
        staging.load_records(connection, records([("rises", 2), ("ends", 0), ("new", 7)]), 1)
        staging.load_rejected_keys(connection, keys.filter(pl.col("supplier_sku") == "doubtful"))
        staging.load_touched_keys(connection, keys)
        compared = levels.compare_touched(connection, 1, known=5, others=1, is_complete=True)
        different = connection.execute(select(comparison.difference).order_by(comparison.difference.c.n)).all()
        gone = connection.execute(select(comparison.absent).order_by(comparison.absent.c.supplier_sku)).all()
        staging.drop(connection)
    assert [tuple(row) for row in different] == [(1, 0, 1, 1000, 2000), (2, 0, 1, 5000, 0), (3, 1, 0, None, 7000)]
    assert [(row.supplier_sku, row.rejected, row.was_known) for row in gone] == [("doubtful", 1, 1), ("gone", 0, 1), ("lost", 0, 0)]
    assert compared == levels.Compared(new=1, changed=2, known=5, present=4, newly_zero=1, absent=3, others=3)
