"""What `stockfeed deliveries add` does: spool, archive, record and read one file that a person gives."""

from pathlib import Path
from typing import TYPE_CHECKING

from stockfeed.cli.output import as_row, emit, emit_json
from stockfeed.cli.session import instant

if TYPE_CHECKING:
    from stockfeed.bootstrap import App

_CODES = {"held": 2, "rejected": 4}


def add_file(app: "App", feed: str, file: Path, said: tuple[str | None, str | None], *, record_only: bool, as_json: bool) -> int:
    """Return the exit code after the file was recorded and, unless `record_only`, read. `said`: name and time, as given."""
    from connectors.spool import Limits, spool_stream
    from schemas.transfer import Fetched
    from stockfeed.pipeline.ingest import ingest
    from stockfeed.pipeline.receive import check_name, identity_of, receive

    app.config.feed(feed)
    name, at = said[0] or file.name, instant(said[1]) if said[1] else None
    check_name(name)
    with file.open("rb") as stream:
        spooled = spool_stream(stream.read, app.settings.spool_dir, name, limits=Limits(size=app.settings.file_bytes))
    try:
        identity = identity_of(name, spooled.sha256, key=None, at=app.clock())
        received = receive(app, feed, Fetched(spooled.path, spooled.sha256, spooled.size, name, identity, at))
    finally:
        spooled.path.unlink(missing_ok=True)
    assert received.delivery_id is not None  # its identity holds this moment
    if record_only:
        _told({"delivery_id": received.delivery_id, "feed": feed, "state": "received"}, as_json=as_json)
        return 0
    result = ingest(app, received.delivery_id)
    _told(as_row(result), as_json=as_json)
    return _CODES.get(result.state, 0)


def _told(row: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        emit_json({"type": "added", **row})
        return
    emit(
        f"Delivery {row['delivery_id']} of {row['feed']} is {row['state']}."
        + (f" {row['reason']}" if row.get("reason", "") not in {"", None, row.get("state")} else "")
    )
