"""X12 846 (inventory advice) as table rows: one for each line item and location, columns always the same.

Never adds quantities, never reads another transaction set, and never yields rows of a message whose envelope is wrong without
raising at the end, so that nothing of such a file is applied.
"""

from collections.abc import Iterator
from typing import Any

from schemas.records import OpenBinary, RawBatch
from transforms.formats.edi_lines import observations
from transforms.formats.edi_options import X12Options
from transforms.formats.edi_report import Report
from transforms.formats.edi_text import blocks, holds_several
from transforms.formats.x12_reader import X12Reader


def read(open_binary: OpenBinary, options: X12Options) -> Iterator[RawBatch]:
    """Yield the rows of an X12 file; at least one batch. Raises DeliveryError, most often only after all rows (envelope faults)."""
    with open_binary() as stream:
        reader = X12Reader(options, in_turns=holds_several(stream, b"ISA"))
    with open_binary() as stream:
        yield from reader.batches(blocks(stream, options, "utf-8" if options.encoding == "auto" else options.encoding))
    reader.report.raise_faults(fragments=options.envelope == "optional")
    yield reader.rows.take(reader.reading(), tuple(reader.told()))


def observe(open_binary: OpenBinary, options: X12Options) -> Iterator[dict[str, Any]]:
    """Yield every quantity of the file before any rule (see `edi_lines.observations`). Raises DeliveryError as `read` does."""
    reader = X12Reader(options)
    with open_binary() as stream:
        for number, (line, heading) in enumerate(
            reader.lines(blocks(stream, options, "utf-8" if options.encoding == "auto" else options.encoding)), 1
        ):
            if reader.rows.is_full:
                reader.rows.take({})
            yield from observations(line, heading, options, number)
    reader.report.raise_faults(fragments=options.envelope == "optional")


def examine(open_binary: OpenBinary, options: X12Options) -> Report:
    """Return what the file's envelope says, all faults in it. Raises DeliveryError when not even an envelope can be read."""
    reader = X12Reader(options)
    with open_binary() as stream:
        for _ in reader.batches(blocks(stream, options, "utf-8" if options.encoding == "auto" else options.encoding)):
            pass
    return reader.report
