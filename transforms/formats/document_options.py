"""What a feed's `[format]` table may say for documents (JSON, XML) and for lines of fixed width.

Never imports a reader or a parser: configuration is checked without loading them. Which column is what is said in
[feed.columns], by the path from a record to its value.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from transforms.formats.json_paths import row_path as json_row_path
from transforms.formats.options import DelimitedOptions, ReaderOptions
from transforms.formats.xml_paths import row_path as xml_row_path


def alternatives(column: str) -> list[str]:
    """Return the paths of a column, of which the first that a record has a value at counts: "sale_price | price"."""
    return [path.strip() for path in column.split(" | ")]


class DocumentOptions(ReaderOptions):
    """What documents of records share: no header, no rows above or below the table; `skip_rows` works as for tables.

    A path of [feed.columns] that no record has is a missing column, unless it is one of `optional`: then it is a blank one.
    """

    optional: tuple[str, ...] = ()
    batch_rows: int = Field(20_000, ge=1)  # the child process reads the next ones while these are loaded

    @model_validator(mode="after")
    def _no_table(self) -> Self:
        if given := self.of_tables():
            msg = f"`{given[0]}` is for tables: a document has no header, its columns are the paths in [feed.columns]"
            raise ValueError(msg)
        return self


class JsonOptions(DocumentOptions):
    """Options of `type = "json_doc"`.

    `rows` is the JSONPath of the records ("$.data.items[*]"); with `lines` each line (or document) is a record, or holds them
    at `rows`. `must_be` are members of the document that must be there with this value, as an interface says that all went
    well. A member named as one of `error_members` that is neither null, false, 0 nor empty refuses the file.
    """

    rows: str = "$[*]"
    lines: bool = False
    must_be: dict[str, str] = Field(default_factory=dict)
    error_members: tuple[str, ...] = ("error", "errors")

    @model_validator(mode="after")
    def _is_a_row_path(self) -> Self:
        path = json_row_path(self.rows, lines=self.lines)
        if self.must_be and not (path.to_list or path.inside):
            msg = "`must_be` is about the document that holds the records: `rows` must lead to them through its members"
            raise ValueError(msg)
        return self


class XmlOptions(DocumentOptions):
    """Options of `type = "xml_doc"`.

    `rows` is the path of the records, from the root ("/stock/item") or wherever they are ("//item"), names without prefixes.
    `doctype = "ignore"` accepts the mention of a DTD (it is never fetched), not one inside the document. An element named as
    one of `refuse` refuses the file with its text; a SOAP fault always does.
    """

    rows: str
    doctype: Literal["refuse", "ignore"] = "refuse"
    refuse: tuple[str, ...] = ()

    @field_validator("rows")
    @classmethod
    def _is_a_row_path(cls, value: str) -> str:
        xml_row_path(value)
        return value


class FixedWidthOptions(DelimitedOptions):
    """Options of `type = "fixed_width"`: which characters of a line are which column, counted from 1, the last one included.

    `length` is how long each line must be; without it, lines may end anywhere after the beginning of the last column.
    """

    header: bool = False
    delimiter: str = "\x1f"  # stands in no line that is text: lines are cut by position
    quote: str = ""
    fields: dict[str, tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]] = Field(min_length=1)
    length: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _places_make_sense(self) -> Self:
        if self.header or self.delimiter != "\x1f" or self.quote:
            msg = "`header`, `delimiter` and `quote` have no meaning for lines of fixed width; to skip titles, use `first_row`"
            raise ValueError(msg)
        if self.skip_blank_in or self.group_column:
            msg = "`skip_blank_in` and `group_column` have no meaning for lines of fixed width; use `skip_rows`"
            raise ValueError(msg)
        for name, (first, last) in self.fields.items():
            if last < first or (self.length is not None and last > self.length):
                msg = f"fields.{name}: [{first}, {last}] is not a part of a line"
                raise ValueError(msg)
        return self
