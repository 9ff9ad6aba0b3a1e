"""Leases: one holder at a time, and no write after losing one (I11)."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, insert

from schemas.errors import ConfigError, TransientError
from schemas.tables import feed
from stockfeed.store import leases
from stockfeed.store.engine import write

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)


@pytest.fixture
def feeds(engine: Engine) -> Engine:
    values = {"supplier": "acme", "supplier_name": "Acme", "supplier_kind": "supplier", "policy": {}}
    with write(engine) as connection:
        connection.execute(insert(feed).values(code="acme.stock", **values))
    return engine


def take(engine: Engine, holder: str, now: datetime = NOW) -> int:
    with write(engine) as connection:
        return leases.take(connection, feed, "acme.stock", holder=holder, now=now, seconds=60)


def test_a_second_holder_is_told_to_wait(feeds: Engine):
    take(feeds, "elsewhere/1/1/a")
    with pytest.raises(TransientError, match="elsewhere/1/1/a"):
        take(feeds, "elsewhere/2/2/b")


def test_a_held_lease_names_no_time_so_that_a_task_waits_longer_each_time(feeds: Engine):
    """Half a minute four times would be over before the lease of a worker that died on another machine."""
    take(feeds, "elsewhere/1/1/a")
    with pytest.raises(TransientError) as caught:
        take(feeds, "elsewhere/2/2/b")
    assert caught.value.retry_after is None


def test_an_expired_lease_is_taken_and_its_old_holder_may_not_write(feeds: Engine):
    old = take(feeds, "elsewhere/1/1/a")
    new = take(feeds, "elsewhere/2/2/b", NOW + timedelta(seconds=61))
    assert new > old
    with write(feeds) as connection, pytest.raises(TransientError, match="lost"):
        leases.check(connection, feed, "acme.stock", old)
    with write(feeds) as connection:
        leases.check(connection, feed, "acme.stock", new)


def test_a_lease_that_is_given_back_is_free_at_once(feeds: Engine):
    fence = take(feeds, "elsewhere/1/1/a")
    with write(feeds) as connection:
        leases.give_back(connection, feed, "acme.stock", fence)
    assert take(feeds, "elsewhere/2/2/b") == fence + 1


def test_giving_back_a_lost_lease_leaves_the_new_holder_alone(feeds: Engine):
    old = take(feeds, "elsewhere/1/1/a")
    take(feeds, "elsewhere/2/2/b", NOW + timedelta(seconds=61))
    with write(feeds) as connection:
        leases.give_back(connection, feed, "acme.stock", old)
    with pytest.raises(TransientError):
        take(feeds, "elsewhere/3/3/c", NOW + timedelta(seconds=62))


def test_the_lease_of_a_process_that_died_here_is_taken_at_once(feeds: Engine):
    code = "from stockfeed.store.leases import new_holder; print(new_holder())"
    holder = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    first = take(feeds, holder)
    assert take(feeds, leases.new_holder()) == first + 1


def test_the_lease_of_a_living_process_here_is_respected(feeds: Engine):
    take(feeds, leases.new_holder())
    with pytest.raises(TransientError):
        take(feeds, leases.new_holder())


def test_renewing_extends_the_time(feeds: Engine):
    fence = take(feeds, "elsewhere/1/1/a")
    with write(feeds) as connection:
        leases.renew(connection, feed, "acme.stock", fence, now=NOW + timedelta(seconds=50), seconds=60)
    with pytest.raises(TransientError):
        take(feeds, "elsewhere/2/2/b", NOW + timedelta(seconds=70))


def test_an_unknown_feed_is_a_config_error(feeds: Engine):
    with write(feeds) as connection, pytest.raises(ConfigError):
        leases.take(connection, feed, "nobody.stock", holder="x", now=NOW, seconds=1)
