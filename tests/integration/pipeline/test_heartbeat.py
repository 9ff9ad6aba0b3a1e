"""A run that reads for long keeps its lease, without a commit for each piece that it has read."""

from datetime import datetime, timedelta

from schemas.tables import feed
from stockfeed.pipeline.lease import hold_lease


def held_until(world) -> datetime:
    ((until,),) = world.query("SELECT lease_until FROM feed")
    return until if isinstance(until, datetime) else datetime.fromisoformat(until)


def test_a_lease_is_renewed_each_time_a_tenth_of_it_has_passed(world):
    world.configure().deliver({"A": 1})
    with hold_lease(world.app, feed, "acme.stock") as lease:
        taken, beat = held_until(world), lease.heartbeat()
        tenth = timedelta(seconds=world.app.settings.lease_seconds / 10)
        world.clock.advance(seconds=tenth.total_seconds() - 1)
        beat(None)
        assert held_until(world) == taken
        world.clock.advance(seconds=1)
        beat(None)
        assert held_until(world) == taken + tenth
        beat(None)
        world.clock.advance(seconds=tenth.total_seconds())
        beat(None)
        assert held_until(world) == taken + 2 * tenth


def test_a_clock_that_was_set_back_lets_the_lease_be_renewed_at_once(world):
    world.configure().deliver({"A": 1})
    with hold_lease(world.app, feed, "acme.stock") as lease:
        taken, beat = held_until(world), lease.heartbeat()
        world.clock.advance(minutes=-10)
        beat(None)
        assert held_until(world) == taken - timedelta(minutes=10)
