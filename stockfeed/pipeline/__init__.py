"""The five verbs and the operator's acts: the only code that changes state. The command line, DAGs and console call these."""

from typing import TYPE_CHECKING, Any

from stockfeed.pipeline.acknowledge import acknowledge, acknowledge_all
from stockfeed.pipeline.acts import reject_delivery, release_delivery, release_feed, replay_delivery, undo_delivery
from stockfeed.pipeline.allocate import allocate, register_channels
from stockfeed.pipeline.channel_acts import (
    approve_channel,
    pause_channel,
    release_publish_hold,
    resume_channel,
    rollback_channel,
)
from stockfeed.pipeline.collect import collect, register_feeds
from stockfeed.pipeline.ingest import ingest
from stockfeed.pipeline.preview import channel_preview
from stockfeed.pipeline.publish import publish
from stockfeed.pipeline.receive import receive
from stockfeed.pipeline.reconcile import reconcile
from stockfeed.pipeline.retention import retain
from stockfeed.pipeline.sweep import overdue, sweep

if TYPE_CHECKING:
    from stockfeed.pipeline.whole_contract import audit_feed

__all__ = [
    "acknowledge",
    "acknowledge_all",
    "allocate",
    "approve_channel",
    "audit_feed",
    "channel_preview",
    "collect",
    "ingest",
    "overdue",
    "pause_channel",
    "publish",
    "receive",
    "reconcile",
    "register_channels",
    "register_feeds",
    "reject_delivery",
    "release_delivery",
    "release_feed",
    "release_publish_hold",
    "replay_delivery",
    "resume_channel",
    "retain",
    "rollback_channel",
    "sweep",
    "undo_delivery",
]


def __getattr__(name: str) -> Any:
    """Return the audit of contracts, which loads the frame library that most commands do without."""
    if name == "audit_feed":
        from stockfeed.pipeline.whole_contract import audit_feed

        return audit_feed
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
