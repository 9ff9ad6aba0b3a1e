"""What must be so after a crash, and in the end: the database, the archive, the source, the shop and the file, against the truth.

Reads with plain SQL and plain files; `stockfeed.checker` is asked besides, through one function.
"""

import csv
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from stockfeed.checker import check_database
from tests.crash.truth import Sent, never_true_or_too_old
from tests.crash.world import NEW_SKUS, SKUS, World

_ENDED = frozenset({"applied", "superseded", "held", "rejected", "unchanged", "duplicate", "undone", "ignored"})


def faults_of_the_checker(world: World, engine: Engine, *, settled: bool) -> list[str]:
    """Return what the product's own checker finds, given what the shop (and, once all is settled, the partner) received."""
    logs = _channel_logs(world, settled=settled)
    found = check_database(engine, world.state / "archive", datetime.now(UTC), channel_logs=logs)
    return [f"checker: {f['rule']} {f['subject']}: {f['message']}" for f in found]


def _channel_logs(world: World, *, settled: bool) -> dict[str, Path]:
    """Return the logs that were written, by channel. What a channel shows is told only once nothing is on its way there."""
    events = {"web": world.outside.shop.stock.events(), "partner": list(_told_the_partner(world))}
    paths = {}
    for channel, told in events.items():
        paths[channel] = world.root / f"{channel}.ndjson"
        lines = [json.dumps(event) + "\n" for event in told if settled or event["type"] != "shown"]
        paths[channel].write_text("".join(lines), encoding="utf-8")
    return paths


def _told_the_partner(world: World) -> Iterator[dict[str, Any]]:
    """Yield what the partner reads in the file: a listing of a file has one location, and its present quantity."""
    with (world.root / "out" / "stock.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            event = {"sku": row["sku"], "location": row["location"], "quantity": int(row["quantity"])}
            yield from ({"type": kind, "at": row["updated_at"], **event} for kind in ("set", "shown"))


def right_after_a_crash(world: World, engine: Engine) -> list[str]:
    """Return what a reader, or the supplier, would see wrong in the moment after a crash, before anything was repeated."""
    with engine.connect() as connection:
        rows = _deliveries(connection)
        faults = [*_lost_files(world, rows), *_half_snapshot(world, connection), *_shop_faults(world)]
    return faults + faults_of_the_checker(world, engine, settled=False)


def at_the_end(world: World, engine: Engine) -> list[str]:
    """Return everything that is wrong once all runs were repeated, all was published, and retention has passed."""
    with engine.connect() as connection:
        rows = _deliveries(connection)
        faults = [
            *_whole_database(connection), *_wrong_states(world, rows), *_lost_files(world, rows), *_left_at_the_source(world),
            *_wrong_levels(world, connection), *_wrong_archive(world, connection), *_open_work(connection),
        ]  # fmt: skip
    faults += [*_shop_faults(world), *_shop_shows(world), *_file_shows(world), *_left_over(world)]
    return faults + faults_of_the_checker(world, engine, settled=True)


def _deliveries(connection: Connection) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in connection.execute(text("SELECT source_name, state, sha256, acknowledgement FROM delivery ORDER BY id")):
        found.setdefault(row.source_name, []).append(row)
    return found


def _is_archived(world: World, sha256: str) -> bool:
    path = world.state / "archive" / sha256[:2] / sha256[2:4] / sha256
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _at_source(world: World, one: Sent) -> str:
    """Return where the supplier finds a file: "in", "done" or "" when it is gone."""
    for place, folder in (("in", world.inbox), ("done", world.inbox / "done")):
        if (folder / one.name).is_file() and (folder / one.name).read_bytes() == one.content:
            return place
    return ""


def _lost_files(world: World, rows: dict[str, list[Any]]) -> Iterator[str]:
    """I1, I14: a file leaves the supplier's folder only after its delivery has ended with its bytes in the archive."""
    for one in world.truth.sent.values():
        if _at_source(world, one) == "in":
            continue
        found = rows.get(one.name, [])
        if not any(row.state in _ENDED for row in found):
            yield f"{one.name} left the supplier's folder, and its delivery is {[row.state for row in found] or 'unknown'}"


def _half_snapshot(world: World, connection: Connection) -> Iterator[str]:
    """I4: the levels are those of one delivery, never a mixture."""
    levels = {sku: units for sku, units in _levels(connection).items() if units != 0}
    allowed = [{sku: units for sku, units in state.items() if units != 0} for state in world.truth.history]
    if world.truth.doubtful and any(world.truth.doubtful.values()):
        return  # a doubtful level stays in the table and counts as 0 for the channels
    if levels not in allowed:
        yield f"the levels are a mixture of deliveries: {levels}"


def _levels(connection: Connection) -> dict[str, float]:
    return {
        row.supplier_sku: float(row.on_hand) for row in connection.execute(text("SELECT supplier_sku, on_hand FROM inventory_v1"))
    }


def _whole_database(connection: Connection) -> Iterator[str]:
    if connection.dialect.name == "sqlite":
        words = connection.execute(text("PRAGMA integrity_check")).scalar_one()
        if words != "ok":
            yield f"SQLite: {words}"
        if connection.execute(text("PRAGMA foreign_key_check")).first():
            yield "SQLite: a foreign key leads nowhere"


def _wrong_states(world: World, rows: dict[str, list[Any]]) -> Iterator[str]:
    for name, state in world.truth.states.items():
        found = [row.state for row in rows.get(name, [])]
        if found != [state]:
            yield f"delivery {name} should be {state} once, and is {found}"
    for name in rows.keys() - world.truth.states.keys():
        yield f"delivery {name} was never sent"


def _left_at_the_source(world: World) -> Iterator[str]:
    after = {"sftp": "", "delete": "", "move": "done", "sftp-move": "done", "leave": "in"}[world.source]
    for one in world.truth.sent.values():
        place = _at_source(world, one)
        if place != after:
            yield f"{one.name} should be in {after or 'no folder'} at the supplier's, and is in {place or 'none'}"


def _wrong_levels(world: World, connection: Connection) -> Iterator[str]:
    found = _levels(connection)
    if found != world.truth.levels:
        differing = {sku for sku in found.keys() | world.truth.levels.keys() if found.get(sku) != world.truth.levels.get(sku)}
        for sku in sorted(differing):
            yield f"level of {sku} should be {world.truth.levels.get(sku)}, and is {found.get(sku)}"


def _wrong_archive(world: World, connection: Connection) -> Iterator[str]:
    known = {}
    for row in connection.execute(text("SELECT sha256, discarded_at, source_name FROM delivery ORDER BY id")):
        known[row.sha256] = row.discarded_at is not None
    for one in world.truth.sent.values():
        sha256 = hashlib.sha256(one.content).hexdigest()
        if sha256 not in known:
            yield f"the bytes of {one.name} are not in the ledger"
        elif known[sha256] and one.name in world.truth.applied[-2:]:
            yield f"the bytes of {one.name}, which is in force or what an undo leads to, were removed"
        elif _is_archived(world, sha256) == known[sha256]:
            yield f"the bytes of {one.name} should be {'gone' if known[sha256] else 'in the archive'}"
    for path in (world.state / "archive").glob("??/??/*"):
        if path.name not in known:
            yield f"the archive holds {path.name[:20]}, which no delivery knows"


def _open_work(connection: Connection) -> Iterator[str]:
    for table in ("feed", "channel"):
        for row in connection.execute(text(f"SELECT code FROM {table} WHERE lease_holder IS NOT NULL")):
            yield f"{table} {row.code} still has a lease"
    for row in connection.execute(text("SELECT channel, sku, state FROM publication WHERE state IN ('pending', 'sent', 'held')")):
        yield f"{row.sku} is still {row.state} for {row.channel}"
    for row in connection.execute(
        text("SELECT source_name FROM delivery WHERE acknowledgement = 'pending' AND state <> 'received'")
    ):
        yield f"{row.source_name} was never acknowledged"


def _shop_faults(world: World) -> Iterator[str]:
    """I7, I8: what the shop noted of everything it was told."""
    told: dict[str, list[int]] = {}
    for entry in world.outside.shop.log:
        told.setdefault(str(entry.sku), []).append(entry.quantity)
    for sku, values in told.items():
        yield from never_true_or_too_old(sku, values, world.truth.history, world.truth.sold.get(sku, 0))


def _shop_shows(world: World) -> Iterator[str]:
    shown = world.truth.shown()
    for sku in (*SKUS, *NEW_SKUS):
        found, right = world.outside.shop.available(sku), shown.get(sku, 0)
        if found != right:
            more = " (more than there is)" if (found or 0) > right else ""
            yield f"the shop should show {right} of {sku}, and shows {found}{more}"


def _file_shows(world: World) -> Iterator[str]:
    path = world.root / "out" / "stock.csv"
    with path.open(encoding="utf-8", newline="") as file:
        found = {row["sku"]: int(row["quantity"]) for row in csv.DictReader(file)}
    if found != world.truth.shown():
        yield f"the partner's file says {found}, not {world.truth.shown()}"


def _left_over(world: World) -> Iterator[str]:
    """Nothing half-written stays, whichever run was killed, and nothing that nobody foresaw was logged."""
    places = (world.state / "spool", world.state / "archive", world.root / "out", world.root / "tmp", world.inbox)
    for place in places:
        for path in sorted(place.rglob("*")):
            if path.is_file() and (path.suffix in {".part", ".spool"} or place.name == "tmp"):
                yield f"left over: {path.relative_to(world.root)}"
    for path in (world.state / "logs").glob("crash-*.log"):
        yield f"an unforeseen fault: {path.read_text(errors='replace').strip().splitlines()[-1][:200]}"
