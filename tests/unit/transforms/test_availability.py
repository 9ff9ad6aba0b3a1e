"""Available to sell: the order of the steps, exact numbers, reasons."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.channel_config import Channel
from transforms.availability import REASONS, Ats, Level, Offer, Reserved, SkuStock, SourceFeed, compute
from transforms.channel_rules import in_force

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
ACME = SourceFeed(1, "acme.stock", "acme", orders_after=NOW - timedelta(hours=2))


def _offer(*feeds: SourceFeed, places: tuple[str, ...] = (), **config) -> Offer:
    channel = Channel.model_validate({"code": "c", "name": "C", "kind": "k", "locations": ["1"], **config})
    rules = in_force(channel.rule, date(2026, 11, 2))
    return Offer(channel, "1", {f.id: f for f in feeds or (ACME,)}, frozenset(places), rules)


def _level(units: float | None = None, *, feed: int = 1, place: str = "", **kw) -> Level:
    return Level(feed, place, None if units is None else int(units * 1000), kw.pop("available", None), **kw)


def _ats(*levels: Level, offer: Offer | None = None, reserved: tuple[Reserved, ...] = (), **sku) -> Ats:
    return compute(SkuStock("A", levels, reserved, **sku), offer or _offer())


def _order(units: int, hours_ago: float = 1, feed_id: int | None = 1) -> Reserved:
    return Reserved("order", units, NOW - timedelta(hours=hours_ago), feed_id)


def test_available_goes_before_on_hand():
    assert _ats(_level(10, available=4000)).quantity == 4
    assert _ats(_level(10, available=0)).quantity == 0
    assert _ats(_level(10)).quantity == 10


def test_an_unknown_quantity_contributes_nothing_and_says_so():
    ats = _ats(_level(None))
    assert (ats.quantity, ats.reason_code) == (0, "unknown")
    assert "unknown" in ats.steps[0].detail
    assert _ats(_level(None), _level(5, place="W")).quantity == 5


@pytest.mark.parametrize(
    ("units", "numerator", "denominator", "expected"),
    [(2, 12, 1, 24), (25, 1, 12, 2), (12.5, 1, 1, 12), (12.5, 2, 1, 25), (0.333, 3, 1, 0), (7, 2, 3, 4), (-3, 1, 1, 0)],
)
def test_the_factor_is_exact_and_floored_once(units, numerator, denominator, expected):
    assert _ats(_level(units, numerator=numerator, denominator=denominator)).quantity == expected


def test_every_level_is_floored_for_itself_since_a_unit_is_in_one_place():
    assert _ats(_level(1.5, place="E"), _level(1.5, place="W")).quantity == 2


def test_missing_and_unconfirmed_levels_count_as_zero_only_from_the_limit_on():
    assert _ats(_level(5, missing_count=1)).quantity == 5
    assert _ats(_level(5, missing_count=2)).reason_code == "missing"
    assert _ats(_level(5, unconfirmed_count=1)).quantity == 5
    assert _ats(_level(5, unconfirmed_count=2)).reason_code == "unconfirmed"
    assert _ats(_level(5, missing_count=2), _level(3, place="W")).quantity == 3


def test_stale_and_shadow_sources_do_not_count():
    stale = SourceFeed(1, "acme.stock", "acme", is_stale=True)
    assert _ats(_level(5), offer=_offer(stale)).reason_code == "stale"
    kept = SourceFeed(1, "acme.stock", "acme", is_stale=True, counts_when_stale=True)
    assert _ats(_level(5), offer=_offer(kept)).quantity == 5
    shadow = SourceFeed(1, "acme.stock", "acme", in_shadow=True)
    assert _ats(_level(5), offer=_offer(shadow)).reason_code == "in_shadow"


def test_a_source_that_is_not_the_channels_does_not_count():
    assert _ats(_level(5, feed=9)).reason_code == "no_source"
    assert _ats(_level(5, place="E"), _level(7, place="W"), offer=_offer(places=("W",))).quantity == 7


def test_net_numbers_lack_only_orders_after_the_order_lag_and_gross_numbers_lack_all():
    orders = (_order(1, hours_ago=1), _order(2, hours_ago=3))
    assert _ats(_level(10), reserved=orders).quantity == 9
    gross = SourceFeed(1, "acme.stock", "acme", gross=True, orders_after=NOW - timedelta(hours=2))
    assert _ats(_level(10), offer=_offer(gross), reserved=orders).quantity == 7
    assert _ats(_level(10), reserved=(_order(4, feed_id=None),)).quantity == 6


def test_trust_comes_after_reservations_and_before_the_feed_buffer():
    feed = SourceFeed(1, "acme.stock", "acme", trust=Fraction(1, 2), buffer=2)
    ats = _ats(_level(11), offer=_offer(feed), reserved=(_order(2),))
    assert ats.quantity == (11 - 2) // 2 - 2
    assert [s.step for s in ats.steps] == [
        "acme.stock", "acme.stock: reservations", "acme.stock: trust", "acme.stock: feed buffer", "result",
    ]  # fmt: skip


def test_one_sources_buffer_never_lowers_another():
    small = SourceFeed(2, "b.stock", "b", buffer=50)
    assert _ats(_level(10), _level(3, feed=2), offer=_offer(ACME, small)).quantity == 10


@pytest.mark.parametrize(("combine", "expected"), [("sum", 15), ("max", 8), ("priority", 7)])
def test_sources_are_combined_as_the_channel_says(combine, expected):
    feeds = [SourceFeed(n, f"f{n}.stock", f"f{n}", priority=p) for n, p in ((1, 3), (2, 2), (3, 2), (4, 1))]
    levels = (_level(8), _level(3, feed=2), _level(4, feed=3), _level(0, feed=4))
    assert _ats(*levels, offer=_offer(*feeds, combine=combine)).quantity == expected


def test_seen_sales_are_taken_off_where_a_source_is_shared():
    sale = Reserved("seen_sale", 3, NOW, None, frozenset({1}), frozenset({"E"}))
    assert _ats(_level(10, place="E"), reserved=(sale,)).quantity == 7
    assert _ats(_level(10, feed=2), reserved=(sale,), offer=_offer(SourceFeed(2, "b.stock", "b"))).quantity == 10
    assert _ats(_level(10, place="W"), reserved=(sale,), offer=_offer(places=("W",))).quantity == 10
    assert _ats(_level(10, place="E"), reserved=(sale,), offer=_offer(places=("E",))).quantity == 7


def test_share_buffer_minimum_and_maximum_come_last_in_this_order():
    config = {"share": "50%", "buffer": "10%", "minimum": 5, "maximum": 20}
    assert _ats(_level(101), offer=_offer(**config)).quantity == 20
    assert _ats(_level(31), offer=_offer(**config)).quantity == 13
    assert _ats(_level(11), offer=_offer(**config)).reason_code == "below_minimum"
    assert _ats(_level(4), offer=_offer(buffer=4)).reason_code == "buffered"
    assert _ats(_level(4), offer=_offer(maximum=0)).reason_code == "capped"
    assert _ats(_level(4), reserved=(_order(9, feed_id=None),)).reason_code == "reserved"
    assert _ats(_level(0)).reason_code == "out_of_stock"


def test_the_explanation_names_the_winning_rule_and_ends_with_the_result():
    rules = [{"brand": "Bolt", "buffer": 3}, {"supplier": "acme", "buffer": 1}]
    ats = _ats(_level(10), offer=_offer(rule=rules), brand="Bolt")
    assert ats.quantity == 7
    assert "rule 1 (brand Bolt)" in ats.steps[-2].detail
    assert (ats.steps[-1].step, ats.steps[-1].value) == ("result", 7)


quantities: st.SearchStrategy[int | None] = st.none() | st.integers(-5_000, 500_000)


@given(
    levels=st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["", "E"]), quantities, quantities), max_size=6),
    orders=st.lists(st.builds(_order, st.integers(0, 500), st.integers(0, 5), st.none() | st.integers(1, 3)), max_size=4),
    share=st.integers(0, 100),
    buffer=st.integers(0, 50) | st.integers(0, 100).map("{}%".format),
    combine=st.sampled_from(["sum", "max", "priority"]),
)
def test_nothing_is_invented(levels, orders, share, buffer, combine):
    levels = [Level(*values) for values in levels]
    feeds = [SourceFeed(n, f"f{n}.stock", f"f{n}", trust=Fraction(n, 3), priority=n) for n in (1, 2, 3)]
    offer = _offer(*feeds, share=f"{share}%", buffer=buffer, combine=combine)
    stock = sum(max(q if (q := level.available) is not None else level.on_hand or 0, 0) // 1000 for level in levels)
    ats = compute(SkuStock("A", levels, orders), offer)
    assert 0 <= ats.quantity <= stock
    assert (ats.quantity > 0) == (ats.reason_code == "in_stock")
    assert ats.reason_code in REASONS
    assert ats.steps[-1].value == ats.quantity
    more = compute(SkuStock("A", levels, [*orders, _order(1, feed_id=None)]), offer)
    assert more.quantity <= ats.quantity
