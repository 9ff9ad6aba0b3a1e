"""Available to sell: what one channel location may offer of one SKU, in the order of DESIGN §3, each step kept.

Exact integer and fraction arithmetic, one floor per step. Never reads a clock: freshness and dates are decided by the caller.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Literal, NamedTuple

from schemas.channel_config import Channel
from schemas.columns import QUANTITY_SCALE
from transforms.channel_rules import Numbers, Ranked, numbers_for, own_numbers, percent

#: Why a SKU is offered as it is. These texts are stable: they stand in `available_to_sell.reason_code`.
REASONS: Mapping[str, str] = {
    "in_stock": "units are offered",
    "out_of_stock": "the sources have no units",
    "stale": "the sources are older than their stale_after",
    "in_shadow": "the sources are in shadow: not yet released",
    "unknown": "no source knows its quantity",
    "missing": "the SKU is absent from the sources' last complete snapshots",
    "unconfirmed": "the sources' last snapshots had this SKU only in rejected rows",
    "no_source": "no source of this channel has the SKU",
    "reserved": "reservations and sales use up all units",
    "buffered": "buffers, trust and share leave no unit",
    "below_minimum": "fewer units than the minimum",
    "capped": "the maximum is 0",
}

#: Reasons under which a quantity of 0 says nothing about the stock itself.
NOT_FRESH = frozenset({"stale", "in_shadow"})

_UNKNOWN = frozenset({"unknown"})


class Step(NamedTuple):
    """One step of the explanation: what was done, with which numbers, and the units after it."""

    step: str
    detail: str
    value: int


class Level(NamedTuple):
    """One inventory row of the SKU: quantities in thousandths of the supplier's unit (None: unknown), and its factor.

    `held` lowers the level of a feed that `lowers_while_held`, and never raises one.
    """

    feed_id: int
    location: str
    on_hand: int | None
    available: int | None
    missing_count: int = 0
    unconfirmed_count: int = 0
    numerator: int = 1  # sellable units per supplier unit
    denominator: int = 1
    held: int | None = None  # what a held delivery says of it, in thousandths


class Reserved(NamedTuple):
    """Units sold or promised that the supplier's number does not contain yet.

    `feed_id` None: without a source. A seen sale lowers every offer that shares one of `feeds` and of `locations` (source
    locations); empty ones mean all.
    """

    kind: Literal["order", "seen_sale"]
    units: int
    seen_at: datetime
    feed_id: int | None = None
    feeds: frozenset[int] = frozenset()
    locations: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SourceFeed:
    """What counts of one feed now. A stale feed counts as nothing unless `counts_when_stale` (stale_policy = "keep")."""

    id: int
    code: str
    supplier: str
    is_stale: bool = False
    in_shadow: bool = False
    counts_when_stale: bool = False
    gross: bool = False
    orders_after: datetime | None = None  # as_of − order_lag: earlier orders are inside a net number
    trust: Fraction = Fraction(1)
    buffer: int = 0
    priority: int = 1
    missing_after: int = 2
    stale_locations: frozenset[str] = frozenset()  # of a feed whose locations are delivered one by one
    lowers_while_held: bool = False
    is_trusted: bool = field(
        init=False, repr=False, compare=False
    )  # all of it: asked for each SKU, and comparing fractions is slow

    def __post_init__(self) -> None:
        """Compare what is the same for each SKU."""
        object.__setattr__(self, "is_trusted", self.trust == 1)


class SkuStock(NamedTuple):
    """Everything known of one SKU: levels (in a fixed order, for the explanation), reservations, brand and tags."""

    sku: str
    levels: Sequence[Level] = ()
    reserved: Sequence[Reserved] = ()
    brand: str | None = None
    tags: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """How one channel location offers stock: its channel, the feeds it may use, the source locations it takes, its rules."""

    channel: Channel
    location: str
    feeds: Mapping[int, SourceFeed]
    from_locations: frozenset[str] = frozenset()
    rules: Sequence[Ranked] = ()
    numbers: Numbers = field(init=False)  # the channel's own, for every SKU that no rule matches

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", own_numbers(self.channel))


class Ats(NamedTuple):
    """Available to sell in sellable units, never negative; why (a key of REASONS); and the steps that led to it."""

    quantity: int
    reason_code: str
    steps: tuple[Step, ...]


class _Part(NamedTuple):
    """One source's contribution: units None when it contributes nothing (`reason` says why)."""

    feed: SourceFeed
    units: int | None
    reason: str


@dataclass(slots=True)
class _Tally:
    """Units on their way through the steps, with the reason should they be used up."""

    units: int
    reason: str
    steps: list[Step]

    def move(self, step: str, detail: str, after: int, because: str) -> None:
        """Set the units to `after` and keep the step, if it changes anything; `because` is the reason if none are left."""
        if after != self.units:
            self.steps.append(Step(step, detail, after))
            self.reason = because if after <= 0 < self.units else self.reason
            self.units = after


def compute(stock: SkuStock, offer: Offer) -> Ats:
    """Return what `offer` may show of a SKU, in sellable units.

    Order (DESIGN §3): usable sources → available else on hand × factor → source reservations → trust → feed buffer →
    seen sales that only this source lacks → combine → reservations without a source → seen sales → share → buffer →
    minimum → maximum → never negative. Bundles, when they come, take the minimum over components between seen sales and share.
    """
    steps: list[Step] = []
    parts = _parts(stock, offer, steps)
    known = [part for part in parts if part.units is not None]
    if not known:
        reason = _absence([part.reason for part in parts])
        steps.append(Step("result", REASONS[reason], 0))
        return Ats(0, reason, tuple(steps))
    quantity = _combined(known, offer.channel.combine, steps)
    tally = _Tally(quantity, "in_stock" if quantity > 0 else _emptiness([part.reason for part in known]), steps)
    if stock.reserved:
        _reserve(tally, stock, offer)
    _limit(tally, _numbers(stock, offer, known) if offer.rules else offer.numbers)
    steps.append(Step("result", REASONS[tally.reason], tally.units))
    return Ats(tally.units, tally.reason, tuple(steps))


def _numbers(stock: SkuStock, offer: Offer, known: Sequence[_Part]) -> Numbers:
    suppliers = {part.feed.supplier for part in known}
    return numbers_for(offer.channel, offer.rules, sku=stock.sku, suppliers=suppliers, brand=stock.brand, tags=stock.tags)


def _parts(stock: SkuStock, offer: Offer, steps: list[Step]) -> list[_Part]:
    """Return each allowed source's contribution, in the order of the feeds' codes."""
    by_feed: dict[int, list[Level]] = {}
    for level in stock.levels:
        if level.feed_id in offer.feeds and (not offer.from_locations or level.location in offer.from_locations):
            by_feed.setdefault(level.feed_id, []).append(level)
    if len(by_feed) <= 1:  # most SKUs: nothing to put in order
        return [_part(offer.feeds[feed_id], levels, stock, offer, steps) for feed_id, levels in by_feed.items()]
    feeds = sorted((offer.feeds[feed_id] for feed_id in by_feed), key=lambda feed: feed.code)
    return [_part(feed, by_feed[feed.id], stock, offer, steps) for feed in feeds]


def _part(feed: SourceFeed, levels: Sequence[Level], stock: SkuStock, offer: Offer, steps: list[Step]) -> _Part:
    if feed.in_shadow:
        steps.append(Step(feed.code, "in shadow: not used until `feeds release`", 0))
        return _Part(feed, None, "in_shadow")
    if feed.is_stale and not feed.counts_when_stale:
        steps.append(Step(feed.code, "stale: counts as 0", 0))
        return _Part(feed, None, "stale")
    fresh = _fresh(feed, levels, steps) if feed.stale_locations and not feed.counts_when_stale else levels
    if not fresh:
        return _Part(feed, None, "stale")
    units, reason = _counted(feed, fresh, steps)
    if units is None:
        return _Part(feed, None, reason)
    tally = _Tally(units, reason, steps)
    reserved = _reserved_of(feed, fresh, stock.reserved, offer) if stock.reserved else ()
    # steps that do nothing are skipped before their words are made: most SKUs have none of them
    if taken := sum(r.units for r in reserved if r.kind == "order" and _still_open(r, feed)):
        tally.move(f"{feed.code}: reservations", f"minus {taken} not yet in the supplier's number", tally.units - taken, "reserved")
    if not feed.is_trusted:
        tally.move(f"{feed.code}: trust", f"{percent(feed.trust)} of it is believed", _part_of(tally.units, feed.trust), "buffered")
    if feed.buffer:
        tally.move(f"{feed.code}: feed buffer", f"minus {feed.buffer}", tally.units - feed.buffer, "buffered")
    # after trust, as all seen sales: these units went from what was offered, not from what the supplier counts
    if sold := sum(r.units for r in reserved if r.kind == "seen_sale"):
        tally.move(f"{feed.code}: seen sales", f"minus {sold} not yet in this source", max(tally.units, 0) - sold, "reserved")
    return _Part(feed, max(tally.units, 0), tally.reason)


def _reserved_of(feed: SourceFeed, fresh: Sequence[Level], reserved: Sequence[Reserved], offer: Offer) -> list[Reserved]:
    """Return the source's reservations that may take from these levels: not those at other places alone."""
    places = {level.location for level in fresh}
    return [
        r
        for r in reserved
        if r.feed_id == feed.id and _shares_place(r, offer) and (not r.locations or not r.locations.isdisjoint(places))
    ]


def _fresh(feed: SourceFeed, levels: Sequence[Level], steps: list[Step]) -> list[Level]:
    """Return the levels whose location is not too old on its own, each other one as a step."""
    late = [level for level in levels if level.location in feed.stale_locations]
    steps += [Step(feed.code, f"{level.location}: stale: counts as 0", 0) for level in late]
    return [level for level in levels if level.location not in feed.stale_locations]


def _counted(feed: SourceFeed, levels: Sequence[Level], steps: list[Step]) -> tuple[int | None, str]:
    """Return the sellable units of a feed's levels (None: unknown) and the reason should they be none."""
    total, reasons = 0, set[str]()
    for level in levels:
        units, reason, detail = _level_units(level, feed)
        steps.append(Step(feed.code, f"{level.location}: {detail}" if level.location else detail, units))
        reasons.add(reason)
        total += units
    return (None, "unknown") if reasons == _UNKNOWN else (total, _emptiness(reasons))


def _level_units(level: Level, feed: SourceFeed) -> tuple[int, str, str]:
    if level.missing_count >= feed.missing_after:
        return 0, "missing", f"absent from {level.missing_count} snapshots in a row: counts as 0"
    if level.unconfirmed_count >= feed.missing_after:
        return 0, "unconfirmed", f"only in rejected rows of {level.unconfirmed_count} snapshots in a row: counts as 0"
    name, raw = ("on hand", level.on_hand) if level.available is None else ("available", level.available)
    if raw is None:
        return 0, "unknown", "quantity unknown: contributes nothing"
    shown = f"{name} {_decimal(raw)}"
    if level.held is not None and feed.lowers_while_held and level.held < raw:
        raw = level.held
        shown += f", lowered to the {_decimal(raw)} of a held delivery"
    units = max(raw * level.numerator // (QUANTITY_SCALE * level.denominator), 0)
    if level.numerator != level.denominator:
        shown += f" × {Fraction(level.numerator, level.denominator)}"
    return units, "out_of_stock", shown


def _still_open(reserved: Reserved, feed: SourceFeed) -> bool:
    """Return whether a source's order is outside its number: gross: always; net: orders after as_of − order_lag."""
    if feed.gross or feed.orders_after is None:
        return True
    return reserved.seen_at > feed.orders_after


def _combined(parts: Sequence[_Part], how: str, steps: list[Step]) -> int:
    units = [part.units or 0 for part in parts]
    if how == "max":
        total = max(units)
    elif how == "priority":
        total = _first_with_stock(parts)
    else:
        total = sum(units)
    if len(parts) > 1:
        steps.append(Step("combine", f"{how} of {len(parts)} sources", total))
    return total


def _first_with_stock(parts: Sequence[_Part]) -> int:
    """Return the units of the first priority that has any; sources of one priority are added up."""
    for priority in sorted({part.feed.priority for part in parts}):
        total = sum(part.units or 0 for part in parts if part.feed.priority == priority)
        if total > 0:
            return total
    return 0


def _reserve(tally: _Tally, stock: SkuStock, offer: Offer) -> None:
    """Take off reservations without a source, then sales seen at channels that share a source."""
    orders = sum(r.units for r in stock.reserved if r.feed_id is None and r.kind == "order")
    tally.move("reservations", f"minus {orders} promised without a source", tally.units - orders, "reserved")
    sold = sum(r.units for r in stock.reserved if r.feed_id is None and r.kind == "seen_sale" and shares_source(r, offer))
    tally.move("seen sales", f"minus {sold} sold at channels and not yet in the sources", tally.units - sold, "reserved")


def shares_source(reserved: Reserved, offer: Offer) -> bool:
    """Return whether a seen sale may have taken stock that `offer` counts too."""
    feeds = not reserved.feeds or any(feed_id in offer.feeds for feed_id in reserved.feeds)
    return feeds and _shares_place(reserved, offer)


def _shares_place(reserved: Reserved, offer: Offer) -> bool:
    return not reserved.locations or not offer.from_locations or bool(reserved.locations & offer.from_locations)


def _limit(tally: _Tally, numbers: Numbers) -> None:
    """Apply share, buffer, minimum and maximum; never negative."""
    tally.units = max(tally.units, 0)
    if numbers.shares is not None:
        part, whole = numbers.shares
        tally.move("share", numbers.share_words, tally.units * part // whole, "buffered")
    if numbers.buffer:
        tally.move("buffer", numbers.buffer_words, max(_less_buffer(tally.units, numbers), 0), "buffered")
    if tally.units < numbers.minimum:
        tally.move("minimum", f"below {numbers.minimum} counts as 0{numbers.by('minimum')}", 0, "below_minimum")
    if numbers.maximum is not None and tally.units > numbers.maximum:
        tally.move("maximum", f"at most {numbers.maximum}{numbers.by('maximum')}", numbers.maximum, "capped")


def _less_buffer(quantity: int, numbers: Numbers) -> int:
    if numbers.kept is not None:
        part, whole = numbers.kept
        return quantity * part // whole
    return quantity - int(numbers.buffer)


def _absence(reasons: Collection[str]) -> str:
    """Return why no source counts: the reason a person can act on first."""
    return next((r for r in ("stale", "unknown", "in_shadow") if r in reasons), "no_source")


def _emptiness(reasons: Collection[str]) -> str:
    """Return why the counted sources have no units."""
    for reason in ("reserved", "buffered", "out_of_stock", "unconfirmed", "missing"):
        if reason in reasons:
            return reason
    return "out_of_stock"


def _decimal(thousandths: int) -> str:
    whole, rest = divmod(abs(thousandths), QUANTITY_SCALE)
    sign = "-" if thousandths < 0 else ""
    return f"{sign}{whole}.{rest:03d}".rstrip("0") if rest else f"{sign}{whole}"


def _part_of(units: int, part: Fraction) -> int:
    """Return the floor of a part of the units, exactly and without making a fraction of each number."""
    return units * part.numerator // part.denominator
