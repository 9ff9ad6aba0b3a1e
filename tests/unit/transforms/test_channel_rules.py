"""Which rule of a channel wins."""

from datetime import date
from fractions import Fraction

import pytest

from schemas.channel_config import Channel
from transforms.channel_rules import in_force, numbers_for

TODAY = date(2026, 11, 2)


def _winner(*rules: dict, **sku) -> str:
    channel = Channel.model_validate({"code": "c", "name": "C", "kind": "k", "locations": ["1"], "buffer": 2, "rule": rules})
    known = {"sku": "A", "suppliers": {"acme"}, "brand": "Bolt", "tags": {"sale", "heavy"}} | sku
    return numbers_for(channel, in_force(channel.rule, TODAY), **known).origin


@pytest.mark.parametrize(
    ("rules", "origin"),
    [
        ([{"supplier": "acme"}, {"brand": "Bolt"}], "rule 2 (brand Bolt)"),
        ([{"brand": "Bolt"}, {"tag": "sale"}], "rule 2 (tag sale)"),
        ([{"tag": "sale"}, {"sku": "A"}], "rule 2 (sku A)"),
        ([{"supplier": "acme"}, {"supplier": "acme", "starts_on": "2026-11-01"}], "rule 2 (supplier acme)"),
        ([{"supplier": "acme", "brand": "Bolt"}, {"brand": "Bolt"}], "rule 1 (brand Bolt, supplier acme)"),
        ([{"tag": "heavy"}, {"tag": "sale"}], "rule 1 (tag heavy)"),
        ([{"sku": "B"}, {"supplier": "globex"}, {"brand": "Nut"}, {"tag": "light"}], "channel"),
        ([{"sku": "A", "brand": "Nut"}], "channel"),
    ],
)
def test_the_most_specific_rule_wins(rules, origin):
    assert _winner(*rules) == origin


@pytest.mark.parametrize(
    ("starts_on", "ends_on", "active"),
    [
        ("2026-11-02", "2026-11-02", True),
        ("2026-11-03", None, False),
        (None, "2026-11-01", False),
        (None, "2026-11-02", True),
    ],
)
def test_dates_are_inclusive(starts_on, ends_on, active):
    assert (_winner({"sku": "A", "starts_on": starts_on, "ends_on": ends_on}) != "channel") is active


def test_what_a_rule_leaves_open_comes_from_the_channel():
    rules = [{"sku": "A", "share": "50%", "maximum": 0}]
    channel = Channel.model_validate(
        {"code": "c", "name": "C", "kind": "k", "locations": ["1"], "buffer": "10%", "minimum": 3, "rule": rules}
    )
    numbers = numbers_for(channel, in_force(channel.rule, TODAY), sku="A", suppliers=(), brand=None, tags=())
    assert (numbers.share, numbers.buffer, numbers.minimum, numbers.maximum) == (Fraction(1, 2), Fraction(1, 10), 3, 0)


def test_a_rule_is_named_only_for_the_numbers_that_it_sets():
    channel = Channel.model_validate(
        {"code": "c", "name": "c", "kind": "memory", "locations": ["main"], "buffer": 3, "rule": [{"sku": "A", "share": "50%"}]}
    )
    rules = in_force(channel.rule, date(2026, 11, 2))
    numbers = numbers_for(channel, rules, sku="A", suppliers=(), brand=None, tags=())
    assert (numbers.by("share"), numbers.by("buffer")) == (" by rule 1 (sku A)", "")


@pytest.mark.parametrize("where", [{"buffer": -5}, {"rule": [{"sku": "A", "buffer": -5}]}])
def test_a_negative_buffer_would_offer_stock_that_nobody_has_and_is_refused(where):
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        Channel.model_validate({"code": "c", "name": "c", "kind": "memory", "locations": ["main"], **where})
