"""What the demo says: its progress, the closing tables, the addresses to open, and whether all ended as told.

Never changes anything: it reads the demo's database and the shop.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from sqlalchemy import func, select

from schemas.tables import available_to_sell, delivery, feed, publication, rejection
from stockfeed.bootstrap import App
from stockfeed.demo.airflow_site import USER, AirflowSite
from stockfeed.demo.shop import Shop
from stockfeed.demo.suppliers import INTERCHANGES, SOLD_SKU, Doors
from stockfeed.store.engine import read

_console = Console(highlight=False)
_COLOURS = {"applied": "green", "unchanged": "green", "held": "yellow", "rejected": "red"}
_EXPECTED = (
    ("alpenrad.stock", "applied"), ("alpenrad.stock", "unchanged"), ("harbour.sheet", "applied"), ("harbour.sheet", "applied"),
    ("lumen.lamps", "applied"), ("lumen.lamps", "applied"), ("midland.edi", "applied"), ("midland.edi", "applied"),
    ("outlet.shelves", "applied"), ("outlet.shelves", "applied"),
    ("pacific.inventory", "applied"), ("pacific.inventory", "held"),
)  # fmt: skip


def say(text: str) -> None:
    """Print one line for the person who watches."""
    _console.print(text, markup=False, soft_wrap=True)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show `what` with a spinner while the body runs; only the line where output is not a terminal."""
    if not _console.is_terminal:
        say(f"{what} …")
        yield
        return
    with _console.status(what):
        yield


def tables(app: App) -> None:
    """Print one table of the deliveries and the channel, and some of the rows that were kept aside."""
    _console.print(_deliveries_table(app), _channel_table(app), _rejections_table(app))


def addresses(app: App, site: AirflowSite, shop: str) -> None:
    """Print what to open in a browser, and the command that shows the held delivery."""
    held = [one["id"] for one in deliveries(app) if one["state"] == "held"]
    places = f"STOCKFEED_CONFIG={app.settings.config_dir} STOCKFEED_STATE={app.settings.state_dir}"
    say(f"\nAirflow   {site.url}   user {USER}, password {site.password}\nThe shop  {shop}")
    for delivery_id in held:
        say(f"Held      {places} \\\n          stockfeed deliveries show {delivery_id}")


def verdict(wrong: list[str], seconds: float) -> None:
    """Print whether the demo ended as told."""
    if not wrong:
        say(f"\nAll as told, after {seconds:.0f} s: bad rows kept aside, one feed held, nothing sold was given back.")
    for line in wrong:
        _console.print(f"[red]Not as told:[/] {line}")


def deliveries(app: App) -> list[dict[str, Any]]:
    """Return every delivery with its feed, source name, rows and state, by feed and age."""
    columns = [delivery.c[name] for name in ("id", "source_name", "rows_read", "rows_accepted", "rows_rejected", "state", "reason")]
    query = (
        select(feed.c.code.label("feed"), *columns).join(feed, feed.c.id == delivery.c.feed_id).order_by(feed.c.code, delivery.c.id)
    )
    with read(app.engine) as connection:
        return [dict(row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name for it


def unexpected(app: App, shop: Shop, *, offered: int | None, sold: int) -> list[str]:
    """Return what is not as the demo tells it: the deliveries' states, what the shop shows, and the sale that must stay sold."""
    found = [(one["feed"], one["state"]) for one in deliveries(app)]
    wrong = [] if found == list(_EXPECTED) else [f"the deliveries ended {found}, not {list(_EXPECTED)}"]
    if not offered or sold == 0:
        wrong.append(f"the shop was offered {offered} of {SOLD_SKU} and sold {sold}")
    elif shop.available(SOLD_SKU) != offered - sold:
        wrong.append(f"{SOLD_SKU}: offered {offered}, sold {sold}, but the shop shows {shop.available(SOLD_SKU)}")
    with read(app.engine) as connection:
        promised = connection.execute(select(available_to_sell.c.sku, available_to_sell.c.quantity)).all()
    differing = [
        f"{sku}: {quantity} computed, {shop.available(sku)} shown" for sku, quantity in promised if shop.available(sku) != quantity
    ]
    return [*wrong, *differing] if promised else [*wrong, "nothing was computed for the shop"]


def unanswered(doors: Doors) -> list[str]:
    """Return what is wrong about the answers to the EDI interchanges: each is acknowledged as accepted, once."""
    answers = [("AK9*A*1*1*1" in answer) for answer in doors.answers()]
    right = [True] * INTERCHANGES
    return [] if answers == right else [f"of {INTERCHANGES} interchanges {sum(answers)} were accepted, in {len(answers)} answers"]


def _deliveries_table(app: App) -> Table:
    table = _table("What the suppliers sent", *_left("feed", "file"), *_right("rows", "accepted", "rejected"), *_left("state"))
    for one in deliveries(app):
        colour = _COLOURS.get(one["state"], "white")
        counts = ["–" if one[name] is None else str(one[name]) for name in ("rows_read", "rows_accepted", "rows_rejected")]
        table.add_row(one["feed"], escape(one["source_name"]), *counts, f"[{colour}]{one['state']}[/]")
    return table


def _channel_table(app: App) -> Table:
    sent = publication.c.state.in_(["sent", "confirmed", "failed", "unknown"])
    with read(app.engine) as connection:
        published, confirmed = (
            connection.execute(select(func.count()).where(condition)).scalar_one()
            for condition in (sent, publication.c.state == "confirmed")
        )
    table = _table("What the shop was told", *_left("channel"), *_right("published", "confirmed"))
    table.add_row("demo_shop", str(published), str(confirmed))
    return table


def _rejections_table(app: App) -> Table:
    query = (
        select(delivery.c.source_name, rejection.c.row, rejection.c.column_name, rejection.c.value, rejection.c.code)
        .join(delivery, delivery.c.id == rejection.c.delivery_id)
        .join(feed, feed.c.id == delivery.c.feed_id)
        .where(rejection.c.severity == "row")
        .order_by(feed.c.code, rejection.c.delivery_id, rejection.c.row)
        .distinct()
    )
    table = _table("Rows kept aside", *_left("file"), *_right("row"), *_left("column", "value", "code"))
    table.columns[3].max_width = 20  # the code beside it must never be cut
    with read(app.engine) as connection:
        for row in connection.execute(query.add_columns(rejection.c.delivery_id)):
            table.add_row(*("" if cell is None else escape(str(cell)) for cell in row[:-1]))  # a value may look like markup
    return table


def _table(title: str, *columns: Column) -> Table:
    return Table(
        *columns, title=f"\n{title}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )


def _left(*names: str) -> list[Column]:
    return [Column(name, no_wrap=True) for name in names]


def _right(*names: str) -> list[Column]:
    return [Column(name, justify="right", no_wrap=True) for name in names]
