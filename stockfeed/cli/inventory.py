"""`stockfeed inventory` and `stockfeed why`: what we believe is there, and why a channel offers what it offers.

Never changes a level.
"""

from pathlib import Path

import click

from stockfeed.cli.output import emit_json, show_rows
from stockfeed.cli.session import Session, json_option, pass_session

_SHOW = (
    ("feed", "feed"), ("sku", "SKU"), ("supplier_sku", "supplier SKU"), ("location", "location"), ("condition", "condition"),
    ("on_hand", "on hand"), ("available", "available"), ("on_order", "on order"), ("as_of", "as of (UTC)"), ("is_stale", "stale"),
    ("in_shadow", "shadow"),
)  # fmt: skip

_FLAGS = ("is_stale", "in_shadow")  # columns that are shown when some level has them


@click.group()
def inventory() -> None:
    """The central table of stock levels.

    \b
    Example:
      stockfeed inventory show WIDGET-1
    """


@inventory.command()
@click.argument("sku", required=False)
@click.option("--feed", help="Only this feed, e.g. acme.stock.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@json_option
@pass_session
def show(session: Session, sku: str | None, feed: str | None, limit: int, *, as_json: bool) -> None:
    """Show the levels of a SKU, of a feed, or the first ones.

    \b
    Example:
      stockfeed inventory show WIDGET-1 --json
    """
    with session.app() as app:
        from stockfeed import reports

        rows = reports.stock(app, sku, feed, limit)
        if feed and not rows:
            app.config.feed(feed)  # a misspelt name is an error, not an empty answer
    told = [(key, title) for key, title in _SHOW if key not in _FLAGS or any(row[key] for row in rows)]
    show_rows(rows, told, as_json=as_json, nothing="No levels.")


@inventory.command()
@click.option("--feed", help="Only this feed, e.g. acme.stock.")
@click.option("--format", "form", type=click.Choice(["csv", "ndjson", "xlsx"]), default="csv", show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write (default stdout).")
@click.option("--exact", is_flag=True, help="CSV for programs: values exactly as stored, formulas not escaped.")
@pass_session
def export(session: Session, feed: str | None, form: str, output: Path | None, *, exact: bool) -> None:
    """Write all levels to a file.

    CSV and Excel are for people: a text that a spreadsheet would run as a
    formula gets a leading '. NDJSON and --exact are for programs.

    \b
    Example:
      stockfeed inventory export --format xlsx --output levels.xlsx
    """
    from stockfeed.cli.export import write_export

    with session.app() as app:
        from stockfeed import reports

        rows = reports.stock(app, None, feed, None)
        if feed and not rows:
            app.config.feed(feed)  # a misspelt name is an error, not an empty file
        write_export(rows, form=form, output=output, exact=exact, title="Inventory")


@click.command()
@click.argument("sku")
@click.option("--channel", help="Only this channel.")
@json_option
@pass_session
def why(session: Session, sku: str, channel: str | None, *, as_json: bool) -> None:
    """Explain a SKU's quantity at the channels, step by step.

    \b
    Example:
      stockfeed why WIDGET-1 --channel shop
    """
    from stockfeed.cli.explanation import tell_why

    with session.app() as app:
        from stockfeed import reports

        explained = reports.why(app, sku, channel)
    if as_json:
        emit_json(explained)
    else:
        tell_why(explained)
