"""What a feed's `[format]` table may say for each reader.

Never imports a reader or a frame library: configuration is checked without loading them.
"""

import codecs
import re
from dataclasses import replace
from typing import Annotated, Literal, Self

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
#: Why rows are left out, in a feed's own words; what readers themselves say of rows is not one of them.
Reason = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{2,39}$")]
_READERS_REASONS = frozenset({"blank", "blank_in", "comment", "end", "footer", "group", "literal", "preamble", "trailer", "width"})


_OF_TABLES = ("header", "header_row", "header_rows", "first_row", "end", "group_rows", "group_column", "footer", "skip_blank_in")

ArchiveKind = Literal["gz", "bz2", "xz", "zst", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"]
_WITH_MEMBERS = ("auto", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst")


class ReaderOptions(BaseModel):
    """What every table reader understands. `expected_columns` and `identifier_columns` are filled in by the application, and so
    are `decimal_commas`: columns that are read with a decimal comma, so that numbers which are no texts are to be written with one.

    `header_rows` are the rows that the header takes, from `header_row` on: a column's name is its cells from top to bottom.
    `first_row` is the row of the first record, where it is not the one below the header.
    Patterns are searched in a row's cells joined by tabs. Rows that match `footer` or one of `skip_rows` (reason → pattern) are
    skipped with that reason, those that are blank in every column of `skip_blank_in` with "blank_in". The table ends before the
    first row that matches `end`. Rows that match `group_rows` are titles of the rows below them: skipped, and with
    `group_column` their text is the value of an added column of that name.
    `archive` says what the table arrives in ("auto": whatever the first bytes show, with a note); `member` are shell-style
    patterns for the one member that holds it (with a "/" matched against the whole name, else against its last part).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    header: bool = True
    header_row: Annotated[int, Field(ge=1)] | Literal["auto"] = 1
    header_rows: int = Field(1, ge=1, le=5)
    first_row: int | None = Field(None, ge=1)
    skip_blank: bool = True
    skip_rows: dict[Reason, Pattern] = Field(default_factory=dict)
    skip_blank_in: tuple[str, ...] = ()
    end: Pattern | None = None
    group_rows: Pattern | None = None
    group_column: str | None = Field(None, min_length=1)
    footer: tuple[Pattern, ...] = ()
    archive: Literal["none", "auto"] | ArchiveKind = "none"
    member: tuple[str, ...] = ()
    batch_rows: int = Field(60_000, ge=1)
    limits: Limits = Limits()
    expected_columns: tuple[str, ...] = ()
    identifier_columns: tuple[str, ...] = ()
    decimal_commas: tuple[str, ...] = ()

    def of_tables(self, *more: str) -> list[str]:
        """Return the keys that are given and are about a table's header, or rows around its records; `more` are further ones."""
        given = self.model_dump(include={*_OF_TABLES, *more}, exclude_defaults=True)
        return [name for name in (*_OF_TABLES, *more) if name in given]

    @field_validator("footer", "member", "skip_blank_in", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("skip_rows")
    @classmethod
    def _reasons_of_its_own(cls, value: dict[str, str]) -> dict[str, str]:
        taken = sorted(_READERS_REASONS & set(value))
        if taken:
            msg = f'skip_rows: "{taken[0]}" is a reason of the reader itself; name another, such as "section"'
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _rows_agree(self) -> Self:
        if self.group_column is not None and self.group_rows is None:
            msg = "`group_column` needs `group_rows`, the pattern of the rows whose text it holds"
            raise ValueError(msg)
        if not self.header and (self.header_rows != 1 or self.header_row != 1):
            msg = "without a header (`header = false`) there is no header row: use `first_row`"
            raise ValueError(msg)
        declared = self.header_row if self.header and isinstance(self.header_row, int) else 0
        if self.first_row is not None and declared and self.first_row < declared + self.header_rows:
            msg = "`first_row` is the row of the first record: it must be below the header"
            raise ValueError(msg)
        return self

    def inside(self) -> Self:
        """Return the options for what an archive holds: it keeps the limit of unpacked files instead of the file's."""
        limits = replace(self.limits, file_bytes=self.limits.unpacked_bytes)
        return self.model_copy(update={"limits": limits, "archive": "none", "member": ()})

    @model_validator(mode="after")
    def _members_need_an_archive(self) -> Self:
        if self.member and self.archive not in _WITH_MEMBERS:
            msg = f'`member` needs an `archive` that has members: {", ".join(_WITH_MEMBERS)} (it is "{self.archive}")'
            raise ValueError(msg)
        return self


class DelimitedOptions(ReaderOptions):
    """Options of `type = "delimited"`.

    `quote = ""` turns quoting off. `trailer` is a pattern with a group named `rows`: the row count a trailer row declares.
    `short_rows = "pad"` accepts rows with fewer trailing fields, `long_rows = "cut_blank"` rows with more, as long as those are
    blank. `block_bytes` is how much is read at a time.
    """

    encoding: str = "auto"
    delimiter: str = "auto"
    quote: str = '"'
    comment: str | None = Field(None, min_length=1)
    trailer: Pattern | None = None
    short_rows: Literal["reject", "pad"] = "reject"
    long_rows: Literal["reject", "cut_blank"] = "reject"
    block_bytes: int = Field(4_194_304, ge=16)

    @field_validator("encoding")
    @classmethod
    def _readable_line_by_line(cls, value: str) -> str:
        if value == "auto":
            return value
        name, ascii_stays = value.lower(), False
        try:
            name = codecs.lookup(value).name
            ascii_stays = bytes(range(128)).decode(name) == "".join(map(chr, range(128)))
        except (LookupError, UnicodeError):
            pass  # no encoding of texts, or one of four bytes a character
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
    batch_rows: int = Field(20_000, ge=1)  # the child process reads the next ones while these are loaded

    @model_validator(mode="after")
    def _one_way_to_the_sheet(self) -> "SpreadsheetOptions":
        if self.sheet is not None and self.sheet_pattern is not None:
            msg = "give at most one of `sheet`, `sheet_pattern`"
            raise ValueError(msg)
        return self
