"""One supplier whose files are hostile: each is collected and ingested as a delivery, and what people are told is gathered."""

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from schemas.tables import delivery
from stockfeed.bootstrap import App, open_app
from stockfeed.pipeline.collect import collect
from stockfeed.pipeline.ingest import ingest
from stockfeed.settings import load_settings
from stockfeed.store.engine import make_engine, read
from stockfeed.store.upgrade import upgrade

FIELDS = {
    "sku": "supplier_sku",
    "quantity": "on_hand",
    "qty": "on_hand",
    "price": "unit_cost",
    "currency": "currency",
    "warehouse": "location",
    "gtin": "gtin",
}
STANDARD = ("sku", "description", "quantity", "price", "currency", "warehouse")


def toml(value: object) -> str:
    """A TOML value: text, truth, number, list or table."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f'"{k}" = {toml(v)}' for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value) if isinstance(value, int) else '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def feed_toml(inbox: Path, form: Mapping[str, object], header: Iterable[str] = STANDARD) -> str:
    """The feed of EXPECT.csv: trusted at once, guard on, no number marks declared, its header's columns mapped."""
    known = [name for name in dict.fromkeys(header) if name in FIELDS]
    settings: dict[str, object] = {
        "code": "stock",
        "source": {"type": "folder", "path": str(inbox), "settle": "0s", "ignore": [], "pattern": "*"},
        "format": form,
        "timezone": "Europe/Berlin",
        "quantities": "net",
        "stale_after": "24h",
        "trust_first": True,
    }
    if "price" in known and "currency" not in known:
        settings["currency"] = "EUR"
    if "as_of" in header:
        settings["as_of"] = {"column": "as_of"}
    lines = ['[supplier]\ncode = "acme"\nname = "Acme"\n\n[[feed]]', *(f"{k} = {toml(v)}" for k, v in settings.items())]
    lines += ["[feed.columns]", *(f'{FIELDS[name]} = "{name}"' for name in known)]
    if "sku" not in known:  # a stranger's table: the first two columns, whatever they are called
        lines += ['supplier_sku = "#1"', 'on_hand = "#2"']
    return "\n".join(lines) + "\n"


@dataclass
class Outcome:
    """How a delivery ended, and everything people are told about it."""

    state: str
    reason: str
    rows_read: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_skipped: int = 0
    findings: list[dict[str, Any]] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)  # rejections and notes about rows
    notes: list[str] = field(default_factory=list)
    name: str = ""

    @property
    def verdict(self) -> str:
        """The outcome in the words of EXPECT.csv."""
        if self.state != "applied":
            return {"rejected": "REJECT_FILE", "held": "HOLD", "ignored": "IGNORE"}.get(self.state, self.state)
        if self.rows_rejected:
            return "QUARANTINE_ROWS"
        return "ACCEPT_WARN" if self.notes or self.problems or self.findings else "ACCEPT"

    def rows(self, severity: str) -> set[int]:
        """The rows that were kept aside ("row") or noted ("note"), as a person counts them."""
        return {p["row"] for p in self.problems if p["severity"] == severity and p["row"] is not None}

    @property
    def told(self) -> str:
        """Every sentence an operator sees, with the place each is about."""
        found = [f"{f['message']} (column {f['column']}) {f['remedy']}" for f in self.findings]
        rows = [
            f"row {p['row']} (line {p['line']}), column {p['column_name']}: {p['value']}: {p['message']}" for p in self.problems
        ]
        return "\n".join([self.reason, *found, *rows, *self.notes])


class HostileWorld:
    """One feed on a private SQLite file."""

    def __init__(self, root: Path, config: str, clock, template: Path) -> None:
        self.inbox, self.clock = root / "inbox", clock
        self.inbox.mkdir(exist_ok=True)
        (root / "config/suppliers").mkdir(parents=True)
        (root / "config/suppliers/acme.toml").write_text(config)
        shutil.copy(template, root / "db.sqlite3")
        environ = {
            "STOCKFEED_CONFIG": str(root / "config"),
            "STOCKFEED_STATE": str(root / "state"),
            "STOCKFEED_DATABASE_URL": f"sqlite:///{root / 'db.sqlite3'}",
        }
        self._opened = open_app(load_settings(environ, root), clock=clock)
        self.app: App = self._opened.__enter__()

    def close(self) -> None:
        self._opened.__exit__(None, None, None)

    def put(self, content: bytes, name: str | bytes = "stock.csv") -> None:
        """Let an hour pass, and drop a file into the supplier's folder as of then."""
        self.clock.now += timedelta(hours=1)
        path = self.inbox / os.fsdecode(name)
        path.write_bytes(content)
        instant = self.clock.now.timestamp()
        os.utime(path, (instant, instant))

    def sync(self) -> list[Outcome]:
        """Collect and ingest what waits, and return how each delivery ended."""
        waiting = collect(self.app, "acme.stock").delivery_ids
        return [self._outcome(delivery_id, ingest(self.app, delivery_id)) for delivery_id in waiting]

    def _outcome(self, delivery_id: int, result: Any) -> Outcome:
        problems = [dict(p._mapping) for p in self.query("SELECT * FROM rejection WHERE delivery_id = :id", id=delivery_id)]
        with read(self.app.engine) as connection:
            row = connection.execute(delivery.select().where(delivery.c.id == delivery_id)).one()
        counts = (result.rows_read, result.rows_accepted, result.rows_rejected, result.rows_skipped)
        notes = (row.reading or {}).get("notes", [])
        return Outcome(row.state, row.reason, *counts, list(row.findings or []), problems, list(notes), row.source_name)

    def deliver(self, content: bytes, name: str | bytes = "stock.csv") -> Outcome:
        """Drop one file, sync, and return how it ended."""
        self.put(content, name)
        (outcome,) = self.sync()
        return outcome

    def query(self, sql: str, **values: object):
        with read(self.app.engine) as connection:
            return connection.execute(text(sql), values).all()

    def stock(self) -> dict[str, float | None]:
        """On-hand units by supplier SKU."""
        return {r.supplier_sku: None if r.on_hand is None else float(r.on_hand) for r in self.query("SELECT * FROM inventory_v1")}


class HourClock:
    """A clock that moves only when told to; after every date in the files that is meant to be past."""

    def __init__(self) -> None:
        self.now = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def database_template(folder: Path) -> Path:
    """An upgraded, empty SQLite file to copy."""
    path = folder / "template.sqlite3"
    engine = make_engine(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path


def numbers(listed: str) -> set[int]:
    """The row numbers of a list such as "2-4,8"."""
    parts = (part.partition("-") for part in listed.split(","))
    return {n for first, dash, last in parts for n in range(int(first), int(last if dash else first) + 1)}


_ROWS = re.compile(r"rows? (?P<listed>\d[\d,-]*)(?: or (?P<other>\d+))?(?: \(.*\))?")


_ITEMS = re.compile(r"items? (?P<listed>\d[\d,-]*)(?: key (?P<key>\w+))?")


def points_at(must_name: str, outcome: Outcome) -> str:
    """Return what is missing where `outcome` does not point at `must_name`, "" when it does.

    Rows: the delivery's rejected rows (or, when it was taken whole, the noted ones; when refused, the row of the reason) are
    exactly these; items of a list, counted from 0, are rows counted from 1. Everything else: each part stands in what people
    are told, word for word.
    """
    items = _ITEMS.fullmatch(must_name)
    if items is not None:
        wanted = {n + 1 for n in numbers(items["listed"])}
        named = {p["row"] for p in outcome.problems if items["key"] in {None, p["column_name"]}}
        return "" if named == wanted else f"rows {sorted(named)} are named, not {must_name}"
    rows = _ROWS.fullmatch(must_name)
    if rows is None:
        missing = [part for part in must_name.split(": ") if part not in outcome.told]
        return f"not told: {missing}" if missing else ""
    wanted = numbers(rows["listed"])
    if outcome.state == "rejected":
        named = outcome.rows("row")
        right = named == wanted or (rows["other"] and len(named) == 1 and named <= wanted | {int(rows["other"])})
    else:
        named = outcome.rows("row" if outcome.rows_rejected else "note")
        right = named == wanted
    return "" if right else f"rows {sorted(named)} are named, not {must_name}"
