"""One block of whole lines to a frame of cells: vectorised where each line proves to be a record, strict elsewhere.

Polars only ever sees lines that were proven to be one record with the right number of fields, and its row count is compared
with ours. Never lets a parser drop, fill or move a field.
"""

import io
from collections import Counter
from dataclasses import dataclass, replace

import polars as pl

from schemas.errors import DeliveryError
from schemas.rejections import Rejection, escape_value, rejection
from transforms.formats.block_lines import ZLIB, BlockLines
from transforms.formats.csv_records import Dialect, split_record
from transforms.formats.layout import Layout
from transforms.formats.line_kinds import classify, measure
from transforms.formats.options import DelimitedOptions
from transforms.formats.row_selection import RowSelection, declared_rows, joined
from transforms.formats.strict_records import StrictRecords, read_strictly

_BLANK_AND_COMMENT = frozenset({"blank", "comment"})


@dataclass(frozen=True, slots=True)
class BlockPlace:
    """Where a block is: the row and line of its first record, whether the file ends with it, and with a line end."""

    row: int
    line: int
    last: bool
    terminated: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """What one block gave; the next block begins `rows` and `lines` further on, with the line at `carry_position` if any.

    `trailers` are the rows that match the trailer pattern: row and declared number of rows (None: not a number).
    """

    frame: pl.DataFrame
    rejections: tuple[Rejection, ...]
    skipped: Counter[str]
    trailers: tuple[tuple[int, int | None], ...]
    rows: int
    lines: int
    carry_position: int | None


def parse_block(lines: BlockLines, layout: Layout, options: DelimitedOptions, place: BlockPlace, selection: RowSelection) -> Piece:
    """Return the cells, rejections and skipped rows of one block. Raises DeliveryError FILE-LIMIT, -TRUNCATED, -UNREADABLE."""
    measured, lines = measure(lines, layout, options, place.line)
    positions = (~measured["alone"]).arg_true().to_list()
    strict = read_strictly(lines, positions, layout, options, (place.row, place.line), last=place.last)
    if strict.carry_position is not None:
        measured = measured.head(strict.carry_position)
    numbered = _number(measured, strict, place)
    plain = classify(numbered.filter("alone"), lines, layout, options)
    frame = _cells(plain, lines, layout)
    records = plain
    if strict.records:
        frame = pl.concat([frame, strict.cells(layout.width)]).sort("row")
        records = pl.concat([plain, strict.frame()]).sort("row")
    others = records.filter(~pl.col("kind").is_in(["ok", "literal"]))
    frame, others, left_out = _leave_out(frame, others, layout, selection)
    reasons = _BLANK_AND_COMMENT | selection.reasons
    rejected = others.filter(~pl.col("kind").is_in(list(reasons)))
    if place.last and not place.terminated and options.short_rows != "pad":
        _refuse_cut_off(rejected, layout, place.line + measured.height - 1)
    skipped = Counter(kind for kind in left_out["kind"] if kind in reasons)
    trailers = tuple((row, declared_rows(text, options.trailer or "")) for row, text in _trailers(left_out))
    rejections = tuple(_rejection(row, layout) for row in rejected.iter_rows())
    continued = len(strict.continuation_lines())
    return Piece(frame, rejections, skipped, trailers, measured.height - continued, measured.height, strict.carry_position)


def _number(measured: pl.DataFrame, strict: StrictRecords, place: BlockPlace) -> pl.DataFrame:
    """Return the lines with their row and line; lines of records that were read strictly are no longer `alone`."""
    line = pl.col("position").cast(pl.Int64)
    if not strict.records:
        return measured.with_columns(line=line + place.line, row=line + place.row)
    inside = strict.continuation_lines()
    begins = pl.repeat(1, measured.height, eager=True, dtype=pl.Int64).scatter(inside, 0)
    alone = measured["alone"].scatter([*inside, *(r.position for r in strict.records)], False)
    return measured.with_columns(line=line + place.line, row=begins.cum_sum() + (place.row - 1), alone=alone)


def _cells(plain: pl.DataFrame, lines: BlockLines, layout: Layout) -> pl.DataFrame:
    """Return row, line and cells of the lines that are in order, in the order of the file."""
    frame = _cells_of(plain.filter(kind="ok"), lines, layout, layout.dialect)
    literal = plain.filter(kind="literal")
    if not literal.height:
        return frame
    unquoted = replace(layout.dialect, quote="")
    return pl.concat([frame, _cells_of(literal, lines, layout, unquoted)]).sort("row")


def _cells_of(good: pl.DataFrame, lines: BlockLines, layout: Layout, dialect: Dialect) -> pl.DataFrame:
    """Return row, line and cells of `good` lines: one record each with at most the header's number of fields."""
    schema = dict.fromkeys((f"c{i}" for i in range(layout.width)), pl.String)
    if not good.height:
        return pl.DataFrame(schema={"row": pl.Int64, "line": pl.Int64, **schema})
    missing = layout.width - good["width"]
    short = missing.max()
    data = lines.utf8
    if not lines.plain or short or good.height != len(lines.text):
        text = good["text"] + _delimiters(missing, dialect.delimiter) if short else good["text"]
        data = text.str.join("\n").item().encode()
    is_like_zlib = data.startswith(ZLIB)  # a line of ours goes before it, see `text_lines`
    if is_like_zlib:
        data = b"0" + dialect.delimiter.encode() * (layout.width - 1) + b"\n" + data
    cells = pl.read_csv(
        io.BytesIO(data),
        has_header=False,
        schema=schema,
        separator=dialect.delimiter,
        quote_char=dialect.quote or None,
        empty_string_is_null=False,
    ).slice(int(is_like_zlib))
    if cells.height != good.height:
        records = [split_record([text], dialect).fields for text in good["text"]]
        padded = [[*fields, *[""] * (layout.width - len(fields))] for fields in records]
        cells = pl.DataFrame(padded, schema=schema, orient="row")
    return pl.concat([good.select("row", "line"), cells], how="horizontal")


def _delimiters(missing: pl.Series, delimiter: str) -> pl.Series:
    counts = missing.unique().to_list()
    return missing.replace_strict(counts, [delimiter * n for n in counts], return_dtype=pl.String)


def _leave_out(
    frame: pl.DataFrame, others: pl.DataFrame, layout: Layout, selection: RowSelection
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return the frame without rows that are no records, the other lines with why each is one, and row, kind and text of both."""
    if not selection.selects:
        return frame, others, others
    ragged = others.filter(kind="width")
    split = ["\t".join(split_record([text], layout.dialect).fields) for text in ragged["text"]]
    seen = pl.concat([others.filter(pl.col("kind") != "width"), ragged.with_columns(text=pl.Series(split, dtype=pl.String))])
    frame, left_out = selection.apply(frame, joined(frame, layout.width), seen.select("row", "kind", "text"))
    others = others.drop("kind").join(left_out.select("row", "kind"), on="row", how="left", maintain_order="left")
    return frame, others, left_out


def _trailers(left_out: pl.DataFrame) -> list[tuple[int, str]]:
    return left_out.filter(kind="trailer").select("row", "text").rows()


def _refuse_cut_off(rejected: pl.DataFrame, layout: Layout, last_line: int) -> None:
    """Raise DeliveryError FILE-TRUNCATED when the file's last line has no line end and too few fields."""
    cut = rejected.filter(pl.col("line") == last_line, pl.col("width") < layout.width)
    for row, line, text, width, _ in cut.iter_rows():
        raise DeliveryError(
            f"row {row} (line {line}): the file ends in the middle of a row, after {width} of {layout.width} fields",
            "Send the whole file again.",
            code="FILE-TRUNCATED",
            row=row,
            line=line,
            value=escape_value(text),
        )


def _rejection(record: tuple[int, int, str, int, str], layout: Layout) -> Rejection:
    row, line, text, width, kind = record
    if kind == "width":
        message = f"the row has {width} fields, the header has {layout.width}"
        return rejection("ROW-WIDTH", row=row, line=line, value=text, message=message)
    if kind == "BOM":
        message = "the row begins with a byte-order mark: two files seem to be joined"
        return rejection("ROW-CONTROL", row=row, line=line, value=text, message=message, remedy="Send the files one by one.")
    return rejection(kind, row=row, line=line, value=text)
