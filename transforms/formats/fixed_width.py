"""Lines of fixed width as batches of text cells: the columns are places in the line, counted in characters.

Encodings, limits, trailers and rows to skip are those of delimited text. Never guesses where a column is.
"""

from collections.abc import Iterator

import polars as pl

from schemas.records import OpenBinary, RawBatch
from schemas.rejections import Rejection, rejection
from transforms.formats.delimited import read as read_lines
from transforms.formats.document_options import FixedWidthOptions


def read(open_binary: OpenBinary, options: FixedWidthOptions) -> Iterator[RawBatch]:
    """Yield the lines of a file cut into columns, in batches; at least one batch, maybe without rows.

    A line of another length than `length`, or that ends before the last column begins, is rejected (ROW-WIDTH) unless
    `short_rows = "pad"` allows short ones. Raises DeliveryError as the reader of delimited text does.
    """
    for batch in read_lines(open_binary, options):
        frame, refused = _lines_that_fit(batch.frame, options)
        cells = [
            pl.col("c0").str.slice(first - 1, last - first + 1).str.strip_chars(" ").alias(f"c{n}")
            for n, (first, last) in enumerate(options.fields.values())
        ]
        reading = {name: value for name, value in batch.reading.items() if name not in {"delimiter", "quote"}}
        yield RawBatch(
            tuple(options.fields),
            frame.select("row", "line", *cells),
            (*batch.rejections, *refused),
            (),
            batch.skipped,
            reading,
            batch.notes,
        )


def _lines_that_fit(frame: pl.DataFrame, options: FixedWidthOptions) -> tuple[pl.DataFrame, tuple[Rejection, ...]]:
    size = pl.col("c0").str.len_chars()
    short = size < (options.length or max(first for first, _ in options.fields.values()))
    wrong = size > options.length if options.length else pl.lit(value=False)
    if options.short_rows == "reject":
        wrong |= short
    bad = frame.filter(wrong)
    sentence = "the line is not as long as declared" if options.length else "the line ends before its last column begins"
    refused = tuple(
        rejection("ROW-WIDTH", row=row, line=line, value=text, message=f"{sentence}: it has {len(text)} characters",
                  remedy='Send lines of full length, or set format.short_rows = "pad" if short ones have blank ends.')
        for row, line, text in bad.select("row", "line", "c0").iter_rows()
    )  # fmt: skip
    return frame.filter(~wrong), refused
