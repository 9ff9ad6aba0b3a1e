"""Every command, setting and file that the runbook and the page on scaling name exists."""

import re
from contextlib import closing
from pathlib import Path

import click
import pytest

from stockfeed.cli.app import stockfeed
from stockfeed.settings import VARIABLES

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGES = [DOCS / "runbook.md", DOCS / "scaling.md"]
GROUPS = {"channels", "db", "deliveries", "feeds", "inventory", "rejections"}
#: Read by the DAGs, the compose file or the build, not by the program's settings.
BESIDES = {"STOCKFEED_AIRFLOW_POOLS", "STOCKFEED_OWNER_PASSWORD", "STOCKFEED_APP_PASSWORD", "STOCKFEED_VERSION"}


def named_commands(text: str) -> set[tuple[str, ...]]:
    """Every command in code spans and blocks: with `stockfeed` before it, or a group's command without."""
    spans = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^\$ (.+)$", text, re.MULTILINE)
    found = set()
    for span in spans:
        words = span.split()
        rest = words[1:] if words[0] == "stockfeed" else words
        if words[0] == "stockfeed" or (rest[0] in GROUPS and len(rest) > 1):
            found.add(tuple(rest))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_of_a_page_exists_with_its_options(page: Path) -> None:
    for words in named_commands(page.read_text("utf-8")):
        command: click.Command | None = stockfeed
        rest = list(words)
        while rest and isinstance(command, click.Group):
            command = command.get_command(click.Context(command), rest.pop(0))
        assert command is not None, f"{page.name}: stockfeed {' '.join(words)}"
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, words


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_variable_of_a_page_is_a_setting(page: Path) -> None:
    named = set(re.findall(r"STOCKFEED_[A-Z_]+", page.read_text("utf-8")))
    assert named - set(VARIABLES) - BESIDES == set()


def test_the_backup_of_sqlite_is_a_whole_database(tmp_path: Path) -> None:
    import sqlite3
    import subprocess
    import sys

    from stockfeed.store.engine import make_engine, read
    from stockfeed.store.upgrade import current_revision, newest_revision, upgrade

    (tmp_path / ".state").mkdir()
    engine = make_engine(f"sqlite:///{tmp_path / '.state' / 'stockfeed.sqlite3'}")
    upgrade(engine)
    (code,) = re.findall(r'`python3 -c "(.+)"`', (DOCS / "runbook.md").read_text("utf-8"))
    with read(engine):  # while it is in use
        subprocess.run([sys.executable, "-c", code.replace('\\"', '"')], cwd=tmp_path, check=True)
    engine.dispose()
    copy = make_engine(f"sqlite:///{tmp_path / 'stockfeed.backup'}")
    assert current_revision(copy) == newest_revision()
    copy.dispose()
    with closing(sqlite3.connect(tmp_path / "stockfeed.backup")) as whole:
        assert whole.execute("PRAGMA integrity_check").fetchone() == ("ok",)
