"""Everything people and machines ask for: plain dictionaries with JSON-ready values, read from one snapshot.

Changes nothing. The command line, the console and the API show these same answers.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, and_, func, select, table, union
from sqlalchemy import column as named

from schemas.columns import KEY_COLUMNS, QUANTITY_SCALE
from schemas.errors import PermanentError
from schemas.tables import (
    available_to_sell,
    channel,
    check_run,
    delivery,
    feed,
    hold,
    inventory,
    level_change,
    listing,
    product_link,
    publication,
    rejection,
    reservation,
)
from stockfeed.bootstrap import App
from stockfeed.store.engine import read

_INVENTORY_V1 = (
    "feed", "supplier", "supplier_kind", "supplier_sku", "location", "condition", "sku", "on_hand", "available", "on_order", "unit",
    "next_available_on", "unit_cost", "currency", "as_of", "confirmed_at", "is_stale", "in_shadow", "delivery_id", "source_row",
)  # fmt: skip
_LAST = 10  # changes, and publications, of one SKU
_CHANGED = ("on_hand_before", "on_hand_after", "available_before", "available_after")
_FEED = ("code", "in_shadow", "is_stale", "as_of", "stale_at", "collected_at", "last_error", "last_applied_id")
_DELIVERY = (
    "id", "source_name", "state", "reason_code", "reason", "received_at", "ended_at", "as_of", "size", "sha256",
    "rows_read", "rows_accepted", "rows_rejected", "rows_skipped", "changes", "acknowledgement",
)  # fmt: skip


def json_ready(value: Any) -> Any:
    """Return a database value as JSON shows it: instants and dates as ISO text, decimals as exact text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, (bool, int, str, list, dict)):
        return value
    words = f"{value:f}" if not isinstance(value, float) else f"{value:.4f}"
    return words.rstrip("0").rstrip(".") if "." in words else words


def _rows(app: App, query: Select[Any]) -> list[dict[str, Any]]:
    with read(app.engine) as connection:
        found = connection.execute(query).mappings()
        return [{name: json_ready(value) for name, value in row.items()} for row in found]


def feeds(app: App) -> list[dict[str, Any]]:
    """Return one dictionary per configured feed: state, age, last delivery, open holds. Feeds never synced show nulls."""
    known = _rows(
        app,
        select(*(feed.c[n] for n in _FEED), _levels().label("levels"), _open_holds().label("held")),
    )
    by_code = {row.pop("code"): row for row in known}
    empty = dict.fromkeys(next(iter(by_code.values()), {}))
    return [
        {
            "feed": code,
            "supplier": app.config.supplier_of(code).name,
            "source": config.source.type,
            "format": config.format.type,
            "mode": config.mode,
            "schedule": config.schedule,
            **by_code.get(code, empty),
        }
        for code, config in sorted(app.config.feeds.items())
    ]


def _levels() -> Any:
    return select(func.count()).where(inventory.c.feed_id == feed.c.id).scalar_subquery()


def _open_holds() -> Any:
    return select(func.count()).where(hold.c.feed_id == feed.c.id, hold.c.state == "open").scalar_subquery()


def deliveries(app: App, feed_code: str | None = None, state: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Return the newest deliveries first, of one feed and in one state if given."""
    query = select(feed.c.code.label("feed"), *(delivery.c[n] for n in _DELIVERY)).join(feed, feed.c.id == delivery.c.feed_id)
    if feed_code:
        query = query.where(feed.c.code == feed_code)
    if state:
        query = query.where(delivery.c.state == state)
    return _rows(app, query.order_by(delivery.c.id.desc()).limit(limit))


def delivery_detail(app: App, delivery_id: int) -> dict[str, Any]:
    """Return one delivery with findings, reading, rejections by code and holds. Raises PermanentError when there is none."""
    wanted = [delivery.c[n] for n in (*_DELIVERY, "source_identity", "source_time", "findings", "reading", "skipped", "attempts")]
    query = select(feed.c.code.label("feed"), *wanted).join(feed, feed.c.id == delivery.c.feed_id)
    found = _rows(app, query.where(delivery.c.id == delivery_id))
    if not found:
        raise PermanentError(f"there is no delivery {delivery_id}", "See `stockfeed deliveries list`.")
    by_code = (
        select(rejection.c.code, rejection.c.severity, func.count().label("rows"))
        .where(rejection.c.delivery_id == delivery_id)
        .group_by(rejection.c.code, rejection.c.severity)
        .order_by(func.count().desc())
    )
    holds = select(hold.c.id, hold.c.state, hold.c.opened_at, hold.c.decided_at, hold.c.decided_by, hold.c.reason, hold.c.findings)
    return {
        **found[0],
        "rejections": _rows(app, by_code),
        "holds": _rows(app, holds.where(hold.c.delivery_id == delivery_id).order_by(hold.c.id)),
    }


def rejections(
    app: App, delivery_id: int | None = None, feed_code: str | None = None, limit: int | None = 200
) -> list[dict[str, Any]]:
    """Return problems in file order: of one delivery, else of each feed's (or one feed's) last one that was read or refused.

    Raises PermanentError when there is no such delivery.
    """
    names = ("number", "row", "line", "column_name", "value", "code", "message", "remedy", "severity")
    query = (
        select(
            feed.c.code.label("feed"),
            rejection.c.delivery_id,
            delivery.c.source_name.label("file"),
            *(rejection.c[n] for n in names),
        )
        .join(delivery, delivery.c.id == rejection.c.delivery_id)
        .join(feed, feed.c.id == delivery.c.feed_id)
    )
    if delivery_id is not None:
        query = query.where(rejection.c.delivery_id == delivery_id)
        if not _rows(app, select(delivery.c.id).where(delivery.c.id == delivery_id)):
            raise PermanentError(f"there is no delivery {delivery_id}", "See `stockfeed deliveries list`.")
    else:
        judged = delivery.c.rows_read.is_not(None) | (delivery.c.state == "rejected")
        newest = select(func.max(delivery.c.id)).where(judged).group_by(delivery.c.feed_id)
        query = query.where(rejection.c.delivery_id.in_(newest))
    if feed_code:
        query = query.where(feed.c.code == feed_code)
    found = _rows(app, query.order_by(rejection.c.delivery_id, rejection.c.number).limit(limit))
    return [{("column" if k == "column_name" else k): v for k, v in row.items()} for row in found]


def _view(name: str, columns: tuple[str, ...]) -> Any:
    return table(name, *(named(c) for c in columns))


def stock(app: App, sku: str | None = None, feed_code: str | None = None, limit: int | None = 200) -> list[dict[str, Any]]:
    """Return levels as `inventory_v1` shows them, by feed and supplier SKU; `sku` matches the master or the supplier's SKU."""
    view = _view("inventory_v1", _INVENTORY_V1)
    # as the indices are, by SKU, and by feed and the supplier's SKU: otherwise all levels would be read
    of_sku = view.c.sku == sku, and_(view.c.feed.in_(select(feed.c.code)), view.c.supplier_sku == sku)
    query: Any = union(*(select(view).where(one) for one in of_sku)).subquery() if sku is not None else view
    rows = select(query)
    if feed_code is not None:
        rows = rows.where(query.c.feed == feed_code)
    ordered = rows.order_by(*(query.c[name] for name in ("feed", "supplier_sku", "location", "condition")))
    return [_flags(row) for row in _rows(app, ordered.limit(limit))]


def _flags(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: bool(row[name]) for name in ("is_stale", "in_shadow")}


def channels(app: App) -> list[dict[str, Any]]:
    """Return one dictionary per configured channel: approved, paused, listings, what waits and what failed."""
    counts = {
        state: select(func.count()).where(publication.c.channel == channel.c.code, publication.c.state == state).scalar_subquery()
        for state in ("pending", "held", "failed")
    }
    listed = select(func.count()).where(available_to_sell.c.channel == channel.c.code).scalar_subquery()
    confirmed = (
        select(func.count()).where(listing.c.channel == channel.c.code, listing.c.confirmed_quantity.is_not(None)).scalar_subquery()
    )
    names = ("code", "approved_at", "approved_by", "paused_at", "paused_by", "reconciled_at", "last_error")
    query = select(*(channel.c[n] for n in names), listed.label("listings"), confirmed.label("confirmed"),
                   *(q.label(state) for state, q in counts.items()))  # fmt: skip
    by_code = {row.pop("code"): row for row in _rows(app, query)}
    empty = dict.fromkeys(next(iter(by_code.values()), {}))
    return [
        {"channel": code, "name": config.name, "kind": config.kind, **by_code.get(code, empty)}
        for code, config in sorted(app.config.channels.items())
    ]


def why(app: App, sku: str, channel_code: str | None = None) -> dict[str, Any]:
    """Return everything that led to the numbers of one SKU.

    Levels with file and row and their last changes, reservations, ATS steps, publications.
    """
    ats = select(
        available_to_sell, listing.c.confirmed_quantity.label("published_quantity"), listing.c.confirmed_at.label("published_at")
    )
    same = and_(*(listing.c[n] == available_to_sell.c[n] for n in ("channel", "sku", "channel_location")))
    # by channel and SKU, as the indices are: of a SKU alone, all that any channel ever offered would be read
    codes = select(channel.c.code)
    if channel_code is not None:
        app.config.channel(channel_code)
        codes = codes.where(channel.c.code == channel_code)
    ats = ats.outerjoin(listing, same).where(available_to_sell.c.channel.in_(codes), available_to_sell.c.sku == sku)
    sent = select(publication).where(publication.c.channel.in_(codes), publication.c.sku == sku)
    kept = select(reservation).where(reservation.c.sku == sku, reservation.c.released_at.is_(None))
    links = select(feed.c.code.label("feed"), *(c for c in product_link.c if c.name != "feed_id")).join(
        feed, feed.c.id == product_link.c.feed_id
    )
    levels = [_traced(app, row) for row in stock(app, sku=sku)]
    return {
        "sku": sku,
        "levels": levels,
        "changes": _changes(app, sku, levels),
        "links": _rows(app, links.where(product_link.c.sku == sku)),
        "reservations": _rows(app, kept),
        "available_to_sell": _rows(app, ats.order_by(available_to_sell.c.channel, available_to_sell.c.channel_location)),
        "publications": _rows(app, sent.order_by(publication.c.id.desc()).limit(_LAST)),
    }


def _traced(app: App, row: dict[str, Any]) -> dict[str, Any]:
    """Add the file that a level comes from: every quantity traces to (sha256, row) (I15)."""
    origin = _rows(app, select(delivery.c.source_name, delivery.c.sha256).where(delivery.c.id == row["delivery_id"]))
    return {**row, "file": origin[0]["source_name"], "sha256": origin[0]["sha256"]}


def _changes(app: App, sku: str, levels: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the last changes of the levels of a SKU, the newest first; also of levels that an undo has taken away."""
    c = level_change.c
    linked = _rows(app, select(feed.c.code.label("feed"), product_link.c.supplier_sku)
                   .join(feed, feed.c.id == product_link.c.feed_id).where(product_link.c.sku == sku))  # fmt: skip
    others = {(level["feed"], level["supplier_sku"]) for level in (*levels, *linked) if level["supplier_sku"] != sku}
    # each by its feed's id, as the indices are
    conditions = [and_(c.feed_id.in_(select(feed.c.id)), c.supplier_sku == sku)]
    for code, supplier_sku in sorted(others):
        of_feed = select(feed.c.id).where(feed.c.code == code).scalar_subquery()
        conditions.append(and_(c.feed_id == of_feed, c.supplier_sku == supplier_sku))
    found = [row for condition in conditions for row in _rows(app, _newest_changes().where(condition))]
    newest = sorted(found, key=lambda row: -int(row["id"]))[:_LAST]
    return [{name: _units(value) if name in _CHANGED else value for name, value in row.items() if name != "id"} for row in newest]


def _newest_changes() -> Select[Any]:
    c = level_change.c
    return (
        select(
            c.id, feed.c.code.label("feed"), *(c[name] for name in KEY_COLUMNS), c.kind, *(c[name] for name in _CHANGED),
            c.delivery_id, delivery.c.source_name.label("file"), c.at.label("changed_at"),
        )
        .join(feed, feed.c.id == c.feed_id)
        .join(delivery, delivery.c.id == c.delivery_id)
        .order_by(c.id.desc())
        .limit(_LAST)
    )  # fmt: skip


def _units(thousandths: int | None) -> str | None:
    return None if thousandths is None else str(json_ready(Decimal(thousandths) / QUANTITY_SCALE))


def checks(app: App) -> list[dict[str, Any]]:
    """Return when each safety check last ran and what it found."""
    return _rows(app, select(check_run).order_by(check_run.c.name))
