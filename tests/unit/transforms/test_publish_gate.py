"""What the publish gate holds."""

import pytest

from schemas.channel_config import Gate
from transforms.publish_gate import Change, judge


def _judge(*changes: Change, listings: int = 100, units: int = 10_000, **gate):
    return judge(changes, listings=listings, units=units, gate=Gate(**gate))


def _zeros(count: int, cause: str = "delivery 1", **kw) -> list[Change]:
    return [Change(1, 0, cause, **kw) for _ in range(count)]


@pytest.mark.parametrize(("count", "listings", "held"), [(20, 199, True), (20, 200, False), (19, 50, False), (25, 200, True)])
def test_more_than_a_tenth_and_at_least_twenty_zeros_are_held(count, listings, held):
    verdict = _judge(*_zeros(count), listings=listings, changed_listings_percent=100)
    assert bool(verdict.held) is held
    assert verdict.zeros_held == verdict.held


def test_many_large_changes_are_held_without_their_zeros():
    verdict = _judge(*[Change(100, 151, "delivery 1")] * 26, Change(5, 0, "delivery 1"))
    assert (verdict.held, verdict.zeros_held) == ({"delivery 1"}, set())
    assert not _judge(*[Change(100, 150, "delivery 1")] * 100, units=25_000_000).held


def test_a_total_that_moves_too_far_is_held():
    assert _judge(Change(1000, 1401, "delivery 1"), listings=100, units=1401).held
    assert not _judge(Change(1000, 1400, "delivery 1"), listings=100, units=1400).held
    assert _judge(Change(1000, 599, "delivery 1"), listings=100, units=599).held


def test_only_the_greatest_causes_are_held():
    verdict = _judge(*_zeros(40, "delivery 1"), *_zeros(5, "delivery 2"), *_zeros(3, "delivery 3"), listings=300)
    assert verdict.held == {"delivery 1"}
    assert "held: delivery 1" in verdict.findings[0][0].message


def test_what_was_sent_already_counts_but_cannot_be_held():
    sent, waiting = _zeros(30, "delivery 1", pending=False), _zeros(5, "delivery 2")
    assert _judge(*sent, *waiting).held == {"delivery 2"}
    assert not _judge(*sent).held


def test_exempt_changes_and_new_listings_are_not_counted():
    assert not _judge(*_zeros(100, exempt=True), *[Change(None, 5, "delivery 2")] * 100).held


def test_a_gate_that_is_switched_off_holds_nothing():
    assert not _judge(*_zeros(100), enabled=False).held


def test_a_restock_of_everything_from_nothing_is_held_as_many_changes():
    verdict = _judge(*[Change(0, 5, "delivery 1")] * 30, listings=30, units=150)
    assert [finding.code for finding, _ in verdict.findings] == ["MANY-CHANGED"]
