"""`stockfeed rejections`: the rows that were kept aside, with row, column, value, reason and remedy.

Never shows a value longer than 80 characters or with control characters: they were escaped when they were stored.
"""

from pathlib import Path

import click

from stockfeed.cli.output import show_rows
from stockfeed.cli.session import Session, json_option, pass_session

_LIST = (
    ("delivery_id", "delivery"), ("row", "row"), ("column", "column"), ("value", "value"),
    ("code", "code"), ("message", "problem"), ("remedy", "what to do"),
)  # fmt: skip


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

        rows = reports.rejections(app, delivery, feed, limit)
        if feed and not rows:
            app.config.feed(feed)  # a misspelt name is an error, not an empty answer
        show_rows(rows, _LIST, as_json=as_json, nothing="No rejected rows.")


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
