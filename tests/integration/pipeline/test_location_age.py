"""Each location of a feed with scope = "location" has its own age and its own seen sales, on both databases."""

from datetime import timedelta

import pytest

from schemas.tables import feed_location
from stockfeed.pipeline.acts import undo_delivery
from stockfeed.pipeline.retention import retain
from stockfeed.pipeline.sweep import overdue, sweep
from stockfeed.store.engine import write
from stockfeed.store.reservations import SeenSale, add_seen_sales
from tests.integration.pipeline.selling import Shop

WHO = {"actor": "ann", "reason": "wrong file"}


@pytest.fixture
def places(world):
    world.configure('trust_first = true\nscope = "location"')
    return world.edit('on_hand = "qty"', 'on_hand = "qty"\nlocation = "place"')


def at(place: str, rows: dict[str, object]) -> str:
    return "sku,qty,place\n" + "".join(f"{sku},{qty},{place}\n" for sku, qty in rows.items())


def ages(world) -> dict[str, object]:
    return {r.location: r.as_of for r in world.query("SELECT DISTINCT location, as_of FROM inventory_v1")}


def sold(world, sku: str, units: int, *locations: str, hours: float = 0) -> None:
    with write(world.app.engine) as connection:
        seen = world.clock.now - timedelta(hours=hours)
        add_seen_sales(connection, [SeenSale(sku, "shop", "main", units, source_locations=locations)], seen)


def open_sales(world) -> list[tuple[int | None, int]]:
    return [tuple(r) for r in world.query("SELECT feed_id, units FROM reservation WHERE released_at IS NULL ORDER BY id")]


def test_a_silent_location_grows_stale_while_the_others_deliver(places):
    places.deliver(at("L1", {"A": 1}))
    places.deliver(at("L2", {"A": 20}))
    shop = Shop(places)
    assert shop.offers() == {"A": 21}
    places.deliver(at("L2", {"A": 30}), hours=20)
    assert shop.offers() == {"A": 31}
    places.clock.advance(hours=5)
    result = sweep(places.app)
    assert (result.stale, result.stale_locations) == ((), ("acme.stock: L1",))
    assert shop.offers() == {"A": 30}
    assert "L1: stale" in shop.why("A")
    places.deliver(at("L1", {"A": 2}))
    assert shop.offers() == {"A": 32}
    assert sweep(places.app).stale_locations == ()


def test_a_location_past_its_limit_counts_as_stale_before_the_sweep_says_so(places):
    places.deliver(at("L1", {"A": 1}))
    places.deliver(at("L2", {"A": 20}), hours=20)
    places.clock.advance(hours=5)
    assert Shop(places).offers() == {"A": 20}


def test_a_location_whose_content_stays_the_same_is_fresh_and_refreshes_no_other(places):
    places.deliver(at("L1", {"A": 1}))
    places.deliver(at("L2", {"A": 20}))
    before = ages(places)
    assert places.deliver(at("L2", {"A": 20})).state == "unchanged"
    after = ages(places)
    assert after["L1"] == before["L1"]
    assert after["L2"] > before["L2"]


def test_overdue_names_a_silent_location(places):
    places.deliver(at("L1", {"A": 1}))
    places.deliver(at("L2", {"A": 20}), hours=20)
    assert overdue(places.app) == ()
    places.clock.advance(hours=5)
    assert overdue(places.app) == ("acme.stock: L1",)


def test_undo_puts_a_location_back_to_its_own_age_and_leaves_the_others(places):
    places.deliver(at("L1", {"A": 1}))
    places.deliver(at("L2", {"A": 20}))
    before = ages(places)
    wrong = places.deliver(at("L1", {"A": 5}))
    assert places.deliver(at("L2", {"A": 20})).state == "unchanged"
    undo_delivery(places.app, wrong.delivery_id, **WHO)
    after = ages(places)
    assert after["L1"] == before["L1"]
    assert after["L2"] > before["L2"]
    assert places.query("SELECT as_of FROM feed")[0].as_of == after["L2"]


def test_undo_of_the_only_delivery_of_a_location_takes_its_age_away(places):
    places.deliver(at("L1", {"A": 1}))
    first = places.deliver(at("L2", {"A": 20}))
    undo_delivery(places.app, first.delivery_id, **WHO)
    assert [r.location for r in places.query("SELECT location FROM feed_location")] == ["L1"]


def test_unchanged_content_of_an_undone_delivery_does_not_keep_older_files_of_the_location_out(places):
    places.edit('scope = "location"', 'scope = "location"\norder_by = "source_time"')
    places.deliver(at("L1", {"A": 1}))
    wrong = places.deliver(at("L1", {"A": 5}))
    assert places.deliver(at("L1", {"A": 5}), hours=3).state == "unchanged"
    undo_delivery(places.app, wrong.delivery_id, **WHO)
    places.clock.advance(hours=-1)
    places.put(at("L1", {"A": 2}))
    places.clock.advance(hours=2)
    assert [r.state for r in places.sync()] == ["applied"]


def test_a_feed_that_begins_to_deliver_location_by_location_keeps_the_age_of_the_others(world):
    world.configure().edit('on_hand = "qty"', 'on_hand = "qty"\nlocation = "place"')
    world.deliver(at("L1", {"A": 1}) + "A,2,L2\n")
    before = ages(world)
    world.edit("trust_first = true", 'trust_first = true\nscope = "location"')
    world.deliver(at("L1", {"A": 3}))
    after = ages(world)
    assert after["L2"] == before["L2"]
    assert after["L1"] > before["L1"]
    world.edit('scope = "location"', 'scope = "feed"')
    world.deliver(at("L1", {"A": 4}) + "A,5,L2\n")
    assert len(set(ages(world).values())) == 1


def test_a_changed_limit_moves_that_of_every_location(places):
    places.deliver(at("L1", {"A": 1}))
    places.deliver(at("L2", {"A": 20}), hours=20)
    places.edit('stale_after = "24h"', 'stale_after = "48h"')
    places.clock.advance(hours=5)
    assert sweep(places.app).stale_locations == ()


def test_a_sale_from_one_location_is_not_given_back_by_the_file_of_another(places):
    places.deliver(at("L1", {"A": 5}))
    places.deliver(at("L2", {"A": 20}))
    sold(places, "A", 2, "L1", hours=20)
    places.deliver(at("L2", {"A": 21}), hours=6)
    assert open_sales(places) == [(None, 2)]
    places.deliver(at("L1", {"A": 3}))
    assert open_sales(places) == []


def test_a_sale_that_any_location_may_have_served_waits_for_all_of_them(places):
    places.deliver(at("L1", {"A": 5}))
    places.deliver(at("L2", {"A": 20}))
    sold(places, "A", 2, hours=20)
    places.deliver(at("L2", {"A": 18}), hours=6)
    assert open_sales(places) == [(None, 2)]
    places.deliver(at("L1", {"A": 4}))
    assert open_sales(places) == []


def test_the_doubt_about_a_stale_location_stays_with_it_alone(places):
    places.deliver(at("L1", {"A": 5}))
    places.deliver(at("L2", {"A": 20}))
    sold(places, "A", 2)
    shop = Shop(places)
    places.clock.advance(hours=25)
    places.deliver(at("L2", {"A": 18}))
    sweep(places.app)
    for quantity in (19, 17):
        places.deliver(at("L2", {"A": quantity}))
    assert open_sales(places) == [(1, 2)]
    assert shop.offers() == {"A": 17}, "L2 contains the sale, L1 counts as nothing"
    places.clock.advance(hours=-30)
    places.put(at("L1", {"A": 4}))
    places.clock.advance(hours=30)
    assert [r.state for r in places.sync()] == ["applied"]
    places.deliver(at("L1", {"A": 3}))
    assert open_sales(places) == []
    assert shop.offers() == {"A": 20}


def test_undo_takes_a_carried_over_sale_back_to_one_reservation(places):
    places.deliver(at("L1", {"A": 5}))
    places.deliver(at("L2", {"A": 20}))
    sold(places, "A", 2)
    places.clock.advance(hours=25)
    sweep(places.app)
    second = places.deliver(at("L2", {"A": 18}))
    assert open_sales(places) == [(1, 2)]
    undo_delivery(places.app, second.delivery_id, **WHO)
    assert open_sales(places) == [(None, 2)]


def test_retention_keeps_the_bytes_in_force_of_every_location(places):
    for location in ("L1", "L2", "L3", "L4"):
        places.deliver(at(location, {"A": 1}))
    places.deliver(at("L4", {"A": 2}))
    places.deliver(at("L4", {"A": 3}))
    places.clock.advance(days=91)
    assert retain(places.app).files == 1
    kept = places.query("SELECT id FROM delivery WHERE discarded_at IS NULL ORDER BY id")
    assert [r.id for r in kept] == [1, 2, 3, 5, 6], "of L4, the one in force and the one that an undo leads back to"


def test_an_export_of_one_location_that_froze_is_told_however_often_the_others_change(places):
    places.edit("trust_first = true", 'trust_first = true\nfrozen_after = "4h"')
    places.deliver(at("L1", {"A": 1}))
    for quantity in range(6):
        places.deliver(at("L2", {"A": quantity}))
        result = places.deliver(at("L1", {"A": 1}))
    assert [f["code"] for f in result.findings] == ["EXPORT-FROZEN"]


def test_the_views_show_the_age_of_each_location(places):
    places.deliver(at("L1", {"A": 1}))
    places.deliver(at("L2", {"A": 20}))
    with write(places.app.engine) as connection:
        never = places.clock.now + timedelta(days=36500)  # the views judge the age by the database's own clock
        connection.execute(feed_location.update().values(stale_at=never))
        connection.execute(feed_location.update().where(feed_location.c.location == "L1").values(is_stale=True))
    shown = places.query("SELECT location, is_stale FROM inventory_v1 ORDER BY location")
    assert [(r.location, bool(r.is_stale)) for r in shown] == [("L1", True), ("L2", False)]
    assert [tuple(r) for r in places.query("SELECT location, units FROM unified_stock_v1")] == [("L2", 20)]
