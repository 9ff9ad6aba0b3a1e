"""How the tests of outcomes judge an answer: refused in the right words, and nothing lost once the cause is gone."""

import hashlib
import re
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.servers.site import Answer, Site

AT = datetime.now(UTC) - timedelta(hours=1)
STOCK = {"A": 5, "B": 0, "001": 7}
SHOWN = {sku: str(quantity) for sku, quantity in STOCK.items()}
FEED = r"(acme\.stock: )?"  # what concerns one feed names it first
LARGE = {f"SKU-{number:06}": number for number in range(20_000)}


def refused(answer: Answer, code: int, message: str, remedy: str) -> None:
    """One line that matches `message`, a remedy that matches `remedy`, the exit code, no traceback and nothing on stdout."""
    assert (answer.code, answer.out) == (code, ""), answer
    error, *remedies = answer.told
    assert re.fullmatch(f"Error: {message}", error), error
    assert remedies
    assert all(line.startswith("→ ") for line in remedies)
    assert re.search(remedy, "\n".join(remedies)), remedies
    assert "Traceback" not in answer.err


def everything_is_right(site: Site, levels: dict[str, str] = SHOWN, *, deliveries: int = 1) -> None:
    """The ledger has each delivery once, the archive its bytes, the inventory its levels; no spooled part is left."""
    listed = site.rows("deliveries", "list")
    assert [row["state"] for row in listed] == ["applied"] * deliveries
    state = Path(site.environment.get("STOCKFEED_STATE", site.folder / ".state"))
    archive = Path(site.environment.get("STOCKFEED_ARCHIVE", state / "archive"))
    spool = Path(site.environment.get("STOCKFEED_SPOOL", state / "spool"))
    assert {hashlib.sha256(p.read_bytes()).hexdigest() for p in archive.rglob("*") if p.is_file()} == {r["sha256"] for r in listed}
    assert not [path for path in spool.rglob("*") if path.is_file()]
    assert site.levels() == levels
    assert site("db", "check").out == "All rules hold.\n"


def synced(site: Site, levels: dict[str, str] = SHOWN) -> None:
    """The same command works now, and everything is right."""
    answer = site.process("sync")
    assert (answer.code, answer.told) == (0, []), answer
    assert "applied" in answer.out
    everything_is_right(site, levels)


def shows_its_traceback_with_debug(site: Site, *words: str, code: int) -> None:
    answer = site.process("--debug", *words)
    assert answer.code == code
    assert "Traceback (most recent call last)" in answer.err
    assert [line for line in answer.told if line.startswith("Error: ")]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
