"""`stockfeed deliveries`: what arrived and how it ended, and a person's decisions about it.

Never deletes a delivery: undo and reject keep its bytes and its history.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from stockfeed.cli.output import Columns, as_row, emit, emit_json, show_record, show_rows
from stockfeed.cli.session import Session, actor, json_option, pass_session, reason_option

STATES = ("received", "applied", "held", "rejected", "superseded", "duplicate", "unchanged", "ignored", "undone")
_LIST = (
    ("id", "id"),
    ("feed", "feed"),
    ("state", "state"),
    ("received_at", "received (UTC)"),
    ("rows_read", "rows"),
    ("rows_rejected", "rejected"),
    ("changes", "changes"),
    ("reason", "why"),
)
_TABLES: Mapping[str, Columns] = {
    "findings": (("severity", "severity"), ("code", "code"), ("message", "finding"), ("remedy", "what to do")),
    "rejections": (("code", "code"), ("severity", "severity"), ("rows", "rows")),
    "holds": (
        ("id", "hold"),
        ("state", "state"),
        ("opened_at", "opened"),
        ("decided_at", "decided"),
        ("decided_by", "by"),
        ("reason", "why"),
    ),
}


@click.group()
def deliveries() -> None:
    """Arrivals of bytes from suppliers.

    \b
    Example:
      stockfeed deliveries list --state held
    """


@deliveries.command("list")
@click.option("--feed", help="Only this feed, e.g. acme.stock.")
@click.option("--state", type=click.Choice(STATES), metavar="STATE", help="Only this state, e.g. held.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="At most so many, newest first.")
@json_option
@pass_session
def list_deliveries(session: Session, feed: str | None, state: str | None, limit: int, *, as_json: bool) -> None:
    """List deliveries, newest first.

    \b
    Example:
      stockfeed deliveries list --feed acme.stock --limit 10
    """
    with session.app() as app:
        from stockfeed import reports

        rows = reports.deliveries(app, feed, state, limit)
        if feed and not rows:
            app.config.feed(feed)  # a misspelt name is an error, not an empty answer
        show_rows(rows, _LIST, as_json=as_json, nothing="No deliveries.")


@deliveries.command()
@click.argument("feed")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="Another name to show; by default the file's own.")
@click.option("--at", metavar="TIME", help="The time of the stock, e.g. 2026-11-02T08:00+01:00.")
@click.option("--record-only", is_flag=True, help="Leave the reading to the next sync.")
@json_option
@pass_session
def add(session: Session, feed: str, file: Path, name: str | None, at: str | None, *, record_only: bool, as_json: bool) -> int:
    """Take a file by hand, as if the supplier had delivered it now.

    \b
    Example:
      stockfeed deliveries add acme.stock stock.csv
    """
    from stockfeed.cli.adding import add_file

    with session.app() as app:
        return add_file(app, feed, file, (name, at), record_only=record_only, as_json=as_json)


@deliveries.command()
@click.argument("delivery", type=int)
@json_option
@pass_session
def show(session: Session, delivery: int, *, as_json: bool) -> None:
    """Show all that is known of one delivery, with its findings.

    \b
    Example:
      stockfeed deliveries show 17
    """
    with session.app() as app:
        from stockfeed import reports

        show_record(reports.delivery_detail(app, delivery), as_json=as_json, tables=_TABLES)


@deliveries.command()
@click.argument("delivery", type=int)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder to write them to, as they are sent.")
@json_option
@pass_session
def answers(session: Session, delivery: int, output: Path | None, *, as_json: bool) -> None:
    """Show the TA1, 997, 999 or CONTRL that answer an EDI delivery.

    They are made anew from the archived file, always the same as long as the
    feed's configuration is, and nobody released a used control number.

    \b
    Example:
      stockfeed deliveries answers 17
    """
    from stockfeed.cli.answers import tell_answers

    with session.app() as app:
        tell_answers(app, delivery, output, as_json=as_json)


@deliveries.command()
@click.argument("delivery", type=int)
@reason_option("let it through")
@json_option
@pass_session
def release(session: Session, delivery: int, *, reason: str, as_json: bool) -> None:
    """Apply a held delivery after all.

    \b
    Example:
      stockfeed deliveries release 17 --reason "the clearance sale is real"
    """
    with session.app() as app:
        from stockfeed.pipeline.acts import release_delivery

        _told(release_delivery(app, delivery, actor=actor(), reason=reason), delivery, "released", as_json=as_json)


@deliveries.command()
@click.argument("delivery", type=int)
@reason_option("refuse it")
@json_option
@pass_session
def reject(session: Session, delivery: int, *, reason: str, as_json: bool) -> None:
    """Refuse a held delivery: the last applied levels stay.

    \b
    Example:
      stockfeed deliveries reject 17 --reason "columns were shifted"
    """
    with session.app() as app:
        from stockfeed.pipeline.acts import reject_delivery

        _told(reject_delivery(app, delivery, actor=actor(), reason=reason), delivery, "rejected", as_json=as_json)


@deliveries.command()
@click.argument("delivery", type=int)
@reason_option("take it back")
@json_option
@pass_session
def undo(session: Session, delivery: int, *, reason: str, as_json: bool) -> None:
    """Restore the levels from before an applied delivery.

    \b
    Example:
      stockfeed deliveries undo 17 --reason "the supplier sent last week's file"
    """
    with session.app() as app:
        from stockfeed.pipeline.acts import undo_delivery

        _told(undo_delivery(app, delivery, actor=actor(), reason=reason), delivery, "undone", as_json=as_json)


@deliveries.command()
@click.argument("delivery", type=int)
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit.")
@json_option
@pass_session
def replay(session: Session, delivery: int, *, reason: str, as_json: bool) -> None:
    """Read a delivery again from the archive, by today's configuration.

    \b
    Example:
      stockfeed deliveries replay 17
    """
    with session.app() as app:
        from stockfeed.pipeline.acts import replay_delivery

        _told(replay_delivery(app, delivery, actor=actor(), reason=reason), delivery, "replayed", as_json=as_json)


def _told(result: Any, delivery: int, act: str, *, as_json: bool) -> None:
    row = {"delivery_id": delivery} if result is None else as_row(result)
    if as_json:
        emit_json({"type": act, **row})
        return
    state = f" and is now {row['state']}" if row.get("state") and row["state"] != act else ""
    emit(
        f"Delivery {delivery} was {act}{state}."
        + (f" {row['reason']}" if row.get("reason", "") not in {"", None, row.get("state")} else "")
    )
