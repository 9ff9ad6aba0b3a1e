"""The named places at which a run is killed: functions of the product, found by name, before they begin and after they end.

The product knows nothing of this: a forked child watches its own calls (sys.setprofile) and kills itself at the right one.
A name that no longer exists is an error at once, never a place that is quietly not reached.
"""

import importlib
import inspect
from dataclasses import dataclass
from types import CodeType
from typing import Any

COMMIT = "sqlalchemy.engine.default:DefaultDialect.do_commit"


@dataclass(frozen=True)
class Point:
    """`function` is "module:qualified.name"; `within` another one that must be on the stack; `call` counts from 1.

    `step` is the step of a scenario that passes here, `source` and `mode` the kind of feed it takes.
    """

    name: str
    function: str
    within: str = ""
    call: int = 1
    step: str = "delivery"
    kind: str = "normal"
    source: str = ""
    mode: str = "snapshot"
    large: bool = False  # a file of several pieces


def find(name: str) -> Any:
    """Return the code object of a Python function, or a built-in itself. Raises LookupError when there is none."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        if not hasattr(found, part):
            msg = f"{name}: there is no {part} in {module}; correct tests/crash/points.py"
            raise LookupError(msg)
        found = inspect.getattr_static(found, part) if inspect.isclass(found) else getattr(found, part)
        found = getattr(found, "__func__", found)
    found = inspect.unwrap(found)
    return found.__code__ if hasattr(found, "__code__") else found


def is_code(found: Any) -> bool:
    return isinstance(found, CodeType)


_PICK, _SPOOL, _ARCHIVE = "connectors.pickup", "connectors.spool", "stockfeed.store.archive"
_COLLECT, _INGEST, _ENDING = "stockfeed.pipeline.collect", "stockfeed.pipeline.ingest", "stockfeed.pipeline.ending"
_SEND, _PUBLISH, _RETAIN = "stockfeed.pipeline.sending", "stockfeed.pipeline.publish", "stockfeed.pipeline.retention"
_STORE, _WRITE = "stockfeed.store", "Archive._write"

POINTS: tuple[Point, ...] = (
    # collect
    Point("lease", f"{_STORE}.leases:take"),
    Point("lease-committed", COMMIT, "stockfeed.pipeline.lease:hold_lease"),
    Point("lease-given-back", f"{_STORE}.leases:give_back"),
    Point("list", "connectors.selection:select_ready"),
    Point("list-sftp", "connectors.sftp_folder:RemoteFolder.list_files", source="sftp"),
    Point("fetch-start", f"{_PICK}:_download"),
    Point("fetch-mid", f"{_SPOOL}:put", call=2, large=True),
    Point("fetch-mid-sftp", "connectors.sftp_folder:PipelinedDownload.read", call=3, source="sftp", large=True),
    Point("fetch-done", f"{_SPOOL}:spool_stream"),
    Point("archive-part", f"{_ARCHIVE}:_copy_hashed"),
    Point("archive-fsync", "os:fsync", f"{_ARCHIVE}:{_WRITE}"),
    Point("archive-rename", "os:replace", f"{_ARCHIVE}:{_WRITE}"),
    Point("archive-folder-fsync", f"{_ARCHIVE}:_fsync_folder", call=2),
    Point("spool-emptied", "os:unlink", f"{_ARCHIVE}:Archive.store"),
    Point("ledger", f"{_STORE}.deliveries:record"),
    Point("ledger-committed", COMMIT, f"{_COLLECT}:_record", call=2),
    Point("listing-kept", f"{_COLLECT}:_finish"),
    # ingest
    Point("attempt-counted", f"{_INGEST}:_set_attempts"),
    Point("archive-verified", f"{_ARCHIVE}:Archive.verified"),
    Point("parse", "transforms.formats.delimited_block:parse_block"),
    Point("lines-compared", "transforms.line_difference:same_lines"),
    Point("normalise", "transforms.normalise:normalise"),
    Point("stage-mid", f"{_STORE}.staging:load_records"),
    Point("stage-done", "stockfeed.pipeline.by_line:stage_delivery"),
    Point("compare", f"{_STORE}.comparison:_fill_difference"),
    Point("guard", "transforms.guard:judge"),
    Point("apply-begin", f"{_ENDING}:apply"),
    Point("apply-levels", f"{_STORE}.levels:apply"),
    Point("apply-mid", f"{_STORE}.levels:_write_changed"),
    Point("apply-absent", f"{_STORE}.levels:_write_absent"),
    Point("apply-reading", f"{_STORE}.last_reading:save"),
    Point("apply-feed", f"{_STORE}.feeds:change", f"{_ENDING}:apply"),
    Point("apply-sales", f"{_STORE}.reservations:release_seen_sales"),
    Point("apply-ledger", f"{_ENDING}:_end"),
    Point("apply-committed", COMMIT, f"{_INGEST}:_decide"),
    Point("cleanup", f"{_STORE}.staged:end"),
    Point("rejections", f"{_STORE}.deliveries:write_rejections", kind="partial"),
    Point("hold", f"{_ENDING}:_open_hold", kind="held"),
    Point("hold-committed", COMMIT, f"{_INGEST}:_decide", kind="held"),
    Point("reject-committed", COMMIT, f"{_ENDING}:reject", kind="rejected"),
    Point("unchanged-committed", COMMIT, f"{_ENDING}:unchanged", kind="unchanged"),
    Point("superseded-committed", COMMIT, f"{_ENDING}:supersede", step="stale"),
    # remote acknowledgement
    Point("acknowledge", "stockfeed.pipeline.acknowledge:acknowledge", source="delete"),
    Point("remote-delete", "os:unlink", "connectors.folder:LocalFolder.remove", source="delete"),
    Point("remote-move", "os:rename", "connectors.folder:LocalFolder.move", source="move"),
    Point("remote-delete-sftp", "connectors.sftp_folder:RemoteFolder.remove", source="sftp"),
    Point("acknowledged", COMMIT, "stockfeed.pipeline.acknowledge:acknowledge", source="move"),
    # allocate and publish
    Point("dirty-collected", f"{_STORE}.availability:collect_dirty"),
    Point("outbox-written", f"{_STORE}.availability:publish_changes"),
    Point("allocate-committed", COMMIT, "stockfeed.pipeline.allocate:allocate_leased"),
    Point("resolve", "connectors.shopify:ShopifyChannel._search"),
    Point("listings-kept", f"{_STORE}.listings:save"),
    Point("gate", "stockfeed.pipeline.gating:hold_offending"),
    Point("outbox-claim", f"{_STORE}.publications:claim"),
    Point("claim-committed", COMMIT, f"{_SEND}:_claim"),
    Point("send", "connectors.http:JsonClient._send", "connectors.shopify_publish:_set"),
    Point("ack-before-mark", f"{_SEND}:_record"),
    Point("marked", COMMIT, f"{_SEND}:_note"),
    Point("settle", f"{_SEND}:settle_open", call=2),
    Point("file-part", "connectors.feed_file_places:FolderPlace.write"),
    Point("file-fsync", "os:fsync", "connectors.feed_file_places:FolderPlace.write"),
    Point("file-rename", "os:replace", "connectors.feed_file_places:FolderPlace.write"),
    Point("publish-noted", f"{_PUBLISH}:_result"),
    # what else changes state
    Point("reconcile-page", "stockfeed.pipeline.reconcile:_reconcile_page", step="reconcile"),
    Point("sale-accounted", f"{_STORE}.reservations:add_seen_sales", step="reconcile"),
    Point("reconcile-committed", COMMIT, "stockfeed.pipeline.reconcile:_reconcile_page", step="reconcile"),
    Point("retention-ledger", COMMIT, f"{_RETAIN}:_discard", step="retain"),
    Point("retention-delete", "os:unlink", f"{_ARCHIVE}:Archive.remove", step="retain"),
    Point("retention-noted", f"{_RETAIN}:_prune_marks", step="retain"),
    Point("undo-levels", f"{_STORE}.undo:restore_levels", step="undo"),
    Point("undo-committed", COMMIT, "stockfeed.pipeline.acts:undo_delivery", call=2, step="undo"),
    Point("sweep", COMMIT, "stockfeed.pipeline.sweep:_write", step="sweep"),
)

BY_NAME = {point.name: point for point in POINTS}
SIDES = ("before", "after")
