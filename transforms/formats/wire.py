"""Batches and errors as bytes, and back: what a reader in a child process hands to its parent.

A message is two big-endian lengths (4 and 8 bytes), a JSON header and an Arrow IPC stream (empty but for batches). Never
uses pickle: the child has parsed a stranger's file.
"""

import io
import json
import struct
from dataclasses import asdict
from typing import Any

import polars as pl

from schemas.errors import ConfigError, DeliveryError
from schemas.records import CellProblem, RawBatch
from schemas.rejections import Rejection

LENGTHS = struct.Struct(">IQ")
END = b'{"type":"end"}'
_ERROR_FIELDS = ("message", "hint", "detail")
_PLACE_FIELDS = ("code", "row", "line", "column", "value")


def batch_message(batch: RawBatch) -> bytes:
    """Return `batch` as one message."""
    header = {
        "type": "batch",
        "header": batch.header,
        "rejections": [asdict(r) for r in batch.rejections],
        "cell_problems": [asdict(p) for p in batch.cell_problems],
        "skipped": batch.skipped,
        "reading": batch.reading,
        "notes": batch.notes,
        "members": batch.members,
    }
    payload = io.BytesIO()
    batch.frame.write_ipc_stream(payload)
    return _message(json.dumps(header).encode(), payload.getvalue())


def error_message(error: DeliveryError | ConfigError) -> bytes:
    """Return `error`, with every field, as one message."""
    names = (*_ERROR_FIELDS, *_PLACE_FIELDS) if isinstance(error, DeliveryError) else _ERROR_FIELDS
    header = {"type": "delivery_error" if isinstance(error, DeliveryError) else "config_error"}
    return _message(json.dumps(header | {name: getattr(error, name) for name in names}).encode(), b"")


def end_message() -> bytes:
    """Return the message after the last batch: without it the child did not finish."""
    return _message(END, b"")


def parse_message(header: bytes, payload: bytes) -> RawBatch | DeliveryError | ConfigError | None:
    """Return the batch or error of a message, None for the end. Raises ValueError for anything else."""
    try:
        content: dict[str, Any] = json.loads(header)
        kind = content.pop("type")
        if kind == "end":
            return None
        if kind == "batch":
            return _batch(content, payload)
        words = [content[name] for name in _ERROR_FIELDS]
        if kind == "config_error":
            return ConfigError(*words)
        return DeliveryError(*words, **{name: content[name] for name in _PLACE_FIELDS})
    except (LookupError, TypeError, AttributeError, pl.exceptions.PolarsError) as error:
        msg = f"no message of a reader: {type(error).__name__}: {error}"
        raise ValueError(msg) from error


def _batch(content: dict[str, Any], payload: bytes) -> RawBatch:
    return RawBatch(
        header=tuple(content["header"]),
        frame=pl.read_ipc_stream(io.BytesIO(payload)),
        rejections=tuple(Rejection(**r) for r in content["rejections"]),
        cell_problems=tuple(CellProblem(**p) for p in content["cell_problems"]),
        skipped=content["skipped"],
        reading=content["reading"],
        notes=tuple(content["notes"]),
        members=tuple(content["members"]),
    )


def _message(header: bytes, payload: bytes) -> bytes:
    return LENGTHS.pack(len(header), len(payload)) + header + payload
