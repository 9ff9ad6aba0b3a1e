"""How long `stockfeed db check` takes on many levels: `python bench/check_levels.py [ROWS] [DATABASE_URL]`, CPU and wall seconds.

The levels are written directly, as a first load and a change of every tenth would leave them, with an offer for each.
"""

# ruff: noqa: S608  (names and numbers of this script only)
import hashlib
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, insert, text

from schemas import tables as t
from stockfeed.checker import check_database
from stockfeed.store.engine import make_engine, write
from stockfeed.store.upgrade import upgrade

BYTES = b"sku,qty\nA,5\n"
SHA256 = hashlib.sha256(BYTES).hexdigest()
NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
AT = {"sqlite": "'2026-11-02T08:00:00.000000+00:00'", "postgresql": "TIMESTAMPTZ '2026-11-02 08:00:00+00'"}
BEFORE = {"sqlite": "'{}'", "postgresql": "'{}'::json"}


def fill(engine: Engine, rows: int) -> None:
    kind = engine.dialect.name
    series = f"generate_series(1, {rows})" if kind == "postgresql" else (
        f"(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows}) SELECT n FROM s)"
    )  # fmt: skip
    numbered = f"FROM {series} AS s{'(n)' if kind == 'postgresql' else ''}"
    tenth, at = rows // 10, AT[kind]
    sku = "'SKU-' || n"
    statements = (
        (
            f"INSERT INTO inventory (feed_id, supplier_sku, location, condition, sku, on_hand, delivery_id, source_row,"
            f" missing_count, unconfirmed_count) SELECT 1, {sku}, '', '', {sku}, CASE WHEN n <= {tenth} THEN 6000 ELSE 5000 END,"
            f" CASE WHEN n <= {tenth} THEN 2 ELSE 1 END, n + 1, 0, 0 {numbered}"
        ),
        (
            f"INSERT INTO level_change (id, feed_id, supplier_sku, location, condition, sku, kind, delivery_id, at, on_hand_after)"
            f" SELECT n, 1, {sku}, '', '', {sku}, 'new', 1, {at}, 5000 {numbered}"
        ),
        (
            f"INSERT INTO level_change (id, feed_id, supplier_sku, location, condition, sku, kind, delivery_id, at, before,"
            f" on_hand_before, on_hand_after)"
            f" SELECT {rows} + n, 1, {sku}, '', '', {sku}, 'changed', 2, {at}, {BEFORE[kind]}, 5000, 6000"
            f" {numbered} WHERE n <= {tenth}"
        ),
        (
            f"INSERT INTO available_to_sell (channel, sku, channel_location, quantity, version, reason_code, steps, computed_at)"
            f" SELECT 'shop', {sku}, 'main', CASE WHEN n <= {tenth} THEN 6 ELSE 5 END, 1, 'in_stock', '[]',"
            f" {at} {numbered}"
        ),
        (
            f"INSERT INTO ats_change (id, channel, sku, channel_location, version, after, reason_code, at)"
            f" SELECT {2 * rows} + n, 'shop', {sku}, 'main', 1, CASE WHEN n <= {tenth} THEN 6 ELSE 5 END, 'in_stock',"
            f" {at} {numbered}"
        ),
    )
    feed = {"code": "acme.stock", "supplier": "acme", "supplier_name": "Acme", "supplier_kind": "supplier", "last_applied_id": 2}
    delivery = {
        "feed_id": 1,
        "source_name": "a.csv",
        "sha256": SHA256,
        "size": len(BYTES),
        "config_version": "c",
        "state": "applied",
    }
    times = {"received_at": NOW, "ended_at": NOW, "feed_before": {}}
    with write(engine) as connection:
        connection.execute(insert(t.feed).values(id=1, **feed))
        for number, changes in ((1, rows), (2, tenth)):
            before = number - 1 or None
            values = {**delivery, **times, "source_identity": str(number), "applied_before_id": before, "changes": changes}
            connection.execute(insert(t.delivery).values(id=number, **values))
        for statement in statements:
            connection.execute(text(statement))
    if kind == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[2] if len(sys.argv) > 2 else f"sqlite:///{folder}/levels.sqlite3"  # noqa: PLR2004
        engine = make_engine(url)
        upgrade(engine)
        fill(engine, rows)
        kept = Path(folder) / "archive" / SHA256[:2] / SHA256[2:4]
        kept.mkdir(parents=True)
        (kept / SHA256).write_bytes(BYTES)
        wall, cpu = time.monotonic(), sum(os.times()[:2])
        faults = check_database(engine, Path(folder) / "archive", NOW)
        figures = {"wall_s": round(time.monotonic() - wall, 1), "cpu_s": round(sum(os.times()[:2]) - cpu, 1)}
        print(json.dumps({"database": engine.dialect.name, "levels": rows, "faults": len(faults), **figures}))
        engine.dispose()
        assert faults == [], faults[:3]


if __name__ == "__main__":
    main()
