"""Feed rows: identity, policy for ATS, order position, shadow, staleness. Never decides: the pipeline does."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from schemas.feed_config import Feed, Supplier
from schemas.tables import feed
from stockfeed.store import places
from stockfeed.store.engine import insert_or
from stockfeed.store.marks import mark


@dataclass(frozen=True, slots=True)
class FeedRow:
    """The state of one feed as the database has it."""

    id: int
    code: str
    config_version: str | None
    in_shadow: bool
    epoch: int
    last_applied_id: int | None
    as_of: datetime | None
    order_key: int | None
    order_by: str | None
    confirmed_at: datetime | None
    content_since: datetime | None
    is_stale: bool
    stale_at: datetime | None
    superseded_in_a_row: int
    listing: dict[str, Any]
    fence: int


_COLUMNS = [feed.c[name] for name in FeedRow.__slots__]


def policy(config: Feed) -> dict[str, Any]:
    """Return what ATS needs to know of a feed's configuration, as JSON values (durations in seconds)."""
    return {
        "mode": config.mode,
        "quantities": config.quantities,
        "order_lag_s": config.order_lag.total_seconds(),
        "sales_lag_s": config.sales_lag.total_seconds(),
        "stale_after_s": config.stale_after.total_seconds(),
        "stale_policy": config.stale_policy,
        "trust": f"{config.trust.numerator}/{config.trust.denominator}",
        "buffer": config.buffer,
        "priority": config.priority,
        "missing_after": config.missing_after,
        "while_held": config.while_held,
    }


def register(connection: Connection, feeds: Iterable[tuple[str, Supplier, Feed, str]], at: datetime) -> None:
    """Insert or update the rows of all configured feeds, given as (code, supplier, feed, config version).

    A changed policy marks the feed's SKUs dirty and moves its stale limit at once.
    """
    present = {
        row.code: row
        for row in connection.execute(select(feed.c.code, feed.c.id, feed.c.policy, feed.c.config_version, feed.c.as_of))
    }
    for code, supplier, config, version in feeds:
        values = {
            "supplier": supplier.code,
            "supplier_name": supplier.name,
            "supplier_kind": supplier.kind,
            "config_version": version,
            "policy": policy(config),
            "missing_after": config.missing_after,
        }
        row = present.get(code)
        if row is None:
            # another process may register the same new feed at this moment
            new = insert_or(connection, feed).values(code=code, in_shadow=True, **values)
            connection.execute(new.on_conflict_do_nothing())
        elif row.policy != values["policy"] or row.config_version != version:
            stale_at = row.as_of + config.stale_after if row.as_of else None
            connection.execute(update(feed).where(feed.c.id == row.id).values(**values, stale_at=stale_at))
            if row.policy.get("stale_after_s") != config.stale_after.total_seconds():
                places.follow_policy(connection, row.id, config.stale_after)
            if row.policy != values["policy"]:
                mark(connection, "feed", [str(row.id)], reason="policy changed", at=at)


def load(connection: Connection, code: str) -> FeedRow | None:
    """Return the state of a feed by code, None when it was never registered."""
    row = connection.execute(select(*_COLUMNS).where(feed.c.code == code)).one_or_none()
    return None if row is None else FeedRow(*row)


def change(connection: Connection, feed_id: int, **values: Any) -> None:
    """Set columns of a feed row."""
    connection.execute(update(feed).where(feed.c.id == feed_id).values(**values))
