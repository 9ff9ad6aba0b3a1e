"""Row problems as data: stable codes, and the sentence and remedy shown to people.

Never raises: a rejected row does not stop the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MAX_SHOWN = 80  # characters of a supplier's value that are ever shown or stored


@dataclass(frozen=True, slots=True)
class Code:
    """A rejection code: what it says of a row (`sentence`) and what to do (`remedy`). Templates may use {value} and {column}."""

    sentence: str
    remedy: str


CODES: Mapping[str, Code] = {
    # the record as a whole
    "ROW-WIDTH": Code(
        "the row has a different number of fields than the header",
        "Quote fields that contain the delimiter, or remove the extra delimiter.",
    ),
    "ROW-QUOTE": Code("a quote inside the row is not closed or not doubled", 'Double every quote inside a quoted field ("").'),
    "ENC-BAD": Code(
        "the bytes cannot be read in the declared encoding", "Export the file in the declared encoding, or correct format.encoding."
    ),
    "ROW-CONTROL": Code("the row contains control characters", "Remove NUL and other control characters from the export."),
    "ROW-KEYS": Code("the record names the same member twice", "Name each member of a record once."),
    "ROW-TYPE": Code("the record is not an object", "Send each record as an object with named members."),
    # keys
    "SKU-BLANK": Code("the SKU is blank", "Fill in the SKU, or delete the row."),
    "SKU-DUPLICATE": Code(
        "the same SKU, location and condition occurs more than once with different values",
        "Send one row per SKU and location, or set `duplicates` for this feed.",
    ),
    "SKU-EXCEL": Code("the SKU looks changed by Excel", "Format the SKU column as Text before entering or importing the values."),
    "SKU-INVISIBLE": Code(
        "the SKU contains invisible or text-direction characters", "Remove zero-width and direction marks from the SKU."
    ),
    "SKU-LOOKALIKE": Code(
        "the SKU differs from another one only in letter case or character width", "Use one spelling for each SKU."
    ),
    "SKU-LONG": Code("the SKU is longer than 200 characters", "Check that the right column is mapped to supplier_sku."),
    # quantities
    "QTY-BLANK": Code("the quantity is blank", "Send 0 when there is no stock, or a number."),
    "QTY-NEGATIVE": Code("the quantity is negative", 'Send 0 or more, or set negative = "zero" for this feed.'),
    "QTY-WORD": Code(
        "the quantity is a word that is not declared", "Add the word to [feed.words] with the number it means, or send a number."
    ),
    "QTY-LOCALE": Code(
        "the quantity can be read with a decimal or a thousands mark",
        "Declare `decimal` and `thousands` for this feed, or send plain digits.",
    ),
    "QTY-FORMAT": Code(
        "the quantity is not a plain number",
        "Send digits only, for example 1204; or declare what a range such as 100-500 means in [feed.words].",
    ),
    "QTY-RANGE": Code(
        "the quantity is outside the allowed range", "Check the number; raise `max_quantity` for this feed if it is right."
    ),
    "QTY-CELL": Code(
        "the cell holds an error or a formula without a result",
        "Recalculate and save the workbook, or send values instead of formulas.",
    ),
    # other columns
    "GTIN-CHECK": Code(
        "the GTIN has a wrong check digit or length",
        "Correct the barcode; 8, 12, 13 or 14 digits with a GS1 check digit are expected.",
    ),
    "COST-FORMAT": Code(
        "the cost is not an amount of money", "Send a plain amount such as 12.50; declare `decimal`, `thousands` and `currency`."
    ),
    "COST-NEGATIVE": Code("the cost is negative", "Send 0 or more."),
    "COST-CURRENCY": Code(
        "the currency differs from the declared one", "Send amounts in the declared currency, or correct `currency`."
    ),
    "DATE-FORMAT": Code(
        "the date does not match any declared format", "Send dates in a declared format, or add the format to `formats`."
    ),
    "VALUE-UNKNOWN": Code("the value is not one of the declared ones", "Correct the value, or declare it for this column."),
    "VALUE-TYPE": Code(
        "the value is not a text or a plain number of the kind that this column holds",
        "Send one text or number; SKUs and barcodes as text. For a value deeper inside, correct the column's path.",
    ),
    "VALUE-SEVERAL": Code(
        "the path leads to several values", "Say which one it is, for example Price[PriceTypeCode='02']/PriceAmount."
    ),
    "EXPECT-FAILED": Code(
        "the row does not meet an expectation of this feed's contract", "Correct the value, or change the [[feed.expect]] entry."
    ),
    # EDI messages: what the envelope or a segment has wrong refuses the delivery
    "EDI-ENVELOPE": Code(
        "a control number, count or address of the EDI envelope is wrong",
        "Correct the interchange and send it again under a new control number.",
    ),
    "EDI-SEGMENT": Code(
        "a segment of the EDI message is missing, unknown or wrong",
        "Correct the message and send it again under a new control number.",
    ),
    "EDI-TYPE": Code("the EDI message is not a stock report", "Send an 846 or INVRPT to this feed."),
    "EDI-QTY-TWICE": Code(
        "one line item gives two different quantities of the same kind for one location",
        "Send one quantity of each kind, or say in format.quantities what each qualifier means.",
    ),
    # the delivery as a whole
    "FILE-EMPTY": Code("the file is empty", "Send the file again."),
    "FILE-UNREADABLE": Code("the file cannot be read in the declared format", "Check that the file is of the declared format."),
    "FILE-NOT-TABLE": Code("the content is not a table of the declared format", "Check what the address or folder delivers."),
    "FILE-ENCODING": Code(
        "the file is not in the declared encoding", "Correct format.encoding, or export the file in that encoding."
    ),
    "FILE-TRUNCATED": Code("the file ends in the middle of a record", "Send the whole file again."),
    "FILE-LIMIT": Code("the file exceeds a configured limit", "Split the file, or raise the limit for this feed."),
    "FILE-SHEET": Code("the declared sheet is not in the workbook", "Correct format.sheet, or send the sheet."),
    "FILE-CRASH": Code(
        "the reader crashed on this file", "Save the file again from its program; report the file if it happens again."
    ),
    "MAIL-LIMIT": Code(
        "the mail is too large, too deep or has too many parts", "Send the file as a plain attachment of a small mail."
    ),
    "MAIL-LINK": Code("the file that the mail links to cannot be fetched", "Send the file as an attachment, or correct the link."),
    "HEADER-MISSING": Code("a declared column is not in the header", "Send the column, or correct [feed.columns]."),
    "HEADER-DUPLICATE": Code("two columns have the same name", "Rename one of the columns."),
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """One problem of one row.

    `row` counts as a person does in a spreadsheet (header is row 1), `line` is the physical line (text formats only).
    `value` is escaped and at most 80 characters. `severity` is "row" (the row is kept aside) or "note" (the row is used,
    the problem is shown).
    """

    row: int | None
    line: int | None
    column: str | None
    value: str | None
    code: str
    message: str
    remedy: str
    severity: Literal["row", "note"] = "row"


def escape_value(value: str) -> str:
    """Return `value` safe to show on one line: control, format and bidi characters escaped, at most 80 characters."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value[: MAX_SHOWN * 2])
    return shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 1] + "…"


def rejection(
    code: str,
    *,
    row: int | None = None,
    line: int | None = None,
    column: str | None = None,
    value: str | None = None,
    message: str | None = None,
    remedy: str | None = None,
    severity: Literal["row", "note"] = "row",
) -> Rejection:
    """Return a Rejection with the catalogue's sentence and remedy unless given; the value is escaped here.

    A code that is not in the catalogue (a guard's or a source's, about the delivery as a whole) needs its own `message`.
    """
    entry = CODES[code] if message is None else CODES.get(code, Code(message, ""))
    shown = None if value is None else escape_value(value)
    return Rejection(row, line, column, shown, code, message or entry.sentence, remedy or entry.remedy, severity)
