"""`sync`, `allocate`, `publish`, `reconcile`, `sweep`: the verbs of the flow, for some or all feeds and channels.

Never lets one supplier's or channel's fault stop the others: all are tried, all are told, the exit code is the worst.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from schemas.errors import StockfeedError
from stockfeed.cli.boundary import tell
from stockfeed.cli.output import Columns, as_row, emit, emit_json, progress, show_rows
from stockfeed.cli.session import Session, json_option, pass_session

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from stockfeed.bootstrap import App
    from stockfeed.config_files import Config

_HELD, _FAILED = 2, 4
_WORST_FIRST = (3, 4, 75, 2)
_STATE_CODES = {"held": _HELD, "rejected": _FAILED}

_SYNC = (
    ("feed", "feed"), ("delivery_id", "delivery"), ("state", "state"), ("rows_read", "rows"), ("rows_accepted", "accepted"),
    ("rows_rejected", "rejected"), ("changes", "changes"), ("reason", "why"),
)  # fmt: skip
_ALLOCATE = (("channel", "channel"), ("computed", "computed"), ("changed", "changed"))
_PUBLISH = (
    ("channel", "channel"), ("sent", "sent"), ("confirmed", "confirmed"), ("failed", "failed"), ("stale", "stale"),
    ("held", "held"), ("pending", "pending"), ("sales_seen", "sales seen"),
)  # fmt: skip
_RECONCILE = (
    ("channel", "channel"), ("checked", "checked"), ("equal", "equal"), ("sales_seen", "sales seen"), ("edited", "edited"),
    ("repaired", "repaired"),
)  # fmt: skip

Step = Callable[["App", str], Iterable[dict[str, Any]]]


@click.command()
@click.argument("feeds", nargs=-1, metavar="[FEED]...")
@json_option
@pass_session
def sync(session: Session, feeds: tuple[str, ...], *, as_json: bool) -> int:
    """Fetch what suppliers have put, then apply or hold it.

    Without FEED all feeds; a pattern such as "acme.*" or a supplier's code
    takes several.

    \b
    Example:
      stockfeed sync acme.stock
    """
    with _reader_ahead(session.config, feeds), session.app() as app:
        rows, code = _for_each(session, app, "syncing", app.config.select(feeds), _sync_one)
    _show(rows, _SYNC, as_json=as_json, nothing="" if code else "Nothing new.")
    if not as_json:
        _explain_deliveries(rows)
    return _worst([code, *(_STATE_CODES.get(row.get("state", ""), 0) for row in rows)])


@click.command()
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
@json_option
@pass_session
def allocate(session: Session, channels: tuple[str, ...], *, as_json: bool) -> int:
    """Compute what each channel may offer of the SKUs that changed.

    \b
    Example:
      stockfeed allocate shop
    """

    def one(app: "App", channel: str) -> Iterator[dict[str, Any]]:
        from stockfeed.pipeline.allocate import allocate as allocate_channel

        yield as_row(allocate_channel(app, channel))

    with session.app() as app:
        rows, code = _for_each(session, app, "allocating", app.config.select_channels(channels), one)
    _show(rows, _ALLOCATE, as_json=as_json, nothing="" if code else "No channels are configured.")
    return code


@click.command()
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
@json_option
@pass_session
def publish(session: Session, channels: tuple[str, ...], *, as_json: bool) -> int:
    """Send the changed quantities to the channels.

    Exit code 2 when the gate holds something, 4 when a channel refused items.

    \b
    Example:
      stockfeed publish shop
    """

    def one(app: "App", channel: str) -> Iterator[dict[str, Any]]:
        from stockfeed.pipeline.publish import publish as publish_channel

        yield as_row(publish_channel(app, channel))

    with session.app() as app:
        rows, code = _for_each(session, app, "publishing", app.config.select_channels(channels), one)
    _show(rows, _PUBLISH, as_json=as_json, nothing="" if code else "No channels are configured.")
    if not as_json:
        _explain_holds(rows)
    return _worst(
        [
            code,
            *(_HELD for row in rows if row.get("held") or row.get("state") == "held"),
            *(_FAILED for row in rows if row.get("failed")),
        ]
    )


@click.command()
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
@json_option
@pass_session
def reconcile(session: Session, channels: tuple[str, ...], *, as_json: bool) -> int:
    """Read the channels back, account for sales, repair differences.

    \b
    Example:
      stockfeed reconcile shop
    """

    def one(app: "App", channel: str) -> Iterator[dict[str, Any]]:
        from stockfeed.pipeline.reconcile import reconcile as reconcile_channel

        yield as_row(reconcile_channel(app, channel))

    with session.app() as app:
        rows, code = _for_each(session, app, "reconciling", app.config.select_channels(channels), one)
    _show(rows, _RECONCILE, as_json=as_json, nothing="" if code else "No channels are configured.")
    return code


@click.command()
@click.option("--confirm", is_flag=True, help="The suppliers are late, not we: let more than half of all feeds expire.")
@json_option
@pass_session
def sweep(session: Session, *, confirm: bool, as_json: bool) -> int:
    """Find feeds that became too old, fresh again, or silent.

    Exit code 2 when more than half of all feeds would expire together:
    that looks like our own outage, and nothing expires until --confirm.

    \b
    Example:
      stockfeed sweep
    """
    with session.app() as app:
        from stockfeed.pipeline.sweep import sweep as sweep_feeds

        result = as_row(sweep_feeds(app, confirmed=confirm))
    if as_json:
        emit_json({"type": "sweep", **result})
        return _HELD if result["outage"] else 0
    for word, codes in result.items():
        if isinstance(codes, (list, tuple)):
            emit(f"{word}: {', '.join(codes) or 'none'}")
    if result["outage"]:
        emit("More than half of all feeds would expire together: this looks like our own outage, so nothing did.")
        emit("When the suppliers are late, not we: stockfeed sweep --confirm")
    return _HELD if result["outage"] else 0


def _reader_ahead(config: "Config", feeds: tuple[str, ...]) -> "AbstractContextManager[None]":
    """Start the process that reads a workbook beside the rest of this command's start, where a single feed is asked for."""
    from stockfeed.reading_process import started_ahead
    from transforms.formats.registry import find

    codes = config.select(feeds)
    return started_ahead() if len(codes) == 1 and find(config.feed(codes[0]).format.type).limited else nullcontext()


def _sync_one(app: "App", feed: str) -> Iterator[dict[str, Any]]:
    from stockfeed.pipeline.acknowledge import acknowledge_all
    from stockfeed.pipeline.collect import collect
    from stockfeed.pipeline.ingest import ingest

    collected = collect(app, feed)
    for name, why in collected.waiting.items():
        yield {"feed": feed, "state": "waiting", "reason": f"{name}: {why}"}
    for delivery_id in collected.delivery_ids:
        yield as_row(ingest(app, delivery_id))
    acknowledge_all(app, feed)  # last: the supplier's copy goes only after our commit


def _for_each(session: Session, app: "App", label: str, codes: tuple[str, ...], step: Step) -> tuple[list[dict[str, Any]], int]:
    _require_database(app)
    rows: list[dict[str, Any]] = []
    failures: list[int] = []
    with progress(label, len(codes)) as advance:
        for code in codes:
            advance(code)
            try:
                # one by one: what was done before a fault is kept and told
                for row in step(app, code):
                    rows += [row]
            except StockfeedError as error:
                error.message = f"{code}: {error.message}"
                failures.append(tell(error, debug=session.debug))
    return rows, _worst(failures)


def _require_database(app: "App") -> None:
    """Raise the database's error before the first feed or channel, so that it is told once and not for each of them."""
    from sqlalchemy import select

    from schemas.tables import feed
    from stockfeed.store.engine import read

    with read(app.engine) as connection:
        connection.execute(select(feed.c.id).limit(1))


def _worst(codes: Iterable[int]) -> int:
    given = set(codes)
    return next((code for code in _WORST_FIRST if code in given), max(given, default=0))


def _show(rows: list[dict[str, Any]], columns: Columns, *, as_json: bool, nothing: str) -> None:
    """Show the results; where all failed (`nothing` is "") the errors on stderr have said it."""
    if rows or nothing:
        show_rows(rows, columns, as_json=as_json, nothing=nothing)


def _explain_holds(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        channel, hold = row["channel"], row.get("hold_id")
        if row.get("reason"):
            emit(f"{channel}: {row['reason']}")
        if hold:
            emit(f"{channel}: {row['held']:,} held. See `stockfeed channels preview {channel}`, then")
            emit(f"  stockfeed channels approve {channel} --hold {hold} --reason …")


def _explain_deliveries(rows: list[dict[str, Any]]) -> None:
    """Tell what to do about each delivery that ended held or rejected: its bytes do not come a second time by themselves."""
    for row in rows:
        delivery = row.get("delivery_id")
        if row["state"] == "held":
            emit(f"See `stockfeed deliveries show {delivery}`, then release it, or reject it:")
            emit(f"  stockfeed deliveries release {delivery} --reason …")
        elif row["state"] == "rejected":
            emit(f"See `stockfeed deliveries show {delivery}`. If the configuration was wrong, correct it, then")
            emit(f"  stockfeed deliveries replay {delivery}")
