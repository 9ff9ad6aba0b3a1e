"""Where the text of a field comes from: a header column, a constant, several columns, or their sum; and reading those cells.

Never interprets the text: that is the parsers' work.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from schemas.errors import ConfigError, DeliveryError
from schemas.feed_config import Column
from schemas.rejections import escape_value

#: What is trimmed around values other than keys.
BLANKS = " \t\u00a0\u202f\r\n"
_SHOWN_COLUMNS = 20


@dataclass(frozen=True, slots=True)
class FromColumn:
    """A column of the file: its 0-based position and its name as found."""

    position: int
    name: str


@dataclass(frozen=True, slots=True)
class FromConstant:
    """The same text for every row."""

    text: str
    name: str = "(constant)"


@dataclass(frozen=True, slots=True)
class FromExpression:
    """A sum of columns, each with its sign (1 or -1)."""

    terms: tuple[tuple[int, FromColumn], ...]
    name: str


@dataclass(frozen=True, slots=True)
class FromJoin:
    """The texts of several columns with a separator between them; blank where all of them are."""

    columns: tuple[FromColumn, ...]
    separator: str
    name: str


Origin = FromColumn | FromConstant | FromExpression | FromJoin


@dataclass(frozen=True, slots=True)
class PlannedField:
    """A field of the record, how the configuration declares it, and where its text is in this header."""

    name: str
    column: Column
    origin: Origin

    @property
    def label(self) -> str:
        """Return what people are shown as the column: the header's name, or the expression."""
        return self.origin.name


def find_column(declared: str, header: Sequence[str]) -> FromColumn | None:
    """Return the column that `declared` names: exact after trimming, else unique without case, else "#3" by position."""
    wanted = declared.strip()
    names = [name.strip() for name in header]
    if wanted in names:
        position = names.index(wanted)
        return FromColumn(position, names[position] or f"#{position + 1}")
    folded = [i for i, name in enumerate(names) if name.casefold() == wanted.casefold()]
    if len(folded) == 1:
        return FromColumn(folded[0], names[folded[0]])
    numbered = re.fullmatch(r"#([1-9][0-9]{0,4})", wanted)
    if numbered and int(numbered[1]) <= len(names):
        position = int(numbered[1]) - 1
        return FromColumn(position, names[position] or wanted)
    return None


def first_present(alternatives: Sequence[str], header: Sequence[str]) -> FromColumn | None:
    """Return the first of `alternatives` that is in the header, or None."""
    found = (find_column(name, header) for name in alternatives)
    return next((column for column in found if column), None)


def expression_terms(expression: str) -> tuple[tuple[int, str], ...]:
    """Return the signed column names of "[A] + [B] - [C]". Raises ConfigError for anything else."""
    if not re.fullmatch(r"\s*\[[^\[\]]+\](?:\s*[+-]\s*\[[^\[\]]+\])*\s*", expression):
        raise ConfigError(
            f"the expression {expression!r} is not a sum or difference of columns",
            'Write column names in brackets, for example "[On hand] - [Reserved]".',
        )
    parts = re.findall(r"([+-]?)\s*\[([^\[\]]+)\]", expression)
    return tuple((-1 if sign == "-" else 1, name.strip()) for sign, name in parts)


def missing_columns(missing: Sequence[tuple[str, Sequence[str]]], header: Sequence[str], header_row: int) -> DeliveryError:
    """Return the HEADER-MISSING error that names every (field, alternatives) of `missing`, the header found, and near misses."""
    wanted = "; ".join(f"{' or '.join(repr(n) for n in names)} for {field}" for field, names in missing)
    near = [f"{quoted(near)} for {name!r}" for _, names in missing for name in names for near in _near(name, header)]
    hint = f"Did you mean {', '.join(near)}? Correct [feed.columns], or ask for the declared header." if near else ""
    return DeliveryError(
        f"row {header_row}: the header has no column {wanted}; found {_listed([quoted(name) for name in header]) or 'nothing'}",
        hint or "Send the column, or correct [feed.columns].",
        code="HEADER-MISSING",
        row=header_row,
        column=missing[0][1][0] if missing[0][1] else missing[0][0],
    )


def missing_members(missing: Sequence[tuple[str, Sequence[str]]], members: Sequence[str]) -> DeliveryError:
    """Return the HEADER-MISSING error for a document; `members` are the paths that its first record has."""
    wanted = "; ".join(f"{' or '.join(repr(n) for n in names)} for {field}" for field, names in missing)
    near = [f"{quoted(near)} for {name!r}" for _, names in missing for name in names for near in _near(name, members)]
    meant = f"Did you mean {', '.join(near)}? " if near else ""
    return DeliveryError(
        f"no record has {wanted}; the first one has {_listed([escape_value(name) for name in members])}",
        f"{meant}Correct [feed.columns], or name in `optional` what may be absent.",
        code="HEADER-MISSING",
        column=missing[0][1][0] if missing[0][1] else missing[0][0],
    )


def quoted(name: str) -> str:
    """Return a name from a file as messages show it."""
    return f"'{escape_value(name)}'"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
    return ", ".join(names[:_SHOWN_COLUMNS]) + more


def _near(name: str, header: Sequence[str]) -> list[str]:
    folded = {other.strip().casefold(): other.strip() for other in header if other.strip()}
    return [folded[match] for match in difflib.get_close_matches(name.strip().casefold(), folded, n=1, cutoff=0.6)]


def column_texts(frame: pl.DataFrame, column: FromColumn) -> pl.Series:
    """Return the cells of one column as they are in the file; a cell a reader left null counts as blank."""
    texts = frame[f"c{column.position}"]
    return texts.fill_null("") if texts.null_count() else texts


def field_texts(frame: pl.DataFrame, field: PlannedField, trim: str = BLANKS) -> pl.Series:
    """Return the trimmed texts of `field`, its declared words applied. Expressions have no text: see `quantity`."""
    if isinstance(field.origin, FromColumn):
        texts = column_texts(frame, field.origin).str.strip_chars(trim)
    elif isinstance(field.origin, FromConstant):
        texts = pl.Series([field.origin.text.strip(trim)], dtype=pl.String).new_from_index(0, frame.height)
    elif isinstance(field.origin, FromJoin):
        texts = _joined(frame, field.origin, trim)
    else:
        raise ConfigError(f"{field.name}: an expression can only give a quantity", "Use `column` or `value` for this field.")
    return replace_words(_only(texts, field.column.only), field)


def _only(texts: pl.Series, pattern: str | None) -> pl.Series:
    """Return `texts`, blank where `pattern` is not found. Raises ConfigError for a pattern that cannot be searched for here."""
    if pattern is None:
        return texts
    try:
        return texts.set(~texts.str.contains(pattern), "")
    except pl.exceptions.ComputeError as error:
        raise ConfigError(
            f"`only`: the pattern {pattern!r} is not supported",
            "Look-around and back-references do not work here; write the pattern without them.",
            str(error),
        ) from error


def _joined(frame: pl.DataFrame, origin: FromJoin, trim: str) -> pl.Series:
    parts = [pl.lit(column_texts(frame, column).str.strip_chars(trim)) for column in origin.columns]
    text = pl.concat_str(parts, separator=origin.separator).str.strip_chars(trim)
    return pl.select(pl.when(pl.any_horizontal([part != "" for part in parts])).then(text).otherwise(pl.lit(""))).to_series()


def replace_words(texts: pl.Series, field: PlannedField) -> pl.Series:
    """Return `texts` with the column's own words replaced by what they stand for (exact text)."""
    words = field.column.words
    return texts.replace(list(words), list(words.values())) if words else texts


def fold(texts: pl.Series) -> pl.Series:
    """Return trimmed texts without case, so that words compare as people read them (Straße = STRASSE)."""
    return texts.str.strip_chars(BLANKS).str.to_lowercase().str.replace_many(["ß", "ς", "ſ"], ["ss", "σ", "s"])
