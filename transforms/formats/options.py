"""What a feed's `[format]` table may say for each reader.

Never imports a reader or a frame library: configuration is checked without loading them.
"""

import codecs
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from transforms.formats.limits import Limits

_WIDE_ENCODINGS = frozenset({"utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"})


def _regular_expression(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        msg = f"not a regular expression: {error}"
        raise ValueError(msg) from error
    return value


Pattern = Annotated[str, AfterValidator(_regular_expression)]


class ReaderOptions(BaseModel):
    """What every table reader understands. `expected_columns` and `identifier_columns` are filled in by the application.

    `footer` patterns are searched in a row's cells joined by tabs; matching rows are skipped with the reason "footer".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    header: bool = True
    header_row: Annotated[int, Field(ge=1)] | Literal["auto"] = 1
    skip_blank: bool = True
    footer: tuple[Pattern, ...] = ()
    batch_rows: int = Field(50_000, ge=1)
    limits: Limits = Limits()
    expected_columns: tuple[str, ...] = ()
    identifier_columns: tuple[str, ...] = ()

    @field_validator("footer", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class DelimitedOptions(ReaderOptions):
    """Options of `type = "delimited"`.

    `quote = ""` turns quoting off. `trailer` is a pattern with a group named `rows`: the row count a trailer row declares.
    `short_rows = "pad"` accepts rows with fewer trailing fields. `block_bytes` is how much is read at a time.
    """

    encoding: str = "auto"
    delimiter: str = "auto"
    quote: str = '"'
    comment: str | None = Field(None, min_length=1)
    trailer: Pattern | None = None
    short_rows: Literal["reject", "pad"] = "reject"
    block_bytes: int = Field(4_194_304, ge=16)

    @field_validator("encoding")
    @classmethod
    def _readable_line_by_line(cls, value: str) -> str:
        if value == "auto":
            return value
        try:
            name = codecs.lookup(value).name
            ascii_stays = bytes(range(128)).decode(name) == "".join(map(chr, range(128)))
        except (LookupError, UnicodeError):
            name, ascii_stays = value.lower(), False
        if name == "utf-8-sig":
            return "utf-8"
        if name in _WIDE_ENCODINGS or (ascii_stays and not name.startswith(("utf-7", "hz", "iso2022"))):
            return name
        msg = f'encoding {value!r} is not known or not supported; use "auto", "utf-8", "cp1252", "utf-16" …'
        raise ValueError(msg)

    @field_validator("delimiter")
    @classmethod
    def _one_ascii_character(cls, value: str) -> str:
        if value != "auto" and not (len(value) == 1 and value.isascii() and value not in "\r\n\0\x01"):
            msg = f'a delimiter is one ASCII character or "auto" (got {value!r}); a tab is "\\t"'
            raise ValueError(msg)
        return value

    @field_validator("quote")
    @classmethod
    def _one_character_or_none(cls, value: str) -> str:
        if value and not (len(value) == 1 and value.isascii() and value.isprintable() and not value.isalnum()):
            msg = f'a quote is one ASCII punctuation character, or "" for none (got {value!r})'
            raise ValueError(msg)
        return value

    @field_validator("trailer")
    @classmethod
    def _names_its_rows(cls, value: str | None) -> str | None:
        if value is not None and "rows" not in re.compile(value).groupindex:
            msg = r'a trailer pattern needs a group named rows, for example "^TRAILER\t(?P<rows>\d+)"'
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _quote_is_not_the_delimiter(self) -> "DelimitedOptions":
        if self.quote and self.quote == self.delimiter:
            msg = "quote and delimiter are the same character"
            raise ValueError(msg)
        return self


class SpreadsheetOptions(ReaderOptions):
    """Options of `type = "spreadsheet"`: the sheet by name or by pattern, else the only visible one.

    `engine = "calamine"` reads .xlsx faster, but sees neither error cells nor number formats; xls, xlsb and ods always use it.
    """

    sheet: str | None = None
    sheet_pattern: Pattern | None = None
    engine: Literal["openpyxl", "calamine"] = "openpyxl"

    @model_validator(mode="after")
    def _one_way_to_the_sheet(self) -> "SpreadsheetOptions":
        if self.sheet is not None and self.sheet_pattern is not None:
            msg = "give at most one of `sheet`, `sheet_pattern`"
            raise ValueError(msg)
        return self
