"""EDIFACT INVRPT (inventory report) as table rows: one for each line item and location, columns always the same.

Never takes a movement for a balance, and never yields rows of a message whose envelope is wrong without raising at the end, so
that nothing of such a file is applied.
"""

import re
from collections.abc import Iterator
from typing import Any

from schemas.records import OpenBinary, RawBatch
from transforms.formats.edi_lines import observations
from transforms.formats.edi_options import EdifactOptions
from transforms.formats.edi_report import Report
from transforms.formats.edi_text import blocks, holds_several
from transforms.formats.edifact_reader import EdifactReader

_CHARACTER_SETS = {
    "UNOC": "latin-1", "UNOD": "iso8859-2", "UNOE": "iso8859-5", "UNOF": "iso8859-7", "UNOG": "iso8859-3", "UNOH": "iso8859-4",
    "UNOI": "iso8859-6", "UNOJ": "iso8859-8", "UNOK": "iso8859-9",
}  # fmt: skip


def read(open_binary: OpenBinary, options: EdifactOptions) -> Iterator[RawBatch]:
    """Yield the rows of an EDIFACT file; at least one batch. Raises DeliveryError, most often only after all rows."""
    with open_binary() as stream:
        reader = EdifactReader(options, in_turns=holds_several(stream, b"UNB"))
    with open_binary() as stream:
        yield from reader.batches(blocks(stream, options, encoding_of(open_binary, options)))
    reader.report.raise_faults()
    yield reader.rows.take(reader.reading(), tuple(reader.told()))


def observe(open_binary: OpenBinary, options: EdifactOptions) -> Iterator[dict[str, Any]]:
    """Yield every quantity of the file before any rule (see `edi_lines.observations`). Raises DeliveryError as `read` does."""
    reader = EdifactReader(options)
    with open_binary() as stream:
        pieces = blocks(stream, options, encoding_of(open_binary, options))
        for number, (line, heading) in enumerate(reader.lines(pieces), 1):
            if reader.rows.is_full:
                reader.rows.take({})
            yield from observations(line, heading, options, number)
    reader.report.raise_faults()


def encoding_of(open_binary: OpenBinary, options: EdifactOptions) -> str:
    """Return the declared encoding, else the one of the character set that UNB names (UNOA, UNOB and others: UTF-8)."""
    if options.encoding != "auto":
        return options.encoding
    with open_binary() as stream:
        found = re.search(rb"UNB.(UNO[A-Z])", stream.read(200))
    return _CHARACTER_SETS.get(found[1].decode(), "utf-8") if found else "utf-8"


def examine(open_binary: OpenBinary, options: EdifactOptions) -> Report:
    """Return what the file's envelope says, all faults in it. Raises DeliveryError when not even an envelope can be read."""
    reader = EdifactReader(options)
    with open_binary() as stream:
        for _ in reader.batches(blocks(stream, options, encoding_of(open_binary, options))):
            pass
    return reader.report
