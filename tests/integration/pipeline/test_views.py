"""The public views say the same on both databases; and a sale is not given back by a number that nobody confirmed."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from stockfeed.store.engine import write
from stockfeed.store.reservations import SeenSale, add_seen_sales
from tests.integration.pipeline.conftest import many


def run_sql(world, *statements: str) -> None:
    with write(world.app.engine) as connection:
        for statement in statements:
            connection.execute(text(statement))


def never_stale(world) -> None:
    """The views judge the age by the database's own clock."""
    run_sql(world, "UPDATE feed SET stale_at = NULL")


def test_the_inventory_view_gives_equal_values_on_both_databases(world):
    world.configure('trust_first = true\ndecimal = "."', '[feed.words]\n"call" = "unknown"')
    world.edit('on_hand = "qty"', 'on_hand = "qty"\nunit_cost = "cost"\ncurrency = { value = "EUR" }')
    assert world.deliver("sku,qty,cost\nA,3.125,0.0001\nB,call,\nC,0,12.50\n").state == "applied"
    never_stale(world)
    names = "supplier_sku, on_hand, available, unit_cost, currency, is_stale, in_shadow, delivery_id, source_row"
    rows = [tuple(row) for row in world.query(f"SELECT {names} FROM inventory_v1 ORDER BY supplier_sku")]
    assert [tuple(float(v) if isinstance(v, Decimal) else v for v in row) for row in rows] == [
        ("A", 3.125, None, 0.0001, "EUR", False, False, 1, 2),
        ("B", None, None, None, "EUR", False, False, 1, 3),
        ("C", 0, None, 12.5, "EUR", False, False, 1, 4),
    ]


def test_unified_stock_counts_whole_sellable_units_of_confirmed_fresh_known_levels(world):
    world.configure("trust_first = true\nmissing_after = 2", '[feed.words]\n"call" = "unknown"')
    world.deliver("sku,qty\nA,7\nB,call\nC,5\nD,2.9\nE,4\n")
    world.deliver("sku,qty\nA,7\nB,call\nC,lots\nD,2.9\nE,4\n")
    world.deliver("sku,qty\nA,8\nB,call\nC,lots\nD,2.9\nE,4\n")
    never_stale(world)
    run_sql(world, "INSERT INTO product_link VALUES (1, 'E', 'E', 5, 3000000)")
    rows = world.query("SELECT sku, location, supplier_kind, units FROM unified_stock_v1 ORDER BY sku")
    assert [tuple(r) for r in rows] == [("A", "", "supplier", 8), ("D", "", "supplier", 2), ("E", "", "supplier", 0)]


def test_a_stale_level_is_shown_as_stale_and_left_out_of_unified_stock(world):
    world.configure().deliver({"A": 7})
    run_sql(world, "UPDATE feed SET is_stale = true")
    assert [bool(r.is_stale) for r in world.query("SELECT is_stale FROM inventory_v1")] == [True]
    assert world.query("SELECT * FROM unified_stock_v1") == []


def test_a_key_that_is_missing_shows_the_time_it_was_last_confirmed(world):
    world.configure().deliver({"A": 7, "B": 2})
    world.deliver({"A": 8})
    world.deliver({"A": 9})
    a, b = (str(r.as_of) for r in world.query("SELECT as_of FROM inventory_v1 ORDER BY supplier_sku"))
    assert b < a


@pytest.mark.parametrize(("rows", "left"), [("A,lots\n", 1), ("", 1), ("A,4\n", 0)], ids=["bad row", "absent", "good row"])
def test_a_sale_is_given_back_only_by_a_snapshot_that_confirms_the_sku(world, rows, left):
    world.configure().deliver(many(30, A=5))
    with write(world.app.engine) as connection:
        add_seen_sales(connection, [SeenSale("A", "shop", "main", 2)], world.clock.now)
    world.clock.advance(days=2)
    stock = "sku,qty\n" + "".join(f"{sku},{qty}\n" for sku, qty in many(30, 11).items())
    assert world.deliver(stock + rows).state == "applied"
    assert world.query("SELECT COUNT(*) AS n FROM reservation WHERE released_at IS NULL")[0].n == left


def test_undoing_the_snapshot_that_gave_a_sale_back_takes_it_again(world):
    from stockfeed.pipeline.acts import undo_delivery

    world.configure().deliver(many(30, A=5))
    with write(world.app.engine) as connection:
        add_seen_sales(connection, [SeenSale("A", "shop", "main", 2)], world.clock.now - timedelta(days=2))
    second = world.deliver(many(30, 11, A=4))
    assert world.query("SELECT * FROM reservation WHERE released_at IS NULL") == []
    undo_delivery(world.app, second.delivery_id, actor="ann", reason="wrong")
    assert len(world.query("SELECT * FROM reservation WHERE released_at IS NULL")) == 1
