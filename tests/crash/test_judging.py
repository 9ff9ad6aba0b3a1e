"""The judgement bites: each kind of damage, done by hand to a world in which all is right, is noticed."""

import copy
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from stockfeed.demo.shop_stock import AcceptedSet
from stockfeed.store.engine import make_engine
from tests.crash.judging import at_the_end, right_after_a_crash
from tests.crash.scenario import Scenarios
from tests.crash.truth import Sent, Truth, never_true_or_too_old
from tests.crash.world import World, copied, prepared


@pytest.fixture(scope="module")
def right(scenarios: Scenarios) -> Iterator[World]:
    """A world after two more deliveries, published, with nothing wrong."""
    outside = scenarios.outside
    world = copied(prepared(outside, "sqlite", "delete", "snapshot"), outside.folder / "judging", "judging")
    for name, hours_ago in (("second.csv", 2.0), ("third.csv", 1.0)):
        world.send(name, hours_ago)
        assert world.run(("sync", "--json"), ("publish", "--json")).codes == [0, 0]
    shutil.copytree(world.root, outside.folder / "judging-as-it-was")
    yield world
    shutil.rmtree(world.root)


@pytest.fixture
def engine(right: World) -> Iterator[Engine]:
    """The database; afterwards everything is as it was."""
    shop = right.outside.shop
    stock = copy.copy(shop.stock.log), {sku: shop.available(sku) for sku in right.truth.levels}
    made = make_engine(right.url)
    yield made
    made.dispose()
    shutil.rmtree(right.root)
    shutil.copytree(right.outside.folder / "judging-as-it-was", right.root)
    shop.stock.log[:] = stock[0]
    for sku, quantity in stock[1].items():
        shop.stock.edit(sku, quantity or 0)


def archived(world: World) -> list[Path]:
    return sorted(path for path in (world.state / "archive").glob("??/??/*") if path.is_file())


def sql(statement: str) -> Callable[[World, Engine], None]:
    def act(_world: World, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text(statement))

    return act


def written(place: str, content: str = "x") -> Callable[[World, Engine], None]:
    def act(world: World, _engine: Engine) -> None:
        path = world.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    return act


def told_an_older_value(world: World, _engine: Engine) -> None:
    sku = next(s for s in world.truth.levels if len({state[s] for state in world.truth.history}) == len(world.truth.history))
    older = world.truth.history[0][sku]
    world.outside.shop.stock.log.append(AcceptedSet(datetime.now(UTC), "key", "item", sku, "place", 1, older))


def set_at_the_shop(quantity: int) -> Callable[[World, Engine], None]:
    """The shop is told a quantity that nobody computed, and later the right one again: only its log shows it."""

    def act(world: World, _engine: Engine) -> None:
        stock = world.outside.shop.stock
        place, right = next(iter(stock.locations)), stock.available("A") or 0
        for told in (quantity, right):
            stock.log.append(AcceptedSet(datetime.now(UTC), "key", "item", "A", place, None, told))

    return act


def put_back_at_the_source(world: World, _engine: Engine) -> None:
    (world.inbox / "third.csv").write_bytes(world.truth.sent["third.csv"].content)


DAMAGES: dict[str, tuple[Callable[[World, Engine], None], str]] = {
    "level": (sql("UPDATE inventory SET on_hand = on_hand + 1000 WHERE supplier_sku = '001'"), "level of 001 should be"),
    "lost level": (sql("DELETE FROM inventory WHERE supplier_sku = 'NA'"), "level of NA should be"),
    "not ended": (sql("UPDATE delivery SET state = 'received' WHERE source_name = 'third.csv'"), "should be applied once"),
    "lost delivery": (sql("UPDATE delivery SET source_name = 'other.csv' WHERE source_name = 'third.csv'"), "was never sent"),
    "not sent": (sql("UPDATE publication SET state = 'sent' WHERE id = 1"), "is still sent"),
    "lease": (sql("UPDATE feed SET lease_holder = 'somebody'"), "still has a lease"),
    "not acknowledged": (sql("UPDATE delivery SET acknowledgement = 'pending'"), "was never acknowledged"),
    "kept at the source": (put_back_at_the_source, "should be in no folder"),
    "archive": (lambda world, _: archived(world)[0].unlink(), "should be in the archive"),
    "archived bytes": (lambda world, _: archived(world)[0].write_bytes(b"x"), "should be in the archive"),
    "orphan": (written("state/archive/ab/cd/abcd"), "which no delivery knows"),
    "part": (written("out/.stock.csv.0123.part"), "left over"),
    "spool": (written("state/spool/1.spool"), "left over"),
    "fault": (written("state/logs/crash-1.log", "ValueError: no"), "an unforeseen fault: ValueError: no"),
    "file": (written("out/stock.csv", "sku,location,quantity,updated_at\nA,main,1,x\n"), "the partner's file says"),
    "oversold": (lambda world, _: world.outside.shop.stock.edit("001", 99_999), "more than there is"),
    "oversold, says the checker": (lambda world, _: world.outside.shop.stock.edit("001", 99_999), "checker: I6 web, 001"),
    "told what was never true": (set_at_the_shop(12_345), "checker: I7 web, A, 12345"),
    "file, says the checker": (
        written("out/stock.csv", "sku,location,quantity,updated_at\nA,main,12345,2026-11-02T08:00:00Z\n"),
        "checker: I7 partner, A, 12345",
    ),
    "older": (told_an_older_value, "never true or is older"),
}


def test_nothing_is_found_where_nothing_is_wrong(right: World, engine: Engine) -> None:
    assert at_the_end(right, engine) == []
    assert right_after_a_crash(right, engine) == []


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_noticed(right: World, engine: Engine, name: str) -> None:
    act, words = DAMAGES[name]
    act(right, engine)
    assert [fault for fault in at_the_end(right, engine) if words in fault], name


def test_a_file_that_left_before_its_delivery_ended_is_noticed_right_after_the_crash(right: World, engine: Engine) -> None:
    sql("UPDATE delivery SET state = 'received' WHERE source_name = 'third.csv'")(right, engine)
    assert [fault for fault in right_after_a_crash(right, engine) if "left the supplier's folder" in fault]


def test_a_mixture_of_two_snapshots_is_noticed_right_after_the_crash(right: World, engine: Engine) -> None:
    sql("UPDATE inventory SET on_hand = 12345000 WHERE supplier_sku = 'A'")(right, engine)
    assert [fault for fault in right_after_a_crash(right, engine) if "a mixture of deliveries" in fault]


def test_each_value_the_shop_was_told_must_have_been_true_and_none_may_be_older() -> None:
    history = [{"A": 100}, {"A": 50}, {"A": 0}]
    assert never_true_or_too_old("A", [100, 98, 47, 0], history, 3) == []
    assert len(never_true_or_too_old("A", [50, 100], history, 3)) == 1
    assert len(never_true_or_too_old("A", [90], history, 3)) == 1
    assert len(never_true_or_too_old("A", [101], history, 3)) == 1


def test_the_truth_counts_missing_and_doubtful_skus_as_the_design_says() -> None:
    truth = Truth("snapshot")

    def deliver(name: str, rows: dict[str, int], bad: frozenset[str] = frozenset()) -> None:
        truth.deliver(Sent(name, b"", 1, "normal", rows, bad))

    deliver("1", {"A": 10, "B": 20, "C": 30})
    deliver("2", {"A": 40}, frozenset({"C"}))
    assert truth.offered() == {"A": 40, "B": 20, "C": 30}
    deliver("3", {"A": 40}, frozenset({"C"}))
    assert truth.offered() == {"A": 40, "B": 0, "C": 0}
    assert truth.levels["C"] == 30
    truth.undo()
    assert truth.offered() == {"A": 40, "B": 20, "C": 30}
    assert truth.states == {"1": "applied", "2": "applied", "3": "undone"}
