"""The five verbs and the operator's acts: the only code that changes state. The command line, DAGs and console call these."""

from stockfeed.pipeline.acknowledge import acknowledge, acknowledge_all
from stockfeed.pipeline.acts import reject_delivery, release_delivery, release_feed, replay_delivery, undo_delivery
from stockfeed.pipeline.collect import collect, register_feeds
from stockfeed.pipeline.ingest import ingest
from stockfeed.pipeline.retention import retain
from stockfeed.pipeline.sweep import overdue, sweep
from stockfeed.pipeline.whole_contract import audit_feed

__all__ = [
    "acknowledge",
    "acknowledge_all",
    "audit_feed",
    "collect",
    "ingest",
    "overdue",
    "register_feeds",
    "reject_delivery",
    "release_delivery",
    "release_feed",
    "replay_delivery",
    "retain",
    "sweep",
    "undo_delivery",
]
