"""What a publish would send now and what its gate would hold: the publish itself, rehearsed in a transaction that is rolled back.

Never sends anything, and leaves nothing behind.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from stockfeed.bootstrap import App
from stockfeed.pipeline.allocate import allocate_leased
from stockfeed.pipeline.channel_work import ChannelWork
from stockfeed.pipeline.gating import hold_for_open_holds, judge_waiting
from stockfeed.store import channels, publications, publish_holds
from stockfeed.store.engine import translated


@dataclass(frozen=True, slots=True)
class _Rehearsal(ChannelWork):
    """Work on a channel without its lease: everything happens in one transaction that never commits."""

    connection: Connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        yield self.connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        yield self.connection


def channel_preview(app: App, code: str, limit: int = 100) -> dict[str, Any]:
    """Return, as JSON values, the channel's state, the gate's findings, and the first `limit` quantities that wait.

    Quantities are computed as the publish would compute them; values that the channel has no usable listing for are left
    out. Each item has sku, location, quantity, shown (what the channel last confirmed, None: nothing), cause and held.
    Raises ConfigError for a channel that is not configured.
    """
    channel = app.config.channel(code)
    with translated(app.engine), app.engine.connect() as connection:  # closed without a commit: rolled back
        work = _Rehearsal(app, channel, 0, connection)
        channels.register(connection, app.config.channels)
        row = channels.load(connection, code)
        allocate_leased(work)
        publications.fail_unlisted(connection, code, work.now())
        hold_for_open_holds(connection, code)
        verdict, findings = judge_waiting(connection, channel, work.now())
        items = publications.preview(connection, code, work.locations, limit)
        counts = publications.count_states(connection, code)
        holds = publish_holds.open_holds(connection, code)
    for item in items:
        zeros = item["cause"] in verdict.zeros_held or item["quantity"] != 0
        item["held"] = item.pop("state") == "held" or (item["cause"] in verdict.held and zeros)
    return {
        "channel": code,
        "approved": row.approved_at is not None,
        "paused": row.paused_at is not None,
        "waiting": counts.get("pending", 0),
        "held": counts.get("held", 0),
        "hold_ids": sorted({hold_id for hold_id, _ in holds.values()}),
        "findings": findings,
        "items": items,
    }
