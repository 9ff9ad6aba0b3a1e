"""What each line of a block is, vectorised: a record by itself or not, how many fields, and what is to be done with it.

A line is a record by itself when it has no quote, its quotes enclose whole fields, or no field of it begins with a quote
("literal": 3/4" bolt): if every line before it ended outside quotes, this proves it. Field counts are our own, never a
parser's. Never splits a line into cells.
"""

from dataclasses import replace

import polars as pl

from transforms.formats.block_lines import BlockLines
from transforms.formats.csv_records import Dialect
from transforms.formats.layout import Layout
from transforms.formats.limits import exceeded
from transforms.formats.options import DelimitedOptions

#: `text` without its line end, `width` in fields, `kind` = "ok", "literal" (ok too, its quotes are text), a skip reason, a
#: rejection code, "BOM" or "width".
RECORD_LINES = {"row": pl.Int64, "line": pl.Int64, "text": pl.String, "width": pl.Int64, "kind": pl.String}
BOM = "\ufeff"
_CONTROL_BYTES = bytes(c for c in (*range(32), 127) if c not in b"\t\n\r")
_MOST_COUNTED = 100  # fields: the pattern that counts them grows with their number
_CONTROL = r"[\x00-\x08\x0B-\x1F\x7F]"  # a tab is a blank; the line ends are gone


def measure(lines: BlockLines, layout: Layout, options: DelimitedOptions, first_line: int) -> tuple[pl.DataFrame, BlockLines]:
    """Return text, width (Int64), alone (a record by itself) and literal of each line, and the lines those texts are of.

    Blank fields beyond the header are cut off where the feed says so. Raises DeliveryError FILE-LIMIT.
    """
    text, dialect, limits = lines.text, layout.dialect, options.limits
    lengths = text.str.len_bytes()
    longest = int(lengths.max() or 0)  # type: ignore[arg-type]  # of an integer column
    if longest > limits.line_bytes:
        line = first_line + (lengths.arg_max() or 0)
        raise exceeded(f"line {line}: {longest} bytes", limits.line_bytes, "line_bytes", line=line)
    width = _fields(text, dialect)
    alone = lengths <= limits.field_bytes  # in a longer line each field must be measured
    literal = pl.repeat(False, len(text), eager=True, dtype=pl.Boolean)
    if dialect.quote and dialect.quote.encode() in lines.utf8:
        quoted = text.str.contains(dialect.quote, literal=True).arg_true()
        usual = _are_usual(text.gather(quoted), dialect, layout.width)
        width = width.scatter(quoted.filter(usual), layout.width)
        rest = quoted.filter(~usual)
        if rest.len():
            alone, literal, width = _with_quotes(text.gather(rest), rest, dialect, (alone, literal, width))
    if options.comment is not None:
        alone = alone | text.str.starts_with(options.comment)
    measured = pl.DataFrame({"text": text, "width": width, "alone": alone, "literal": literal}).with_row_index("position")
    if options.long_rows == "cut_blank" and (width > layout.width).any():
        measured = _without_blank_surplus(measured, layout)
        lines = replace(lines, text=measured["text"], plain=False)
    return measured, lines


def _are_usual(inside: pl.Series, dialect: Dialect, fields: int) -> pl.Series:
    """Return True for lines that one look proves to be a record of so many fields, as nearly all lines with a quote are."""
    if fields > _MOST_COUNTED:
        return pl.repeat(False, len(inside), eager=True, dtype=pl.Boolean)
    return inside.str.contains(_self_contained(dialect, fields)) & ~_only_blanks(inside, dialect)


def _with_quotes(
    inside: pl.Series, at: pl.Series, dialect: Dialect, told: tuple[pl.Series, pl.Series, pl.Series]
) -> tuple[pl.Series, pl.Series, pl.Series]:
    """Return alone, literal and width of all lines, with those at `at` told by the quotes `inside` them."""
    alone, literal, width = told
    whole = inside.str.contains(_self_contained(dialect)) & ~_only_blanks(inside, dialect)
    text_only = ~inside.str.contains(_field_begins_quoted(dialect))
    outside = inside.zip_with(text_only, inside.str.replace_all(_quoted_part(dialect), ""))
    return (
        alone.scatter(at, (whole | text_only) & alone.gather(at)),
        literal.scatter(at, text_only),
        width.scatter(at, _fields(outside, dialect)),
    )


def _without_blank_surplus(measured: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Return `measured` with the lines that end in as many delimiters as they have fields too many cut down to the header."""
    surplus, length = pl.col("width") - layout.width, pl.col("text").str.len_chars().cast(pl.Int64)
    ending = length - pl.col("text").str.strip_chars_end(layout.dialect.delimiter).str.len_chars()
    cut = pl.col("alone") & (surplus > 0) & (ending >= surplus)
    kept = pl.col("text").str.head(length - surplus)
    return measured.with_columns(
        text=pl.when(cut).then(kept).otherwise("text"),
        width=pl.when(cut).then(layout.width).otherwise("width"),
        alone=pl.col("alone") & (cut | (surplus <= 0)),  # whether quoted fields are blank the strict path decides
    )


def classify(records: pl.DataFrame, lines: BlockLines, layout: Layout, options: DelimitedOptions) -> pl.DataFrame:
    """Return `records` (lines that are records by themselves) as RECORD_LINES: for each the first kind that applies."""
    text = pl.col("text")
    kinds: list[tuple[str, pl.Expr]] = []
    if options.comment is not None:
        kinds.append(("comment", text.str.starts_with(options.comment)))
    if options.skip_blank:
        kinds.append(("blank", text.str.strip_chars(layout.dialect.delimiter + " \t") == ""))
    if lines.undecodable:
        kinds.append(("ENC-BAD", pl.col("position").is_in(list(lines.undecodable))))
    if len(lines.utf8.translate(None, _CONTROL_BYTES)) != len(lines.utf8):
        kinds.append(("ROW-CONTROL", text.str.contains(_CONTROL)))
    if BOM.encode() in lines.utf8:
        kinds.append(("BOM", text.str.starts_with(BOM)))
    longer = pl.col("width") > layout.width
    kinds.append(("width", longer if options.short_rows == "pad" else pl.col("width") != layout.width))
    kind = pl.when("literal").then(pl.lit("literal")).otherwise(pl.lit("ok"))
    for name, condition in reversed(kinds):
        kind = pl.when(condition).then(pl.lit(name)).otherwise(kind)
    return records.with_columns(kind=kind).select(*RECORD_LINES)


def _fields(text: pl.Series, dialect: Dialect) -> pl.Series:
    return text.str.count_matches(dialect.delimiter, literal=True).cast(pl.Int64) + 1


def _only_blanks(texts: pl.Series, dialect: Dialect) -> pl.Series:
    """Return True for lines of nothing but quotes, delimiters and blanks: whether they are blank rows the strict path decides."""
    return texts.str.strip_chars(dialect.delimiter + dialect.quote + " \t") == ""


def _quoted_part(dialect: Dialect) -> str:
    q = _class_safe(dialect.quote)
    return f"{q}[^{q}]*{q}"


def _field_begins_quoted(dialect: Dialect) -> str:
    return f"(?:^|{_class_safe(dialect.delimiter)}){_class_safe(dialect.quote)}"


def _self_contained(dialect: Dialect, fields: int | None = None) -> str:
    """Return the pattern of a line whose every field (of so many) is quoted as a whole (inner quotes doubled) or has no quote."""
    q, d = _class_safe(dialect.quote), _class_safe(dialect.delimiter)
    one = f"(?:{q}[^{q}]*(?:{q}{q}[^{q}]*)*{q}|[^{q}{d}]*)"
    return f"^{one}(?:{d}{one}){'*' if fields is None else f'{{{fields - 1}}}'}$"


def _class_safe(character: str) -> str:
    """Return `character` escaped so that it means itself inside and outside a character class, in any regex dialect."""
    return f"\\x{ord(character):02x}"
