"""`stockfeed rejections`: the rows that were kept aside, with row, column, value, reason and remedy.

Never shows a value longer than 80 characters or with control characters: they were escaped when they were stored.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import click

from stockfeed.cli.output import emit, emit_json
from stockfeed.cli.problems import tell_problem, wrapped
from stockfeed.cli.session import Session, json_option, pass_session
from stockfeed.redaction import one_line


@click.group()
def rejections() -> None:
    """Rows that were kept aside.

    \b
    Example:
      stockfeed rejections list 17
    """


@rejections.command("list")
@click.argument("delivery", type=int, required=False)
@click.option("--feed", help="The last delivery of this feed, e.g. acme.stock.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@json_option
@pass_session
def list_rejections(session: Session, delivery: int | None, feed: str | None, limit: int, *, as_json: bool) -> None:
    """List rejected rows of a delivery, of a feed, or the newest.

    \b
    Example:
      stockfeed rejections list --feed acme.stock
    """
    with session.app() as app:
        from stockfeed import reports

        rows = reports.rejections(app, delivery, feed, limit if as_json else limit + 1)
        if feed and not rows:
            app.config.feed(feed)  # a misspelt name is an error, not an empty answer
        if as_json:
            for row in rows:
                emit_json(row)
        else:
            _tell(rows[:limit], is_cut=len(rows) > limit)


def _tell(rows: Sequence[Mapping[str, Any]], *, is_cut: bool) -> None:
    if not rows:
        emit("No rejected rows.")
    for number, (delivery, of_one) in enumerate(groupby(rows, key=itemgetter("delivery_id"))):
        problems = list(of_one)
        if number:
            emit("")
        emit(wrapped(f"delivery {delivery} · {problems[0]['feed']} · {one_line(problems[0]['file'] or '')}"))
        for problem in problems:
            tell_problem(problem)
    if is_cut:
        emit(f"… and more: these are the first {len(rows):,}. --limit shows others, `rejections export` writes all.")


@rejections.command()
@click.argument("delivery", type=int, required=False)
@click.option("--feed", help="The last delivery of this feed, e.g. acme.stock.")
@click.option("--format", "form", type=click.Choice(["csv", "xlsx"]), default="csv", show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write (CSV default: stdout).")
@pass_session
def export(session: Session, delivery: int | None, feed: str | None, form: str, output: Path | None) -> None:
    """Write rejected rows to a file that can be sent to the supplier.

    The Excel file can be mailed as it is: what is wrong how often and what to
    send instead, then every row, grouped by problem. In CSV, a text that a
    spreadsheet would run as a formula gets a leading '.

    \b
    Example:
      stockfeed rejections export 17 --format xlsx --output acme.xlsx
    """
    if form == "xlsx" and delivery is None and feed is None:
        raise click.UsageError("A workbook goes to one supplier: give a delivery's number or --feed.")
    from stockfeed.cli.export import write_export
    from stockfeed.cli.rejection_book import write_rejection_book

    with session.app() as app:
        from stockfeed import reports

        rows = reports.rejections(app, delivery, feed, None)
        if feed and not rows:
            app.config.feed(feed)  # a misspelt name is an error, not an empty file
        if form == "xlsx" and output is not None:
            write_rejection_book(rows, output)
        else:
            write_export(rows, form=form, output=output, title="Rejections")
