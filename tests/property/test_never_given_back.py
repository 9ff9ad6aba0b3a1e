"""Two suppliers, two shops that share them, and random deliveries, sales, undos, silences and faults: a sale counts once.

The oracle keeps each supplier's number with the sales inside it, and each sale with the supplier who served it. It knows no
reservations: what may be offered is what the suppliers in use have, less what they sold and do not know yet.
"""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import TransientError
from stockfeed.store.engine import make_engine
from tests.integration.publish.conftest import Desk
from tests.integration.publish.memory_shop import PowerCutError
from tests.property.test_never_oversell import Clock, template  # noqa: F401 - a fixture

FEEDS = ("acme.stock", "globex.stock")
SHOPS = ("one", "two")

feeds = st.sampled_from(FEEDS)
shops = st.sampled_from(SHOPS)
deliveries = st.tuples(st.just("deliver"), feeds, st.tuples(st.integers(0, 5).map(lambda n: n * 1000), st.integers(0, 24)))
sales = st.tuples(st.just("sell"), shops, st.tuples(feeds, st.integers(1, 4)))
waits = st.tuples(st.just("wait"), st.integers(1, 40), st.none())
undos = st.tuples(st.just("undo"), feeds, st.none())
silences = st.tuples(st.just("silence"), feeds, st.booleans())
faults = st.sampled_from(["", "", "", "die before", "die after", "answer lost", "no answer", "unreachable"])
publishes = st.tuples(st.just("publish"), shops, faults)
looks = st.tuples(st.just("reconcile"), shops, st.none())
steps = st.lists(st.one_of(deliveries, sales, sales, waits, undos, silences, publishes, looks), min_size=4, max_size=18)


class Supplier:
    """What one supplier reported, delivery by delivery: (number, the sales up to this instant are inside)."""

    def __init__(self) -> None:
        self.reports: list[tuple[int, object]] = []
        self.sold: list[tuple[object, int]] = []
        self.is_silent = False

    def report(self, restocked: int, inside_until) -> int:
        number = max(restocked - sum(units for at, units in self.sold if at <= inside_until), 0)
        self.reports.append((number, inside_until))
        return number

    def has(self) -> int:
        number, inside_until = self.reports[-1]
        return number - sum(units for at, units in self.sold if at > inside_until)


class Market:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.suppliers = {code: Supplier() for code in FEEDS}
        for code in FEEDS:
            desk.add_feed(code, sales_lag_s=timedelta(hours=24).total_seconds())
        for code in SHOPS:
            desk.add_channel(code).list_skus("A")
        for code in FEEDS:
            self.deliver(code, (2000, 0))

    def run(self, verb: str, who, what) -> None:
        self.desk.clock.advance(minutes=1)
        getattr(self, verb)(who, what)

    def deliver(self, code: str, what: tuple[int, int]) -> None:
        inside_until = self.desk.clock.now - timedelta(hours=what[1])
        self.desk.deliver(code, {"A": self.suppliers[code].report(what[0], inside_until)})

    def sell(self, code: str, what: tuple[str, int]) -> None:
        supplier, wanted = self.suppliers[what[0]], what[1]
        # only a supplier who is in use serves an order
        if not supplier.is_silent and supplier.has() >= wanted:
            supplier.sold.append((self.desk.clock.now, self.desk.shops[code].sell("A", wanted)))

    def wait(self, hours: int, _what) -> None:
        self.desk.clock.advance(hours=hours)

    def undo(self, code: str, _what) -> None:
        if len(self.suppliers[code].reports) > 1:
            self.suppliers[code].reports.pop()
            self.desk.undo(code)

    def silence(self, code: str, is_silent: bool) -> None:  # noqa: FBT001 - a step's parameter
        self.suppliers[code].is_silent = is_silent
        self.desk.set_feed(code, is_stale=is_silent)

    def publish(self, code: str, fault: str) -> None:
        self.desk.shops[code].faults = [fault] if fault else []
        try:
            self.desk.publish(code)
        except (PowerCutError, TransientError):
            self.desk.shops[code].faults = []

    def reconcile(self, code: str, _what) -> None:
        self.desk.reconcile(code)

    def available(self) -> int:
        return sum(max(s.has(), 0) for s in self.suppliers.values() if not s.is_silent)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps=steps)
@pytest.mark.parametrize("last", FEEDS)
def test_two_shops_are_never_offered_what_two_suppliers_sold_and_get_it_all_back_once_it_is_reported(template, last, steps):  # noqa: F811
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db.sqlite3"
        shutil.copy(template, path)
        engine = make_engine(f"sqlite:///{path}")
        try:
            desk = Desk(engine, Clock(), Path(folder))
            market = Market(desk)
            for step in steps:
                market.run(*step)
            for code in SHOPS:
                desk.shops[code].faults = []
                desk.reconcile(code)  # a sale that nobody has looked at yet is in no number of ours
            for code in SHOPS * 2:
                desk.publish(code)
            for code in SHOPS:
                assert desk.shops[code].shows("A") == desk.ats("A", code).quantity <= market.available()
            # once every supplier has reported everything, every unit is offered again: nothing is reserved twice or for ever
            for code in FEEDS:
                market.silence(code, is_silent=False)
            desk.clock.advance(days=3)
            for code in (*(c for c in FEEDS if c != last), last):
                market.run("deliver", code, (3000, 0))
            for code in SHOPS * 2:
                desk.publish(code)
            assert desk.open_sales() == {}
            for code in SHOPS:
                assert desk.shops[code].shows("A") == market.available()
        finally:
            engine.dispose()
