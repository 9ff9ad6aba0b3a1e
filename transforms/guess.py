"""A first configuration for a stranger's file: each key with a value, its evidence and how sure it is.

Never read by a feed: a person reads it, decides what it leaves open, and saves it. Nothing here knows what only the supplier
knows: those keys are marked "decide", with the value that offers least until then.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from transforms.columns import fold
from transforms.guess_cells import Cells, Marks, cells
from transforms.guess_columns import ColumnGuess, ColumnsGuess, guess_columns
from transforms.guess_header import HeaderGuess, Rows, guess_header
from transforms.guess_names import folded, meaning, total_words

Confidence = Literal["sure", "likely", "unsure", "decide"]
#: None: the key is left out, and its line stands there as a comment.
Value = str | int | bool | tuple[str, ...] | dict[str, str | int] | None
NOTHING = "?"  # stands for a column that was not found: no file has it, so `feeds try` names it as missing
_QUANTITIES = ("on_hand", "available", "on_order")
_NONE = frozenset({"out of stock", "sold out", "none", "no", "nein", "non", "false", "ausverkauft", "nicht verfugbar", "epuise",
                   "rupture", "agotado", "esaurito", "uitverkocht", "brak", "нет", "нет в наличии", "無", "缺货"})  # fmt: skip
_APART = ("location", "condition", "unit")
_FEW_ROWS = 8
_END_ROWS = 3
_LONGEST_WORD = 60
_ENOUGH = 0.9


@dataclass(frozen=True, slots=True)
class Guess:
    """One key of the supplier file ("feed.columns.on_hand"), its value, why, and how sure that is."""

    key: str
    value: Value
    evidence: str
    confidence: Confidence


def guess_config(code: str, form: Sequence[Guess], rows: Rows, *, workbook: bool, whole: bool) -> list[Guess]:
    """Return the guesses for a supplier `code`, in the order of a supplier file.

    `form` are the guesses of how the file is read (type, encoding, delimiter, sheet), `rows` its sampled rows with their numbers,
    `whole` whether these are all of them.
    """
    header = guess_header(rows)
    width = len(header.names)
    records = [row for row in header.below if any(cell.strip() for cell in row)]
    table = [cells([row[at] if at < len(row) else "" for row in records]) for at in range(width)]
    found = guess_columns(header.names, table)
    numeric = _numeric(found)
    return [
        Guess("supplier.code", code, "from the file's name; it is also the name of the file to save this as", "decide"),
        Guess("supplier.name", code, "the supplier's name for people", "decide"),
        Guess("feed.code", "stock", f"this feed's full name is {code}.stock", "likely"),
        *_undecidable(),
        *_number_marks({at: table[at] for at in numeric}, workbook=workbook),
        *_source(),
        *form,
        *_header_keys(header, table),
        *_row_keys(header, records, workbook=workbook, whole=whole),
        *_column_keys(header, table, found),
        *_wide_keys(header, found),
        *_word_keys([table[at] for at in _quantity_columns(found)]),
    ]


def _undecidable() -> list[Guess]:
    why = {
        "timezone": ("UTC", "the supplier's time zone; dates and times in the file are read in it"),
        "quantities": (
            "gross",
            '"net" if our open orders are already taken off their numbers, "gross" if not (offers less)',
        ),
        "stale_after": ("24h", "how old a number may be before it counts as 0; longer than between two deliveries"),
    }
    return [Guess(f"feed.{key}", value, evidence, "decide") for key, (value, evidence) in why.items()]


def _source() -> list[Guess]:
    told = 'where the file comes from: sftp, ftp, web_file or folder, see "stockfeed feeds template"'
    return [Guess("feed.source.type", "folder", told, "decide"), Guess("feed.source.path", "incoming", "the folder", "decide")]


def _header_keys(header: HeaderGuess, table: Sequence[Cells]) -> list[Guess]:
    sure: Confidence = "sure" if header.sure else "unsure"
    if header.row is None:
        told = f"{header.evidence}: {len(table)} columns by position; ask the supplier what they are"
        return [Guess("feed.format.header", value=False, evidence=told, confidence="unsure")]
    keys = [Guess("feed.format.header_row", header.row, header.evidence, sure)]
    named = [name for name in header.names if name]
    doubled = sorted({name for name in named if named.count(name) > 1})
    if doubled:
        told = f"column names occur twice ({', '.join(map(repr, doubled[:3]))}): such a file is refused until one is renamed"
        keys[0] = Guess("feed.format.header_row", header.row, f"{header.evidence}; {told}", "unsure")
    return keys


def _row_keys(header: HeaderGuess, records: Sequence[Sequence[str]], *, workbook: bool, whole: bool) -> list[Guess]:
    """Return the keys for rows of other widths, and for a totals row at the end."""
    keys = []
    width = len(header.names)
    if not workbook and records:
        longer = [row for row in records if len(row) > width]
        shorter = sum(len(row) < width for row in records)
        if len(longer) >= _ENOUGH * len(records) and not any(cell.strip() for row in longer for cell in row[width:]):
            told = f"{len(longer)} of {len(records)} sampled rows have blank cells right of the header"
            keys.append(Guess("feed.format.long_rows", "cut_blank", told, "likely"))
        if shorter >= _ENOUGH * len(records):
            told = f"{shorter} of {len(records)} sampled rows have fewer cells than the header: are blank last ones left out?"
            keys.append(Guess("feed.format.short_rows", "pad", told, "unsure"))
    ends = [next((cell for cell in row if cell.strip()), "") for row in records[-_END_ROWS:]] if whole else []
    totals = [cell for cell in ends if cell and _is_total(cell)]
    elsewhere = [row for row in records[:-_END_ROWS] if _is_total("\t".join(row))]
    if totals and not elsewhere:  # otherwise products are called so, and a footer would leave them out
        told = f"a row at the end begins with {totals[0][:40]!r}: a total is no product, but is any product called so?"
        keys.append(Guess("feed.format.footer", (total_words(),), told, "unsure"))
    return keys


def _is_total(cell: str) -> bool:
    return re.search(total_words(), cell) is not None


def _column_keys(header: HeaderGuess, table: Sequence[Cells], found: ColumnsGuess) -> list[Guess]:
    keys = [_column_key(field, one, header, table[one.position]) for field, one in found.fields.items()]
    if "supplier_sku" not in found.fields:
        told = "no column looks like an article number; write its name here"
        keys.insert(0, Guess("feed.columns.supplier_sku", NOTHING, told, "decide"))
    if not found.wide and not {"on_hand", "available"} & set(found.fields):
        told = "no column looks like a stock quantity; is this a stock file? If it is, write the column's name here"
        keys.append(Guess("feed.columns.on_hand", NOTHING, told, "decide"))
    return [_doubted(key, repeated) for key in keys] if (repeated := _repeated(table, found)) else keys


def _repeated(table: Sequence[Cells], found: ColumnsGuess) -> str:
    """Return what speaks against a row for each level (most articles stand there several times), or ""."""
    if "supplier_sku" not in found.fields:
        return ""
    apart = [table[found.fields[name].position].texts for name in ("supplier_sku", *_APART) if name in found.fields]
    rows = [key for key in zip(*apart, strict=True) if key[0].strip()]
    if len(rows) < _FEW_ROWS or len(set(rows)) >= _ENOUGH * len(rows):
        return ""
    return (
        f"{len(rows)} sampled rows hold {len(set(rows))} different ones: is each row a movement, an order or a lot, "
        "not a level of stock? Or does a column tell them apart (a warehouse, a condition)?"
    )


def _doubted(guess: Guess, why: str) -> Guess:
    if guess.key.removeprefix("feed.columns.") not in {"supplier_sku", *_QUANTITIES} or guess.value == NOTHING:
        return guess
    return Guess(guess.key, guess.value, f"{guess.evidence}; {why}", "unsure")


def _column_key(field: str, one: ColumnGuess, header: HeaderGuess, column: Cells) -> Guess:
    name, key = header.names[one.position], f"feed.columns.{field}"
    confidence: Confidence = "likely" if one.sure else "unsure"
    if field in {"unit_cost", "price"}:
        return Guess(key, {"column": name, "kind": name}, f"{one.evidence}; net or gross, cost or retail?", "unsure")
    if field != "next_available_on":
        return Guess(key, name, one.evidence, confidence)
    formats, share = column.date_formats()
    if not formats:
        return Guess(key, name, f"{one.evidence}; no sampled cell shows its format", "unsure")
    several = f"; these read as many: {', '.join(formats)}" if len(formats) > 1 else ""
    told = f"{one.evidence}; {formats[0]} reads {share:.0%}{several}"
    return Guess(key, {"column": name, "formats": formats[0]}, told, "unsure" if several else confidence)


def _wide_keys(header: HeaderGuess, found: ColumnsGuess) -> list[Guess]:
    if not found.wide:
        return []
    names = {location or header.names[at]: header.names[at] for location, at in found.wide.items()}
    free = max(meaning(name, "available")[0] for name in names.values()) > max(meaning(n, "on_hand")[0] for n in names.values())
    return [
        Guess("feed.wide.quantity", "available" if free else "on_hand", "on hand, or what can be sold of it?", "unsure"),
        Guess("feed.wide.columns", dict(names), f"{found.wide_evidence}; are these places with stock?", "unsure"),
    ]


def _quantity_columns(found: ColumnsGuess) -> list[int]:
    return [*found.wide.values(), *(found.fields[name].position for name in _QUANTITIES if name in found.fields)]


def _numeric(found: ColumnsGuess) -> list[int]:
    return [*_quantity_columns(found), *(found.fields[name].position for name in ("unit_cost", "price") if name in found.fields)]


def _number_marks(columns: Mapping[int, Cells], *, workbook: bool) -> list[Guess]:
    """Return the feed's number marks; those of the first column that shows any, because they hold for the whole file."""
    seen = [one.marks() for one in columns.values()]
    marks = next((one for one in seen if one.decimal), next((one for one in seen if one.thousands), Marks()))
    ambiguous = next((text for one in seen for text in one.ambiguous), "")
    decimals = {one.decimal for one in seen if one.decimal}
    asked = f"{ambiguous!r} has two readings: is it over a thousand?"
    point = marks.decimal or ""
    if point not in {",", "."}:
        if workbook and not ambiguous:
            return [Guess("feed.decimal", ".", "number cells of a workbook are read with a point", "likely")]
        told = asked if ambiguous else "no sampled number has a decimal mark"
        other = "," if marks.thousands == "." else "."
        keys = [Guess("feed.decimal", other, told, "unsure")] if marks.thousands else []
        return [*keys, *_thousands(marks)] if keys else ([Guess("feed.decimal", None, told, "unsure")] if ambiguous else [])
    mixed = len(decimals) > 1
    told = f"for example {marks.shown_by!r}" + ("; other columns show another mark: declare it there" if mixed else "")
    trap = next((text for one in seen if one.decimal != point and (text := one.trapped_by(point))), "")
    if trap:  # of another column: the mark would make 1.25 of its 1.250
        told = (
            f"a column shows {marks.decimal!r} ({told}), but in another one {trap!r} has two readings: declare it for each column"
        )
        return [Guess("feed.decimal", None, told, "unsure")]
    settled = next((text for one in seen if (text := one.trapped_by(point))), "")
    told += f"; so {settled!r} is no thousands" if settled else ""
    return [Guess("feed.decimal", point, told, "unsure" if mixed or settled else "sure"), *_thousands(marks)]


def _thousands(marks: Marks) -> list[Guess]:
    return [Guess("feed.thousands", marks.thousands, f"for example {marks.shown_by!r}", "likely")] if marks.thousands else []


def _can_be_declared(word: str) -> bool:
    """Return whether [feed.words] takes `word`: a pattern has one number, and something beside digits around it."""
    pattern = "{n}" in word and not re.search(r"[^0-9\s]", word.replace("{n}", ""))
    return word.count("{") <= 1 and len(word) <= _LONGEST_WORD and not pattern


def folded_word(word: str) -> str:
    """Return `word` as [feed.words] compares it."""
    return str(fold(pl.Series([word], dtype=pl.String))[0])


def _word_keys(columns: Sequence[Cells]) -> list[Guess]:
    """Return a meaning for each word seen among the quantities: "unknown" unless it says that there is none, or has a number."""
    words: dict[str, str | int] = {}
    seen = {folded_word(word): word for column in columns for word in column.words()}
    for word in filter(_can_be_declared, seen.values()):
        if "{n}" in word:
            words[word] = "{n}" if word.replace("{n}", "").strip() in {"+", ">", ">=", "≥"} else "unknown"
        else:
            words[word] = 0 if folded(word) in _NONE else "unknown"
    if not words:
        return []
    told = 'words seen among the quantities: write the number that each one means; "unknown" offers nothing new'
    return [Guess("feed.words", words, told, "decide")]
