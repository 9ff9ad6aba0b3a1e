"""Which numbers of a channel apply to one SKU: the channel's own, or those of the most specific rule that matches.

Order of specificity: sku > tag > brand > supplier; with dates over without. Two equal rules are refused when the
configuration is loaded; rules that only meet on one product (two tags of the same SKU) are decided by their order in the file.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import lru_cache

from schemas.channel_config import Channel, ChannelRule


@lru_cache(maxsize=1000)
def percent(part: Fraction) -> str:
    """Return a part as people write it: "80%"."""
    return f"{float(part * 100):g}%"


@dataclass(frozen=True, slots=True)
class Numbers:
    """The share, buffer (units or share), minimum and maximum units that hold for one SKU, and which of them a rule set."""

    share: Fraction
    buffer: int | Fraction
    minimum: int
    maximum: int | None
    origin: str  # "channel" or the winning rule, for the explanation
    by_rule: frozenset[str] = frozenset()  # the numbers that the winning rule sets; the others are the channel's own
    # as they are used for each SKU, where fractions and texts made anew take longer than all else
    shares: tuple[int, int] | None = field(init=False, repr=False, compare=False)  # numerator, denominator; None: all of it
    kept: tuple[int, int] | None = field(init=False, repr=False, compare=False)  # what a buffer in percent leaves of it
    share_words: str = field(init=False, repr=False, compare=False)
    buffer_words: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Take apart what is the same for each SKU."""
        share, buffer = self.share, self.buffer
        left = 1 - buffer if isinstance(buffer, Fraction) else None
        amount = percent(buffer) if isinstance(buffer, Fraction) else str(buffer)
        object.__setattr__(self, "shares", None if share == 1 else (share.numerator, share.denominator))
        object.__setattr__(self, "kept", None if left is None else (left.numerator, left.denominator))
        object.__setattr__(self, "share_words", f"{percent(share)}{self.by('share')}")
        object.__setattr__(self, "buffer_words", f"minus {amount}{self.by('buffer')}")

    def by(self, number: str) -> str:
        """Return " by <rule>" for a number that the winning rule sets, else "": a rule is not blamed for the channel's own."""
        return f" by {self.origin}" if number in self.by_rule else ""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A rule that is in force, with how specific it is (greater wins) and its name for the explanation."""

    rule: ChannelRule
    rank: tuple[bool, ...]
    name: str


def in_force(rules: Sequence[ChannelRule], today: date) -> tuple[Ranked, ...]:
    """Return the rules in force on `today`, most specific first; equal ones stay in the order of the file."""
    active = [
        Ranked(rule, _rank(rule), _name(number, rule))
        for number, rule in enumerate(rules, start=1)
        if (rule.starts_on is None or rule.starts_on <= today) and (rule.ends_on is None or today <= rule.ends_on)
    ]
    return tuple(sorted(active, key=lambda ranked: ranked.rank, reverse=True))


def numbers_for(
    channel: Channel, rules: Sequence[Ranked], *, sku: str, suppliers: Collection[str], brand: str | None, tags: Collection[str]
) -> Numbers:
    """Return the numbers for one SKU: each key of the winning rule, and the channel's own where the rule says nothing.

    `rules` come from `in_force`; `suppliers` are the codes of the suppliers whose stock counts for this SKU.
    """
    for ranked in rules:
        rule = ranked.rule
        if (
            (rule.sku is None or rule.sku == sku)
            and (rule.tag is None or rule.tag in tags)
            and (rule.brand is None or rule.brand == brand)
            and (rule.supplier is None or rule.supplier in suppliers)
        ):
            return Numbers(
                share=channel.share if rule.share is None else rule.share,
                buffer=channel.buffer if rule.buffer is None else rule.buffer,
                minimum=channel.minimum if rule.minimum is None else rule.minimum,
                maximum=channel.maximum if rule.maximum is None else rule.maximum,
                origin=ranked.name,
                by_rule=frozenset(n for n in ("share", "buffer", "minimum", "maximum") if getattr(rule, n) is not None),
            )
    return own_numbers(channel)


def own_numbers(channel: Channel) -> Numbers:
    """Return the channel's numbers for SKUs that no rule matches."""
    return Numbers(channel.share, channel.buffer, channel.minimum, channel.maximum, "channel")


def _rank(rule: ChannelRule) -> tuple[bool, ...]:
    dated = rule.starts_on is not None or rule.ends_on is not None
    return rule.sku is not None, rule.tag is not None, rule.brand is not None, rule.supplier is not None, dated


def _name(number: int, rule: ChannelRule) -> str:
    wanted = {"sku": rule.sku, "tag": rule.tag, "brand": rule.brand, "supplier": rule.supplier}
    return f"rule {number} ({', '.join(f'{key} {value}' for key, value in wanted.items() if value is not None)})"
