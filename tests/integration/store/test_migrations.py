"""What a migration makes of a database that has stock already."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from sqlalchemy import create_engine, make_url, text

from stockfeed.store.engine import make_engine, read, write
from stockfeed.store.undo import first_change
from stockfeed.store.upgrade import _alembic, upgrade

FEED = (
    "INSERT INTO feed (id, code, supplier, supplier_name, supplier_kind, policy, in_shadow, epoch, last_applied_id, is_stale, "
    "missing_after, superseded_in_a_row, listing, fence) VALUES (1, 'acme.stock', 'acme', 'Acme', 'supplier', "
    "'{\"stale_after_s\": 3600}', 0, 0, 2, 0, 2, 0, '{}', 0)"
)
DELIVERY = (
    "INSERT INTO delivery (id, feed_id, source_name, source_identity, sha256, size, config_version, received_at, as_of, ended_at, "
    "state, epoch, attempts, acknowledgement, locations) VALUES "
    "(:id, 1, 'a', :id, :id, 1, '1', :at, :at, :at, :state, 0, 0, 'none', :locations)"
)


def at(hour: int) -> str:
    return datetime(2026, 11, 2, hour, tzinfo=UTC).isoformat(timespec="microseconds")


def test_locations_get_their_age_from_the_deliveries_so_far(tmp_path: Path):
    engine = make_engine(f"sqlite:///{tmp_path / 'old.sqlite3'}")
    config = _alembic()
    with write(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(text(FEED))
        for number, state, places in ((1, "applied", '["L1"]'), (2, "applied", '["L1", "L2"]'), (3, "unchanged", '["L1"]')):
            row = {"id": number, "at": at(number), "state": state, "locations": places}
            connection.execute(text(DELIVERY), row)
    upgrade(engine)
    with read(engine) as connection:
        rows = connection.execute(
            text("SELECT location, as_of, stale_at, applied_as_of, delivery_id FROM feed_location ORDER BY 1")
        )
        assert [tuple(row) for row in rows] == [("L1", at(3), at(4), at(2), 2), ("L2", at(2), at(3), at(2), 2)]
        connection.execute(text("SELECT * FROM inventory_v1")).all()
        connection.execute(text("SELECT * FROM unified_stock_v1")).all()
    engine.dispose()


_CHANGES = """
INSERT INTO level_change (id, feed_id, supplier_sku, location, condition, kind, delivery_id, at)
SELECT n, 1, CASE WHEN n IN (100000, 201000) THEN 'RARE' ELSE 'S' || n % 5000 END, '', '',
       CASE WHEN n <= 5000 THEN 'new' ELSE 'changed' END, n / 50, now()
FROM generate_series({}, {}) AS n
"""


def test_on_postgresql_history_is_found_without_an_entry_for_each_change(postgres_url: str) -> None:
    name = f"old_{uuid.uuid4().hex[:12]}"
    server = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = make_engine(make_url(postgres_url).set(database=name).render_as_string(hide_password=False))
    try:
        config = _alembic()
        with write(engine) as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0007")
            connection.execute(text(_CHANGES.format(1, 200_000)))
        upgrade(engine)
        with write(engine) as connection:
            connection.execute(text(_CHANGES.format(200_001, 201_000)))  # in blocks that nothing has summed up yet
            connection.execute(text("ANALYZE level_change"))  # as autovacuum does
        with read(engine) as connection:
            made = "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_level_change_delivery_id'"
            assert "USING brin (delivery_id) WITH (autosummarize='on')" in connection.execute(text(made)).scalar_one()
            for delivery, first in ((0, 1), (2000, 100_000), (4010, 200_500)):
                assert connection.execute(first_change(1, delivery)).scalar_one() == first
            query = first_change(1, 2000).compile(engine, compile_kwargs={"literal_binds": True})
            plan = connection.execute(text(f"EXPLAIN (FORMAT JSON) {query}")).scalar_one()
            assert "ix_level_change_delivery_id" in str(plan)
            of_sku = "FROM level_change WHERE feed_id = 1 AND supplier_sku = 'RARE'"
            assert connection.execute(text(f"SELECT id {of_sku} ORDER BY id")).scalars().all() == [100_000, 201_000]
            plan = connection.execute(text(f"EXPLAIN (FORMAT JSON) SELECT id {of_sku}")).scalar_one()
            assert "ix_level_change_feed_id_supplier_sku" in str(plan)
            made = made.replace("delivery_id'", "feed_id_supplier_sku'")
            assert "USING brin (feed_id, supplier_sku text_bloom_ops" in connection.execute(text(made)).scalar_one()
    finally:
        engine.dispose()
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()
