"""Undo (I17): back to the snapshot before, whatever came on top, on both databases."""

import pytest
from sqlalchemy import text

from schemas.errors import PermanentError
from stockfeed.pipeline.acts import release_delivery, release_feed, undo_delivery
from stockfeed.store.engine import write
from stockfeed.store.reservations import SeenSale, add_seen_sales
from tests.conftest import HandClock
from tests.integration.pipeline.conftest import many
from tests.integration.pipeline.selling import Shop

WHO = {"actor": "ann", "reason": "wrong file"}
LEVELS = (
    "SELECT supplier_sku, location, condition, on_hand, available, on_order, unit, next_available_on, unit_cost, currency, gtin, "
    "mpn, delivery_id, source_row, missing_count, unconfirmed_count, confirmed_delivery_id FROM inventory ORDER BY 1, 2, 3"
)


def test_undo_takes_back_what_unchanged_deliveries_counted_on_top(world):
    world.configure("trust_first = true\nmissing_after = 3").deliver({"A": 3, "B": 5})
    before = world.query(LEVELS), world.query("SELECT as_of, order_key, stale_at, content_since FROM feed")
    second = world.deliver({"A": 3})
    assert [world.deliver({"A": 3}).state for _ in range(3)] == ["unchanged"] * 3
    assert world.stock() == {"A": 3, "B": 0}
    undo_delivery(world.app, second.delivery_id, **WHO)
    assert (world.query(LEVELS), world.query("SELECT as_of, order_key, stale_at, content_since FROM feed")) == before


def test_every_applied_delivery_can_be_undone_one_after_the_other(world):
    world.configure()
    seen, ids = [], []
    for rows in ({"A": 3, "B": 5}, {"A": 4, "C": 1}, {"A": 4, "B": 6}, {"C": 2, "A": 9}):
        seen.append(world.query(LEVELS))
        ids.append(world.deliver(rows).delivery_id)
    for delivery_id in reversed(ids):
        undo_delivery(world.app, delivery_id, **WHO)
        assert world.query(LEVELS) == seen.pop()
    assert world.query("SELECT last_applied_id, epoch FROM feed") == [(None, 4)]


def test_a_delivery_is_undone_once(world):
    world.configure().deliver({"A": 3})
    second = world.deliver({"A": 4})
    undo_delivery(world.app, second.delivery_id, **WHO)
    with pytest.raises(PermanentError, match="not the last applied"):
        undo_delivery(world.app, second.delivery_id, **WHO)


def test_after_an_undo_the_next_good_snapshot_is_applied_and_can_be_undone(world):
    world.configure().deliver({"A": 3, "B": 5})
    before = world.query(LEVELS)
    undo_delivery(world.app, world.deliver({"A": 4, "C": 1}).delivery_id, **WHO)
    third = world.deliver({"A": 8, "C": 2})
    assert world.stock() == {"A": 8, "B": 5, "C": 2}
    undo_delivery(world.app, third.delivery_id, **WHO)
    assert world.query(LEVELS) == before


def test_undone_content_that_a_person_releases_is_applied_and_counts_as_the_present_one(world):
    world.configure().deliver(many(30, 10))
    undo_delivery(world.app, world.deliver(many(30, 11)).delivery_id, **WHO)
    held = world.deliver(many(30, 11))
    assert release_delivery(world.app, held.delivery_id, **WHO).state == "applied"
    assert world.deliver(many(30, 11)).state == "unchanged"
    assert world.deliver(many(30, 12)).state == "applied"
    again = world.deliver(many(30, 11))
    assert again.findings[0]["code"] == "OLD-BYTES", "it was in force since it was undone"


def test_undo_does_not_put_a_released_feed_back_into_shadow(world):
    world.configure("").deliver({"A": 3})
    second = world.deliver({"A": 4})
    release_feed(world.app, "acme.stock", **WHO)
    undo_delivery(world.app, second.delivery_id, **WHO)
    assert not world.query("SELECT in_shadow FROM feed")[0].in_shadow


def test_undo_of_the_only_delivery_of_a_trusted_feed_puts_it_back_into_shadow(world):
    first = world.configure().deliver({"A": 3})
    undo_delivery(world.app, first.delivery_id, **WHO)
    assert world.query("SELECT in_shadow FROM feed")[0].in_shadow


def test_undo_keeps_a_product_link_made_since(world):
    world.configure().deliver({"A": 3})
    second = world.deliver({"A": 4, "B": 1})
    with write(world.app.engine) as connection:
        connection.execute(text("INSERT INTO product_link VALUES (1, 'A', 'MASTER-A', 1, 1)"))
        connection.execute(text("UPDATE inventory SET sku = 'MASTER-A' WHERE supplier_sku = 'A'"))
    undo_delivery(world.app, second.delivery_id, **WHO)
    assert world.query("SELECT supplier_sku, sku, on_hand FROM inventory") == [("A", "MASTER-A", 3000)]


def test_every_kind_of_change_says_what_was_before_and_what_is_after(world):
    world.configure("trust_first = true\nmissing_after = 1", tables='[feed.words]\n"call" = "unknown"')
    world.edit('on_hand = "qty"', 'on_hand = "qty"\non_order = { column = "coming", required = false }')
    world.deliver("sku,qty,coming\nA,3,1\nB,5,2\nC,7,3\nD,9,4\n")
    second = world.deliver("sku,qty,coming\nA,4,1\nB,lots,2\nD,call,6\n")
    undo_delivery(world.app, second.delivery_id, **WHO)
    names = "supplier_sku, kind, on_hand_before, on_hand_after, on_order_after"
    assert world.query(f"SELECT {names} FROM level_change WHERE kind <> 'new' ORDER BY kind, supplier_sku") == [
        ("A", "changed", 3000, 4000, 1000),
        ("D", "changed", 9000, None, 6000),
        ("C", "missing", 7000, 0, 0),
        ("B", "unconfirmed", 5000, 5000, 2000),
        ("A", "undone", 4000, 3000, 1000),
        ("B", "undone", 5000, 5000, 2000),
        ("C", "undone", 0, 7000, 3000),
        ("D", "undone", None, 9000, 4000),
    ]


def test_undo_restores_dates_money_and_hard_text(world):
    world.configure()
    world.edit(
        'on_hand = "qty"',
        'on_hand = "qty"\nunit = "unit"\nmpn = "mpn"\nunit_cost = "cost"\nnext_available_on = '
        '{ column = "on", formats = ["%Y-%m-%d"] }',
    )
    world.edit("trust_first = true", 'trust_first = true\ncurrency = "EUR"\ndecimal = "."')
    world.deliver('sku,qty,unit,mpn,cost,on\nA,3.125,"p""c",é\\N,12.3456,2026-12-24\nNULL,9999999,,null,,\n')
    before = world.query(LEVELS)
    assert len(before) == 2
    second = world.deliver("sku,qty,unit,mpn,cost,on\nA,4,box,x,1,2027-01-01\nNULL,1,y,z,2,2027-01-01\n")
    undo_delivery(world.app, second.delivery_id, **WHO)
    assert world.query(LEVELS) == before


class TickingClock(HandClock):
    """A clock that goes on by itself, as real ones do: no two looks at it are the same."""

    def __call__(self):
        return self.advance(milliseconds=1)


def test_undo_takes_back_the_sales_that_the_delivery_released_although_time_goes_on_while_it_is_applied(world):
    world.clock = TickingClock()
    world.configure().deliver({"A": 10, "B": 5})
    with write(world.app.engine) as connection:
        add_seen_sales(connection, [SeenSale("A", "shop", "main", 3)], world.clock())
    second = world.deliver({"A": 8, "B": 5}, days=3)
    assert Shop(world).offers() == {"A": 8, "B": 5}
    undo_delivery(world.app, second.delivery_id, **WHO)
    assert [tuple(row) for row in world.query("SELECT units, released_by FROM reservation")] == [(3, None)]
