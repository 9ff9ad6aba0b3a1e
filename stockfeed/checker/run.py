"""Runs every rule's check on one snapshot of the database, the archive and the channel logs."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, text

from stockfeed.checker import levels, offers, stored
from stockfeed.checker.channel_log import log_faults, read_log
from stockfeed.checker.evidence import evidence_faults
from stockfeed.checker.faults import Fault, fault, first_of_each
from stockfeed.checker.ledger import ledger_faults
from stockfeed.checker.reading import snapshot

LIMIT = 20  # faults that are told; the first of each kind before the second of any
QUERIES = (*levels.QUERIES, *offers.QUERIES)


def check_database(
    database: Engine | URL,
    archive: Path,
    now: datetime,
    *,
    channel_logs: Mapping[str, Path] | None = None,
    secrets: Collection[str] = (),
    limit: int = LIMIT,
) -> list[Fault]:
    """Return the first faults found: {"rule", "subject", "message"} for each, at most `limit`; [] when all rules hold.

    Of an engine only the address is used: the check opens its own, read-only connection. `archive` is the folder of archived
    bytes; each file is hashed again. `now` is an aware instant. `channel_logs` are files by channel code, in the format of
    stockfeed.checker.channel_log. `secrets` are texts that must stand nowhere. Raises ConfigError for an unreadable log.
    """
    logs = {channel: read_log(path) for channel, path in (channel_logs or {}).items()}
    files = stored.listed(archive)
    url = database.url if isinstance(database, Engine) else database
    with snapshot(url) as connection:
        missing = list(stored.archive_faults(connection, files, archive, now))
        faults = [*ledger_faults(connection, now), *_query_faults(connection, limit)]
        faults += evidence_faults(connection, [s for s in secrets if s], limit)
        for channel, events in logs.items():
            faults += log_faults(connection, channel, events)
    if missing:  # retention may have removed some between the ledger and the look at the folder
        with snapshot(url) as connection:
            gone = stored.discarded(connection)
        faults = [*(one for one in missing if one["subject"] not in gone), *faults]
    return first_of_each(faults, limit)


def _query_faults(connection: Connection, limit: int) -> Iterator[Fault]:
    for rule, message, query in QUERIES:
        for row in connection.execute(text(query)).fetchmany(limit):
            yield fault(rule, str(row[0]), message)
