"""Random interleavings of deliveries, sales, publishes, crashes and lost answers: a shop is never told too much."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import TransientError
from stockfeed.store.engine import make_engine
from stockfeed.store.upgrade import upgrade
from tests.integration.publish.conftest import Desk
from tests.integration.publish.memory_shop import PLACE, Accepted, MemoryShop, PowerCutError

LAG = timedelta(hours=24)

#: Restocks are far apart and sales small, so that what the shop shows tells which write landed.
deliveries = st.tuples(st.just("deliver"), st.integers(0, 5).map(lambda n: n * 1000), st.integers(0, 24))
sales = st.tuples(st.just("sell"), st.integers(1, 4), st.just(0))
waits = st.tuples(st.just("wait"), st.integers(1, 40), st.just(0))
plain = st.sampled_from([("publish", "", 0), ("unchanged", 0, 0), ("reconcile", 0, 0)])
faults = st.sampled_from(["die before", "die after", "answer lost", "no answer", "unreachable"])
broken = st.tuples(st.just("publish"), faults, st.just(0))
steps = st.lists(st.one_of(deliveries, sales, sales, waits, plain, plain, broken), min_size=3, max_size=14)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **parts: float) -> None:
        self.now += timedelta(**parts)


class Truth:
    """What the supplier's last applied snapshot says, and which sales it does not contain."""

    def __init__(self, shop: MemoryShop, clock: Clock) -> None:
        self.shop, self.clock = shop, clock
        self.number = 0
        self.contains_until = clock.now
        self.sold: list[tuple[datetime, int]] = []
        shop.log = WatchedLog(self)

    def sell(self, units: int) -> None:
        if ("A", PLACE) in self.shop.stock:
            self.sold.append((self.clock.now, self.shop.sell("A", units)))

    def snapshot(self, restocked: int, reporting_hours: int) -> int:
        """Return the supplier's net number: sales are inside it after at most the declared lag."""
        self.contains_until = self.clock.now - timedelta(hours=reporting_hours)
        self.number = max(restocked - sum(units for at, units in self.sold if at <= self.contains_until), 0)
        return self.number

    @property
    def unreported(self) -> int:
        return sum(units for at, units in self.sold if at > self.contains_until)


class WatchedLog(list[Accepted]):
    """Checks every quantity at the moment the shop takes it."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth

    def append(self, taken: Accepted) -> None:
        assert taken.quantity <= max(self.truth.number - self.truth.unreported, 0)
        assert all(taken.version >= earlier.version for earlier in self)
        super().append(taken)


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.sqlite3"
        engine = make_engine(f"sqlite:///{path}")
        upgrade(engine)
        engine.dispose()
        yield path


def _run(desk: Desk, truth: Truth, step: tuple) -> None:
    verb, first, second = step
    if verb == "deliver":
        desk.deliver("acme.stock", {"A": truth.snapshot(first, second)})
    elif verb == "sell":
        truth.sell(first)
    elif verb == "wait":
        desk.clock.advance(hours=first)
    elif verb == "unchanged":
        desk.unchanged("acme.stock")
    elif verb == "reconcile":
        desk.reconcile()
    else:
        truth.shop.faults = [first] if first else []
        try:
            desk.publish()
        except (PowerCutError, TransientError):
            truth.shop.faults = []


@pytest.mark.parametrize("compares", [True, False], ids=["compares", "reads back"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_a_shop_is_never_told_more_than_the_supplier_has_less_unreported_sales(template, compares, steps):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db.sqlite3"
        shutil.copy(template, path)
        engine = make_engine(f"sqlite:///{path}")
        try:
            desk = Desk(engine, Clock(), Path(folder))
            desk.add_feed("acme.stock", sales_lag_s=LAG.total_seconds())
            shop = desk.add_channel(compares=compares)
            shop.list_skus("A")
            truth = Truth(shop, desk.clock)
            desk.deliver("acme.stock", {"A": truth.snapshot(2000, 0)})
            for step in steps:
                desk.clock.advance(minutes=1)
                _run(desk, truth, step)
            shop.faults = []
            desk.reconcile()  # a sale that nobody has looked at yet is in no number of ours
            for _ in range(2):
                desk.publish()
            assert shop.shows("A") == desk.ats("A").quantity
            assert shop.shows("A") <= max(truth.number - truth.unreported, 0)
            assert desk.query("SELECT id FROM publication WHERE state IN ('pending', 'sent')") == []
        finally:
            engine.dispose()
