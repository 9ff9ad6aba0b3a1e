"""The minute's sweep: age, silence, and an outage of ours."""

from sqlalchemy import insert

from schemas.tables import feed
from stockfeed.pipeline.sweep import sweep
from stockfeed.store.engine import write
from tests.integration.pipeline.selling import Shop


def test_stock_past_its_limit_becomes_stale_and_marks_its_feed_dirty(world):
    world.configure().deliver({"A": 3})
    assert sweep(world.app).stale == ()
    world.clock.advance(hours=24)
    assert sweep(world.app).stale == ("acme.stock",)
    assert {bool(r.is_stale) for r in world.query("SELECT is_stale FROM inventory_v1")} == {True}
    assert "age" in {r.reason for r in world.query("SELECT reason FROM dirty_mark WHERE kind = 'feed'")}
    assert sweep(world.app).stale == ()


def test_a_new_delivery_makes_a_stale_feed_fresh_at_once(world):
    world.configure().deliver({"A": 3})
    world.clock.advance(hours=30)
    sweep(world.app)
    world.deliver({"A": 4})
    assert not world.query("SELECT is_stale FROM feed")[0].is_stale


def test_a_silent_supplier_is_named(world):
    world.configure('trust_first = true\nschedule = "0 * * * *"').deliver({"A": 3})
    world.clock.advance(hours=2, minutes=30)
    assert sweep(world.app).silent == ()
    world.clock.advance(hours=1)
    assert sweep(world.app).silent == ("acme.stock",)


def test_the_sweep_leaves_a_heartbeat(world):
    world.configure()
    sweep(world.app)
    (run,) = world.query("SELECT name, outcome FROM check_run")
    assert (run.name, run.outcome) == ("sweep", "fine")


def test_most_feeds_expiring_together_is_taken_for_our_outage(world):
    config = world.configure().app.config
    template = (world.root / "config/suppliers/acme.toml").read_text()
    for code in ("bolt", "crown", "delta"):
        (world.root / f"config/suppliers/{code}.toml").write_text(template.replace('"acme"', f'"{code}"'))
    world.edit('name = "Acme"', 'name = "Acme Ltd"')
    sweep(world.app)
    with write(world.app.engine) as connection:
        connection.execute(feed.update().values(as_of=world.clock.now, stale_at=world.clock.now))
    result = sweep(world.app)
    assert result.outage
    assert not any(r.is_stale for r in world.query("SELECT is_stale FROM feed"))
    assert len(sweep(world.app, confirmed=True).stale) == 4
    assert all(r.is_stale for r in world.query("SELECT is_stale FROM feed"))
    assert config is not world.app.config


def test_a_feed_that_is_no_longer_configured_grows_stale_all_the_same(world):
    world.configure()
    with write(world.app.engine) as connection:
        values = {"supplier": "old", "supplier_name": "Old", "supplier_kind": "supplier", "policy": {}}
        connection.execute(insert(feed).values(code="old.stock", as_of=world.clock.now, stale_at=world.clock.now, **values))
    assert sweep(world.app).stale == ("old.stock",)


def together(world, count: int) -> None:
    """Let the feed and others beside it reach their limit at this moment."""
    world.configure().deliver({"A": 3})
    with write(world.app.engine) as connection:
        values = {"supplier": "old", "supplier_name": "Old", "supplier_kind": "supplier", "policy": {}, "as_of": world.clock.now}
        for number in range(count):
            connection.execute(insert(feed).values(code=f"old.stock{number}", **values))
        connection.execute(feed.update().values(stale_at=world.clock.now))


def test_allocation_follows_the_sweep_when_it_takes_stale_feeds_for_our_outage(world):
    together(world, 3)
    shop = Shop(world)
    assert shop.offers() == {"A": 3}, "before the sweep has run, too"
    assert sweep(world.app).outage
    assert shop.offers() == {"A": 3}
    sweep(world.app, confirmed=True)
    assert shop.offers() == {"A": 0}


def test_two_feeds_past_their_limit_are_no_outage_and_count_at_once(world):
    together(world, 1)
    assert Shop(world).offers() == {"A": 0}
    assert len(sweep(world.app).stale) == 2


def test_a_feed_that_was_judged_stale_before_an_outage_stays_stale(world):
    together(world, 4)
    with write(world.app.engine) as connection:
        connection.execute(feed.update().where(feed.c.code == "acme.stock").values(is_stale=True))
    assert sweep(world.app).outage
    assert Shop(world).offers() == {"A": 0}
