"""What a publish would send now and what its gate would hold. Never sends, holds or computes anything."""

from typing import Any

from stockfeed.bootstrap import App
from stockfeed.pipeline.gating import judge_waiting
from stockfeed.store import channels, publications, publish_holds
from stockfeed.store.engine import read


def channel_preview(app: App, code: str, limit: int = 100) -> dict[str, Any]:
    """Return, as JSON values, the channel's state, the gate's findings, and the first `limit` quantities that wait.

    Each item has sku, location, quantity, shown (what the channel last confirmed, None: nothing), cause and held. Raises
    ConfigError for a channel that is not configured or was never allocated.
    """
    channel = app.config.channel(code)
    with read(app.engine) as connection:
        row = channels.load(connection, code)
        verdict, findings = judge_waiting(connection, channel, app.clock())
        items = publications.preview(connection, code, limit)
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
