"""Lines of fixed width as batches of text cells: the columns are places in the line, counted in characters.

Encodings, limits, trailers and rows to skip are those of delimited text. Never guesses where a column is.
"""

from collections.abc import Iterator

import polars as pl

from schemas.records import OpenBinary, RawBatch
from schemas.rejections import Rejection, rejection
from transforms.formats.delimited import NO_LINE_END
from transforms.formats.delimited import read as read_lines
from transforms.formats.document_options import FixedWidthOptions

_NO_LIMIT = 1 << 62  # characters


def read(open_binary: OpenBinary, options: FixedWidthOptions) -> Iterator[RawBatch]:
    """Yield the lines of a file cut into columns, in batches; at least one batch, maybe without rows.

    A line of another length than `length`, or that ends before the last column begins, is rejected (ROW-WIDTH) unless
    `short_rows = "pad"` allows short ones. Raises DeliveryError as the reader of delimited text does.
    """
    for batch in read_lines(open_binary, options):
        frame, refused = _lines_that_fit(batch, options)
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


def _lines_that_fit(batch: RawBatch, options: FixedWidthOptions) -> tuple[pl.DataFrame, tuple[Rejection, ...]]:
    frame, text, size = batch.frame, pl.col("c0"), pl.col("c0").str.len_chars()
    width = options.length or max(last for _, last in options.fields.values())
    short = size < (options.length or max(first for first, _ in options.fields.values()))
    is_cut = pl.lit(value=False)
    if NO_LINE_END in batch.notes:  # the file may end in the middle of a number
        is_cut = (pl.int_range(pl.len()) == pl.len() - 1) & (size < width)
    # a letter and its accent as two signs: some count them as one
    moved = pl.lit(value=options.length is None) & text.str.contains(r"\p{M}")
    reason = (
        pl.when(size > (options.length or _NO_LIMIT)).then(pl.lit("the line is not as long as declared"))
        .when(is_cut).then(pl.lit("the file ends in the middle of its last column"))
        .when(moved).then(pl.lit("it is not clear where its columns are: a letter and its accent are two signs"))
        .when(short & pl.lit(value=options.short_rows == "reject"))
        .then(pl.lit("the line is not as long as declared" if options.length else "the line ends before its last column begins"))
    )  # fmt: skip
    judged = frame.with_columns(reason.alias("reason"))
    refused = tuple(
        rejection("ROW-WIDTH", row=row, line=line, value=text, message=f"{sentence}: it has {len(text)} characters",
                  remedy='Send lines of full length, or set format.short_rows = "pad" if short ones have blank ends.')
        for row, line, text, sentence in judged.drop_nulls("reason").select("row", "line", "c0", "reason").iter_rows()
    )  # fmt: skip
    return judged.filter(pl.col("reason").is_null()).drop("reason"), refused
