"""Available to sell in the database: which SKUs are dirty, what is known of them, and writing what changed.

All set-based: the dirty SKUs stand in a temporary table and are read in pages. Never computes a quantity.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    MetaData,
    String,
    Table,
    Text,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    type_coerce,
    update,
)

from schemas.columns import KEY_COLUMNS
from schemas.tables import (
    ats_change,
    available_to_sell,
    dirty_mark,
    held_level,
    inventory,
    level_change,
    product,
    product_link,
    publication,
    reservation,
)
from stockfeed.store.among import is_among
from stockfeed.store.engine import copying, driver, insert_or, next_change_ids, with_all
from transforms.availability import Level, Reserved, SkuStock, Step

_STEP, _quoted = '{{"detail": {}, "step": {}, "value": {}}}'.format, encode_basestring

_temporary = MetaData()
#: The SKUs to compute, each with the newest reason.
dirty = Table("dirty", _temporary, Column("sku", Text, primary_key=True), Column("cause", Text), prefixes=["TEMPORARY"])
#: What this run changes. At its end it becomes rows of available_to_sell and, where the value is new, of ats_change and the
#: outbox: change ids are taken then.
changed = Table(
    "changed",
    _temporary,
    Column("sku", Text, primary_key=True),
    Column("channel_location", Text, primary_key=True),
    Column("version", BigInteger),
    Column("before", BigInteger),
    Column("baseline", BigInteger),
    Column("after", BigInteger),
    Column("fresh_quantity", BigInteger),
    Column("reason_code", String(40)),
    Column("steps", Text),
    Column("cause", Text),
    Column("is_new", BigInteger),
    Column("is_sent", BigInteger),
    prefixes=["TEMPORARY"],
)


class Offered(NamedTuple):
    """What a channel location offers of a SKU now."""

    quantity: int
    version: int
    reason_code: str
    fresh_quantity: int | None
    steps: str  # as JSON text: compared far more often than read


class Change(NamedTuple):
    """A newly computed value for one SKU and channel location, and what was offered `before` (None: nothing yet).

    `is_sent` False: explained only, not offered to the channel (a new SKU in shadow).
    """

    sku: str
    location: str
    now: Offered
    before: Offered | None
    cause: str
    is_sent: bool = True

    @property
    def is_new_value(self) -> bool:
        """Return whether the value itself is new, not only its explanation."""
        return self.before is None or self.now.version != self.before.version


def collect_dirty(
    connection: Connection, channel: str, *, after: int, upto: int, whole: str | None, fresh_again: Iterable[int] = ()
) -> None:
    """Fill `dirty` with the SKUs changed or marked by change ids in (after, upto], or with all when `whole` gives a reason.

    And with those of the feeds (ids) that are fresh again.
    """
    drop_temporary(connection)
    _temporary.create_all(connection, checkfirst=False)
    _add_changed_levels(connection, after, upto)
    marks = connection.execute(
        select(dirty_mark.c.kind, dirty_mark.c.key, dirty_mark.c.reason)
        .where(dirty_mark.c.id > after, dirty_mark.c.id <= upto)
        .order_by(dirty_mark.c.id.desc())
    ).all()
    skus = {mark.key: mark.reason for mark in reversed(marks) if mark.kind == "sku"}
    if skus:
        connection.execute(_insert_dirty(connection), [{"sku": sku, "cause": cause} for sku, cause in skus.items()])
    for key, cause in {mark.key: mark.reason for mark in reversed(marks) if mark.kind == "feed"}.items():
        _add_feed(connection, int(key), cause)
    for feed_id in fresh_again:
        _add_feed(connection, feed_id, "fresh again")
    whole = whole or next((mark.reason for mark in marks if mark.kind == "all"), None)
    if whole is not None:
        _add_everything(connection, channel, whole)


def has_news(connection: Connection, *, after: int, upto: int) -> bool:
    """Return whether a level changed or something was marked dirty by change ids in (after, upto]."""
    news = (select(t.c.id).where(t.c.id > after, t.c.id <= upto).exists() for t in (level_change, dirty_mark))
    return bool(connection.execute(select(or_(*news))).scalar_one())


def drop_temporary(connection: Connection) -> None:
    """Drop the temporary tables: a large run pays for that itself, not the next small one on the same connection."""
    schema = "temp" if connection.dialect.name == "sqlite" else "pg_temp"
    for table in _temporary.tables:
        connection.execute(text(f"DROP TABLE IF EXISTS {schema}.{table}"))


def _insert_dirty(connection: Connection) -> Any:
    return insert_or(connection, dirty).on_conflict_do_nothing()


def _add_changed_levels(connection: Connection, after: int, upto: int) -> None:
    c = level_change.c
    is_undone = c.kind == "undone"
    undone, applied = func.max(case((is_undone, c.id), else_=0)), func.max(case((is_undone, 0), else_=c.id))
    # an undo is a cause of its own: what the publish gate holds because of the delivery must not hold the way back
    how = case((undone > applied, " undone"), else_="")
    rows = (
        select(c.sku, literal("delivery ") + func.max(c.delivery_id).cast(Text) + how)
        .where(c.id > after, c.id <= upto, c.sku.is_not(None))
        .group_by(c.sku)
    )
    connection.execute(insert(dirty).from_select(["sku", "cause"], rows))


def _add_feed(connection: Connection, feed_id: int, cause: str) -> None:
    rows = (
        select(inventory.c.sku, literal(cause, Text).label("cause"))
        .distinct()
        .where(inventory.c.feed_id == feed_id, inventory.c.sku.is_not(None))
    )
    connection.execute(_insert_dirty(connection).from_select(["sku", "cause"], rows))


def _add_everything(connection: Connection, channel: str, cause: str) -> None:
    for rows in (
        select(inventory.c.sku, literal(cause, Text).label("cause")).distinct().where(inventory.c.sku.is_not(None)),
        select(available_to_sell.c.sku, literal(cause, Text).label("cause"))
        .distinct()
        .where(available_to_sell.c.channel == channel),
    ):
        connection.execute(_insert_dirty(connection).from_select(["sku", "cause"], rows))


def dirty_pages(connection: Connection, size: int) -> Iterator[dict[str, str]]:
    """Yield the dirty SKUs with their causes, at most `size` at a time."""
    last: str | None = None
    while True:
        query = select(dirty.c.sku, dirty.c.cause).order_by(dirty.c.sku).limit(size)
        page = connection.execute(query if last is None else query.where(dirty.c.sku > last)).all()
        if not page:
            return
        yield {row.sku: row.cause for row in page}
        last = page[-1].sku


def load_stock(connection: Connection, skus: Sequence[str], *, with_products: bool) -> dict[str, SkuStock]:
    """Return what is known of each SKU: levels with their factors, open reservations, brand and tags (if asked for)."""
    levels: dict[str, list[Level]] = {sku: [] for sku in skus}
    for row in connection.execute(_levels_query(connection, skus)).all():
        levels[row[0]].append(Level(*row[1:]))
    reserved = _load_reserved(connection, skus)
    products: dict[str, Any] = {}
    if with_products:
        wanted = is_among(connection, product.c.sku, skus)
        rows = connection.execute(select(product.c.sku, product.c.brand, product.c.tags).where(wanted))
        products = {row.sku: row for row in rows}
    return {
        sku: SkuStock(
            sku=sku,
            levels=levels[sku],
            reserved=reserved.get(sku, ()),
            brand=products[sku].brand if sku in products else None,
            tags=frozenset(products[sku].tags) if sku in products else (),
        )
        for sku in skus
    }


def _levels_query(connection: Connection, skus: Sequence[str]) -> Any:
    i, link = inventory.c, product_link.c
    return (
        select(
            i.sku,
            i.feed_id,
            i.location,
            i.on_hand,
            i.available,
            i.missing_count,
            i.unconfirmed_count,
            func.coalesce(link.factor_numerator, 1),
            func.coalesce(link.factor_denominator, 1),
            _held_quantity(),
        )
        .select_from(
            inventory.outerjoin(
                product_link, (link.feed_id == i.feed_id) & (link.supplier_sku == i.supplier_sku) & (link.sku == i.sku)
            )
        )
        .where(is_among(connection, i.sku, skus))
        .order_by(i.sku, i.feed_id, i.location, i.supplier_sku, i.condition)
    )


def _held_quantity() -> Any:
    """Return the expression for the smallest quantity that a held delivery gives a level; null where none does."""
    h, i = held_level.c, inventory.c
    same = [h[name] == i[name] for name in ("feed_id", *KEY_COLUMNS)]
    return select(func.min(h.quantity)).where(*same).scalar_subquery()


def _load_reserved(connection: Connection, skus: Sequence[str]) -> dict[str, list[Reserved]]:
    r = reservation.c
    rows = connection.execute(
        select(r.sku, r.kind, r.units, r.seen_at, r.feed_id, r.sources)
        .where(r.released_at.is_(None), is_among(connection, r.sku, skus))
        .order_by(r.sku, r.id)
    )
    found: dict[str, list[Reserved]] = {}
    for row in rows:
        sources = row.sources or {}
        feeds, places = frozenset(sources.get("feeds", ())), frozenset(sources.get("locations", ()))
        found.setdefault(row.sku, []).append(Reserved(row.kind, row.units, row.seen_at, row.feed_id, feeds, places))
    return found


def load_offered(connection: Connection, channel: str, skus: Sequence[str]) -> dict[tuple[str, str], Offered]:
    """Return what the channel offers now, by (SKU, channel location)."""
    a = available_to_sell.c
    steps = cast(a.steps, Text)
    rows = connection.execute(
        select(a.sku, a.channel_location, a.quantity, a.version, a.reason_code, a.fresh_quantity, steps).where(
            a.channel == channel, is_among(connection, a.sku, skus)
        )
    )
    return {(row[0], row[1]): Offered(*row[2:]) for row in rows.all()}


def steps_text(steps: Sequence[Step]) -> str:
    """Return the steps as the engine writes them (`to_json`): equal texts are equal steps. Written by hand: a third of the time."""
    return f"[{', '.join([_STEP(_quoted(detail), _quoted(step), value) for step, detail, value in steps])}]"


def remember(connection: Connection, changes: Sequence[Change]) -> None:
    """Append to `changed`, for `publish_changes`. Given to the driver as it is: rows by the hundred thousand."""
    names = ", ".join(f'"{column.name}"' for column in changed.columns)
    rows = [_changed_row(change) for change in changes]
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(changed.columns))
        with driver(connection) as direct:
            direct.executemany(f"INSERT INTO temp.changed ({names}) VALUES ({marks})", rows)  # noqa: S608 (our names)
        return
    with copying(connection, f"COPY changed ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _changed_row(change: Change) -> tuple[str | int | None, ...]:
    before, now = change.before, change.now
    is_comparable = before is not None and before.reason_code not in {"stale", "in_shadow"}
    baseline = None if before is None else before.quantity if is_comparable else before.fresh_quantity
    return (
        change.sku,
        change.location,
        now.version,
        None if before is None else before.quantity,
        baseline,
        now.quantity,
        now.fresh_quantity,
        now.reason_code,
        now.steps,
        change.cause,
        int(change.is_new_value),
        int(change.is_sent),
    )


def _write_offered(connection: Connection, channel: str, at: datetime) -> None:
    """Write new and changed rows of `available_to_sell` from `changed`."""
    c = changed.c
    # the text as it is: equal texts are equal steps
    steps = type_coerce(c.steps, JSON) if connection.dialect.name == "sqlite" else cast(c.steps, JSON)
    key = {"channel": literal(channel), "sku": c.sku, "channel_location": c.channel_location}
    values = {
        "quantity": c.after,
        "version": c.version,
        "reason_code": c.reason_code,
        "fresh_quantity": c.fresh_quantity,
        "steps": steps,
        "computed_at": literal(at, available_to_sell.c.computed_at.type),
    }
    if connection.dialect.name == "sqlite":
        _write_apart(connection, key, values)
        return
    rows = select(*key.values(), *values.values()).order_by(c.sku, c.channel_location)
    writing = insert_or(connection, available_to_sell).from_select([*key, *values], rows)
    new = {name: writing.excluded[name] for name in values}
    connection.execute(writing.on_conflict_do_update(index_elements=list(key), set_=new))


def _write_apart(connection: Connection, key: dict[str, Any], values: dict[str, Any]) -> None:
    """Write new rows and changed ones by a statement each: with ON CONFLICT, SQLite keeps a copy of each page it changes.

    `before` says which is which: nobody else writes what is offered while we have the channel.
    """
    a, c = available_to_sell.c, changed.c
    rows = select(*key.values(), *values.values()).where(c.before.is_(None)).order_by(c.sku, c.channel_location)
    connection.execute(with_all(insert(available_to_sell)).from_select([*key, *values], rows))
    # the SKUs beside the equal keys: else SQLite walks all of the channel's rows and looks each up in the few changed ones
    same = [a[name] == value for name, value in key.items()] + [a.sku.in_(select(c.sku))]
    connection.execute(with_all(update(available_to_sell)).where(*same, c.before.is_not(None)).values(values))


def publish_changes(connection: Connection, channel: str, at: datetime) -> int:
    """Write what `changed` has to `available_to_sell`, new values to `ats_change` and the outbox; return how many are new.

    Older waiting rows of the same listings become superseded. A held row's cause stays with its listing unless a
    delivery brought the new value: recomputing for another reason does not get a held change past the gate (staleness
    zeros do pass). Nor does a sale, which is never held itself, get one past that only waits yet.
    """
    _write_offered(connection, channel, at)
    p, c = publication.c, changed.c
    count = int(connection.execute(select(func.count()).where(c.is_new == 1)).scalar_one())
    if not count:
        return 0
    connection.execute(delete(changed).where(c.is_new == 0))
    same = (p.channel == channel, p.sku == c.sku, p.channel_location == c.channel_location)
    # coalesce keeps SQLite from walking all waiting rows by the state index instead of looking up the few changed SKUs
    state = func.coalesce(p.state, "")
    for kept, comes_from in (("held", ~c.cause.like("delivery %")), ("pending", c.cause.like("sale at %"))):
        cause = select(func.max(p.cause)).where(*same, state == kept).scalar_subquery()
        is_kept = exists().where(*same, state == kept)
        connection.execute(update(changed).where(comes_from, c.reason_code != "stale", is_kept).values(cause=cause))
    in_changed = exists().where(c.sku == p.sku, c.channel_location == p.channel_location)
    connection.execute(
        with_all(update(publication))
        .where(p.channel == channel, p.sku.in_(select(c.sku)), state.in_(("pending", "held")), in_changed)
        .values(state="superseded", ended_at=at)
    )
    row = [literal(channel), c.sku, c.channel_location]
    when = literal(at, ats_change.c.at.type)
    outbox = select(*row, c.after, c.version, literal(""), literal("pending"), c.cause, literal(0), when).where(c.is_sent == 1)
    names = [
        "channel",
        "sku",
        "channel_location",
        "quantity",
        "version",
        "idempotency_key",
        "state",
        "cause",
        "attempts",
        "created_at",
    ]
    connection.execute(with_all(insert(publication)).from_select(names, outbox.order_by(c.sku, c.channel_location)))
    base = next_change_ids(connection, count)
    number = func.row_number().over(order_by=(c.sku, c.channel_location)) + base
    history = select(number, *row, c.version, c.before, c.after, c.reason_code, c.cause, c.baseline, when)
    names = ["id", "channel", "sku", "channel_location", "version", "before", "after", "reason_code", "cause", "baseline", "at"]
    connection.execute(with_all(insert(ats_change)).from_select(names, history))
    return count
