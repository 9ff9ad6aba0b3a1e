"""What a channel's number means against ours."""

from datetime import UTC, datetime, timedelta

import pytest

from transforms.sales import Difference, classify, is_contained, not_landed, settle

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("confirmed", "observed", "kind", "units"),
    [
        (10, 10, "equal", 0),
        (10, 7, "sale", 3),
        (10, 0, "sale", 10),
        (10, 12, "edited", 0),
        (None, 5, "equal", 0),
        (2, -1, "sale", 3),
    ],
)
def test_a_fall_is_a_sale_and_a_rise_is_an_edit(confirmed, observed, kind, units):
    assert classify(confirmed, observed) == Difference(kind, units)


@pytest.mark.parametrize(
    ("confirmed", "sent", "observed", "landed", "units"),
    [
        (5, 10, 10, True, 0),  # it landed
        (5, 10, 5, False, 0),  # it did not
        (5, 10, 8, True, 2),  # only our own write can have raised it
        (5, 10, 3, False, 2),
        (10, 5, 5, True, 0),
        (10, 5, 4, False, 6),  # the larger reading: nothing sold is given back
        (10, 5, 8, False, 2),
        (None, 5, 3, True, 2),  # it showed nothing before, so 3 are what is left of our 5
        (None, 5, 7, False, 0),
    ],
)
def test_an_attempt_without_an_answer_is_settled_by_what_the_channel_shows(confirmed, sent, observed, landed, units):
    settled = settle(confirmed, sent, observed)
    assert (settled.landed, settled.difference.units) == (landed, units)


def test_a_refused_attempt_did_not_land_whatever_the_channel_shows():
    assert not_landed(5, 8).difference == Difference("edited")


def test_a_snapshot_contains_a_sale_when_it_is_the_lag_younger():
    lag = timedelta(hours=24)
    assert is_contained(NOW + lag, NOW, lag)
    assert not is_contained(NOW + lag - timedelta(microseconds=1), NOW, lag)
    assert not is_contained(None, NOW, lag)
