"""What a supplier is asked to send instead, for each rejection code: the words of the workbook that is mailed to them.

Never speaks of our configuration: remedies for us are in `schemas.rejections`.
"""

from collections.abc import Mapping

REQUESTS: Mapping[str, str] = {
    "ROW-WIDTH": "One value for each column of the header. Put values that contain the separator in quotes.",
    "ROW-QUOTE": 'Close every quote, and double a quote inside a quoted value: "3/4"" bolt".',
    "ENC-BAD": "Export the file as UTF-8, or in the encoding that was agreed.",
    "ROW-CONTROL": "The row without control characters (such as NUL).",
    "ROW-KEYS": "Each name once in a record, with one value.",
    "ROW-TYPE": "Each record as an object with named values.",
    "SKU-BLANK": "The article number, or leave the row out.",
    "SKU-DUPLICATE": "One row for each article, location and condition.",
    "SKU-EXCEL": "The article number as you use it. Format the column as Text before values are entered or imported.",
    "SKU-INVISIBLE": "The article number without invisible characters; type it anew if it was copied.",
    "SKU-LOOKALIKE": "One spelling for each article number: two differ only in capitals or in the width of characters.",
    "SKU-LONG": "An article number of at most 200 characters.",
    "QTY-BLANK": "A number; 0 where there is no stock.",
    "QTY-NEGATIVE": "0 or more.",
    "QTY-WORD": "A number instead of a word; 0 where there is no stock.",
    "QTY-LOCALE": "Plain digits without a mark for thousands: 1250 for one thousand two hundred and fifty.",
    "QTY-FORMAT": "Digits only, for example 1204.",
    "QTY-RANGE": "The right number: this one is larger than any that was agreed.",
    "QTY-CELL": "A value instead of the error or the formula; calculate and save the workbook before it is sent.",
    "GTIN-CHECK": "The barcode number with its right check digit: 8, 12, 13 or 14 digits.",
    "COST-FORMAT": "A plain amount with a point, without a mark for thousands: 1204.50.",
    "COST-NEGATIVE": "0 or more.",
    "COST-CURRENCY": "The amount in the currency that was agreed.",
    "DATE-FORMAT": "A date in the agreed format, for example 2026-03-31.",
    "VALUE-UNKNOWN": "One of the values that were agreed for this column.",
    "VALUE-TYPE": "One text or plain number; article numbers and barcodes as text.",
    "VALUE-SEVERAL": "One value, or a mark that tells which of them is meant.",
    "EDI-ENVELOPE": "The interchange with right counts and control numbers, under a new control number.",
    "EDI-SEGMENT": "The message with all mandatory segments, each as the guide says, under a new control number.",
    "EDI-TYPE": "An inventory report: an 846 or an INVRPT.",
    "EDI-QTY-TWICE": "One quantity of each kind for each article and location.",
    "MAIL-LIMIT": "The file as a plain attachment of a small mail.",
    "MAIL-LINK": "The file as an attachment, or a link that works without a login.",
    "EXPECT-FAILED": "A value that meets what was agreed for this column.",
}
