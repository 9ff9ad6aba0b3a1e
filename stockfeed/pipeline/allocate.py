"""allocate: available-to-sell quantities of a channel's dirty SKUs, and the outbox rows of those that changed.

One transaction under the channel's lease: cursor, values, history and outbox move together or not at all. Never sends anything.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

from schemas.channel_config import Channel
from stockfeed.bootstrap import App
from stockfeed.pipeline.channel_work import ChannelWork, channel_lease
from stockfeed.store import availability, channels, publications, withdrawn
from stockfeed.store.availability import Change, Offered
from stockfeed.store.engine import current_change_id, read, write
from stockfeed.store.source_feeds import late_feeds, load_feeds
from transforms.availability import NOT_FRESH, Ats, Offer, SkuStock, SourceFeed, compute
from transforms.channel_rules import in_force

_PAGE = 2_000  # SKUs computed at a time: bounds memory, and the parameters of one statement

#: Keys of a channel that do not change what it offers.
_NOT_OFFERING = frozenset({"name", "connection", "schedule", "lag", "owner", "tags", "gate", "rule"})


@dataclass(frozen=True, slots=True)
class AllocateResult:
    """What one allocation did: SKUs computed, and values that changed."""

    channel: str
    computed: int
    changed: int


def register_channels(app: App) -> list[str]:
    """Return the codes of configured channels that got their database row only now; they start unapproved."""
    with read(app.engine) as connection:
        if not channels.unregistered(connection, app.config.channels):
            return []
    with write(app.engine) as connection:
        return channels.register(connection, app.config.channels)


def allocate(app: App, channel_code: str) -> AllocateResult:
    """Return how many SKUs of the channel were computed and how many values changed; these wait in the outbox.

    Raises ConfigError for an unknown channel, TransientError while another worker has it.
    """
    register_channels(app)
    with channel_lease(app, channel_code) as work:
        return allocate_leased(work)


def allocate_leased(work: ChannelWork) -> AllocateResult:
    """Return what `allocate` does, for a worker that has the channel already."""
    now = work.now()
    with work.write() as connection:
        row = channels.load(connection, work.code)
        version = offer_version(work.channel, now.date())
        whole = None if row.config_version == version else f"config {version[:12]}"
        upto = current_change_id(connection)
        # stale before a sweep said so, they may be fresh again without a mark: a delivery came first, or a clock went back
        late = late_feeds(connection, now)
        again = set(row.late_feeds or ()) - late
        if whole is None and not again and not availability.has_news(connection, after=row.cursor, upto=upto):
            if upto != row.cursor:  # what was numbered since are changes of ATS, here or in other channels
                channels.change(connection, work.code, cursor=upto)
            return AllocateResult(work.code, 0, 0)
        availability.collect_dirty(connection, work.code, after=row.cursor, upto=upto, whole=whole, fresh_again=again)
        if whole is not None:
            publications.withdraw_elsewhere(connection, work.code, work.locations, now)
        offers = build_offers(work.channel, load_feeds(connection, now), now.date())
        with_products = any(rule.brand or rule.tag for rule in work.channel.rule)
        computed = 0
        for page in availability.dirty_pages(connection, _PAGE):
            stock = availability.load_stock(connection, list(page), with_products=with_products)
            offered = availability.load_offered(connection, work.code, list(page))
            changes = [c for sku, cause in page.items() for o in offers if (c := _change(stock[sku], o, offered, cause))]
            availability.remember(connection, changes)
            computed += len(page)
        changed = availability.publish_changes(connection, work.code, now)
        if whole is not None:
            withdrawn.offer_again(connection, work.code, work.locations, cause=whole, at=now)
        availability.drop_temporary(connection)
        channels.change(connection, work.code, cursor=upto, config_version=version, late_feeds=sorted(late))
    return AllocateResult(work.code, computed, changed)


def offer_version(channel: Channel, today: date) -> str:
    """Return the SHA-256 (hex) of everything in a channel's configuration that its quantities depend on today.

    A rule that starts or ends changes it, so that all SKUs are computed again on that day.
    """
    meaning: dict[str, Any] = channel.model_dump(mode="json", exclude=set(_NOT_OFFERING))
    meaning["rules"] = [ranked.rule.model_dump(mode="json") for ranked in in_force(channel.rule, today)]
    return hashlib.sha256(json.dumps(meaning, sort_keys=True, default=str).encode()).hexdigest()


def build_offers(channel: Channel, feeds: Mapping[int, SourceFeed], today: date) -> list[Offer]:
    """Return one Offer per channel location we own, with the feeds its `sources` patterns allow."""
    allowed = {f.id: f for f in feeds.values() if any(fnmatchcase(f.code, pattern) for pattern in channel.sources)}
    rules = in_force(channel.rule, today)
    return [Offer(channel, place.id, allowed, frozenset(place.from_locations), rules) for place in channel.locations]


def _change(stock: SkuStock, offer: Offer, offered: Mapping[tuple[str, str], Offered], cause: str) -> Change | None:
    """Return what changes for one SKU at one location, None when nothing does or the channel never had the SKU."""
    before = offered.get((stock.sku, offer.location))
    ats = compute(stock, offer)
    if before is None and ats.reason_code == "no_source":
        return None
    steps = availability.steps_text(ats.steps)
    # leaving shadow is a new value even when it is 0: until now the channel was told nothing
    is_new = before is None or ats.quantity != before.quantity or _leaves_shadow(before, ats)
    if before is not None and not is_new and before.reason_code == ats.reason_code and before.steps == steps:
        return None
    fresh = (before.fresh_quantity if before else None) if ats.reason_code in NOT_FRESH else ats.quantity
    now = Offered(ats.quantity, (before.version if before else 0) + int(is_new), ats.reason_code, fresh, steps)
    is_sent = before is not None or ats.reason_code != "in_shadow"
    return Change(stock.sku, offer.location, now, before, cause, is_sent)


def _leaves_shadow(before: Offered, ats: Ats) -> bool:
    return before.reason_code == "in_shadow" and ats.reason_code != "in_shadow"


def allowed_feeds(offers: Sequence[Offer]) -> frozenset[int]:
    """Return the ids of the feeds that a channel's offers may use and that are not in shadow."""
    return frozenset(f.id for offer in offers for f in offer.feeds.values() if not f.in_shadow)
