"""Earlier available-to-sell values, from their append-only history. Never changes it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select

from schemas.tables import ats_change

Key = tuple[str, str]  # SKU, channel location


def offered_at(connection: Connection, channel: str, keys: Sequence[Key], at: datetime) -> dict[Key, int]:
    """Return what was offered at an instant, for those of `keys` that had been offered by then."""
    c = ats_change.c
    newest = (
        select(func.max(c.id))
        .where(c.channel == channel, c.at <= at, c.sku.in_(sorted({sku for sku, _ in keys})))
        .group_by(c.sku, c.channel_location)
    )
    rows = connection.execute(select(c.sku, c.channel_location, c.after).where(c.id.in_(newest)))
    found = {(row.sku, row.channel_location): int(row.after) for row in rows}
    return {key: found[key] for key in keys if key in found}


def offered_in_version(connection: Connection, channel: str, versions: Mapping[Key, int]) -> dict[Key, int]:
    """Return what was offered in the given version of each listing, for those that have it."""
    c = ats_change.c
    rows = connection.execute(
        select(c.sku, c.channel_location, c.version, c.after).where(
            c.channel == channel, c.sku.in_(sorted({sku for sku, _ in versions}))
        )
    )
    return {
        (row.sku, row.channel_location): int(row.after)
        for row in rows
        if versions.get((row.sku, row.channel_location)) == row.version
    }
