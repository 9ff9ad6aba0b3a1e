"""Levels as lines of text, on both databases: they are those of the records that the levels came from."""

from datetime import UTC, date, datetime
from itertools import islice

import polars as pl
import pytest
from sqlalchemy import Engine, insert, select, update

from schemas.records import RECORD_SCHEMA
from schemas.tables import feed, inventory
from stockfeed.store import level_lines, levels, staging
from stockfeed.store.engine import make_engine, read, write

AT = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
TEXTS = ["A1", 'a"b', "a\\b", "a,b", "(a)", "a b", "\u00e9\u00df\u6f22", "null", "NULL", "\\N", "'", "\U0001f600", "{}", "[1]", "$"]
ODD_TEXTS = ["a\tb", "a\nb", "a\rb", "a\x07b", "\u2028", "a\x1fb"]


def records(skus: list[str]) -> pl.DataFrame:
    """A record of each SKU; in all other columns there is something and there is nothing."""
    rows = []
    for n, sku in enumerate(skus):
        row = dict.fromkeys(RECORD_SCHEMA) | {"row": n + 2, "line": n + 2, "supplier_sku": sku, "location": sku, "condition": ""}
        row |= {"on_hand": n * 1000 - 3, "unit_cost": 9 * 10**17 if n % 2 else None, "currency": "EUR" if n % 2 else None}
        row |= {"unit": sku if n % 3 else None, "mpn": "" if n % 3 == 1 else None, "gtin": "00012345678905" if n % 2 else None}
        rows.append(row | {"next_available_on": date(2026, 1, n % 28 + 1) if n % 2 else None})
    return pl.DataFrame(rows, schema=dict(RECORD_SCHEMA))


def applied(engine: Engine, frame: pl.DataFrame) -> None:
    with write(engine) as connection:
        values = {"supplier": "acme", "supplier_name": "Acme", "supplier_kind": "supplier", "policy": {}}
        connection.execute(insert(feed).values(id=1, code="acme.stock", **values))
        staging.create(connection)
        staging.load_records(connection, frame, 1)
        levels.compare(connection, 1, scope_locations=False, find_absent=True)
        levels.apply(connection, levels.Applying(1, 1, AT, 2, identity_match=True))
        staging.drop(connection)


def lines(engine: Engine) -> list[str]:
    with read(engine) as connection:
        return [line for page in level_lines.level_pages(connection, 1) for line in level_lines.split(page.lines)]


def test_the_line_of_a_level_is_that_of_the_record_it_came_from(engine: Engine) -> None:
    frame = records(TEXTS)
    applied(engine, frame)
    expected = level_lines.as_lines(frame, engine.dialect.name)
    assert sorted(lines(engine)) == sorted(expected)
    keys = level_lines.keys_of(expected, engine.dialect.name)
    assert keys.rows() == frame.select("supplier_sku", "location", "condition").rows()


def test_a_text_that_is_written_in_another_way_is_no_other_text(engine: Engine) -> None:
    frame = records([*TEXTS, *ODD_TEXTS])
    applied(engine, frame)
    found = pl.Series("line", lines(engine))
    assert found.len() == found.n_unique() == frame.height
    at_home = dict(zip(level_lines.keys_of(found, engine.dialect.name)["supplier_sku"], found, strict=True))
    assert set(at_home) == set(frame["supplier_sku"])
    written = level_lines.as_lines(frame, engine.dialect.name)
    mine = dict(zip(frame["supplier_sku"], written, strict=True))
    assert all(line not in {at_home[other] for other in at_home if other != sku} for sku, line in mine.items())


def test_levels_come_in_pages_each_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(level_lines, "_PAGE", 3)
    frame = records([f"S{n:02}" for n in range(20)])
    elsewhere = frame.with_columns(location=pl.lit("other"))
    applied(engine, pl.concat([frame, elsewhere]))
    with write(engine) as connection:
        connection.execute(update(inventory).where(inventory.c.supplier_sku == "S07").values(missing_count=1))
    found = level_lines.keys_of(pl.Series("line", lines(engine)), engine.dialect.name)
    known = pl.concat([frame, elsewhere]).filter(pl.col("supplier_sku") != "S07").select(found.columns)
    assert sorted(found.rows()) == sorted(known.rows())
    with read(engine) as connection:
        assert sum(page.others for page in level_lines.level_pages(connection, 1)) == 2


def test_a_page_without_a_known_level_has_no_lines(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(level_lines, "_PAGE", 2)
    applied(engine, records(["A", "B", "C", "D"]))
    with write(engine) as connection:
        connection.execute(update(inventory).where(inventory.c.supplier_sku < "C").values(missing_count=1))
    with read(engine) as connection:
        pages = list(level_lines.level_pages(connection, 1))
    assert [(level_lines.split(page.lines).len(), page.others) for page in pages if page != ("", 0)] == [(0, 2), (2, 0)]


def test_a_level_with_the_mark_between_lines_in_it_is_told_from_two(engine: Engine) -> None:
    applied(engine, records(["A", "B\x1eC", "D"]))
    if engine.dialect.name == "sqlite":  # JSON writes it in another way
        assert len(lines(engine)) == 3
    else:
        with pytest.raises(level_lines.LinesUnclear):
            lines(engine)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_no_records_have_no_lines(dialect: str) -> None:
    assert level_lines.as_lines(records([]), dialect).to_list() == []


def test_a_key_beside_a_text_of_any_length_is_read(engine: Engine) -> None:
    frame = records(['a"b,(\\', "c"]).with_columns(mpn=pl.lit("x" * 300_000))
    applied(engine, frame)
    keys = level_lines.keys_of(pl.Series("line", lines(engine)), engine.dialect.name)
    assert sorted(keys.rows()) == sorted(frame.select("supplier_sku", "location", "condition").rows())


def test_pages_that_leave_out_a_level_are_of_no_use_on_a_server(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an index does that was made when the system sorted texts in another order."""
    applied(engine, records(TEXTS))
    monkeypatch.setattr(level_lines, "_PAGE", 4)
    whole = level_lines._pages
    monkeypatch.setattr(level_lines, "_pages", lambda *given: islice(whole(*given), 1, None))
    if engine.dialect.name == "sqlite":  # compares bytes, whatever the system says
        assert len(lines(engine)) == len(TEXTS) - 4
    else:
        with pytest.raises(level_lines.LinesUnclear):
            lines(engine)


def test_staged_texts_are_what_they_were_whatever_the_environment_says_of_them(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "latin1")
    engine = make_engine(postgres_url)
    with write(engine) as connection:
        staging.create(connection)
        staging.load_records(connection, records(TEXTS), 1)
        assert connection.execute(select(staging.staged.c.supplier_sku)).scalars().all() == TEXTS
    engine.dispose()
