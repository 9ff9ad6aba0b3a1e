"""Which rows of a table are records: up to its end, without the kinds of rows that a feed leaves out, under which group title.

One object follows one pass over a file. Never drops a row without a reason that is counted.
"""

import re
from dataclasses import dataclass, field

import polars as pl

from schemas.errors import ConfigError, DeliveryError
from schemas.rejections import escape_value
from transforms.columns import find_column
from transforms.formats.options import DelimitedOptions, ReaderOptions

#: Reason of the row that ends the table and of all rows below it.
END = "end"
GROUP = "group"
BLANK_IN = "blank_in"


@dataclass(slots=True)
class RowSelection:
    """What `options` say about the rows of a table with the columns `names`, and what the pass has met.

    `ended` is whether the table has ended, `title` the title of the group that the last rows belong to. Raises DeliveryError
    HEADER-MISSING for a column that is needed to tell records from other rows and is not there.
    """

    options: ReaderOptions
    names: tuple[str, ...]
    ended: bool = False
    title: str = ""
    patterns: tuple[tuple[str, str], ...] = field(init=False)
    blank_in: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        o = self.options
        named = [(pattern, reason) for reason, pattern in o.skip_rows.items()]
        groups = [(o.group_rows, GROUP)] if o.group_rows else []
        trailers = [(o.trailer, "trailer")] if isinstance(o, DelimitedOptions) and o.trailer else []
        ends = [(o.end, END)] if o.end else []
        self.patterns = (*named, *groups, *((pattern, "footer") for pattern in o.footer), *trailers, *ends)
        self.blank_in = tuple(self._position(name) for name in o.skip_blank_in)

    def _position(self, wanted: str) -> int:
        column = find_column(wanted, self.names)
        if column is None:
            raise DeliveryError(
                f'the header has no column "{escape_value(wanted)}", by which format.skip_blank_in tells which rows are records',
                "Send the column, or correct format.skip_blank_in.",
                code="HEADER-MISSING",
                column=escape_value(wanted),
            )
        return column.position

    @property
    def selects(self) -> bool:
        """Return whether any row may be left out."""
        return bool(self.patterns or self.blank_in)

    @property
    def reasons(self) -> frozenset[str]:
        """Return every reason this selection may give."""
        return frozenset({*(reason for _, reason in self.patterns), END, BLANK_IN})

    @property
    def header(self) -> tuple[str, ...]:
        """Return the column names with that of the group titles. Raises ConfigError when the file has it already."""
        added = self.options.group_column
        if added is None:
            return self.names
        if added.strip().casefold() in {name.strip().casefold() for name in self.names}:
            raise ConfigError(
                f'format.group_column: the file has a column "{added}" itself', "Choose another name for the group titles."
            )
        return (*self.names, added)

    def apply(self, frame: pl.DataFrame, texts: pl.Series, others: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows of `frame` that are records, and `row`, `kind`, `text` of all others.

        `texts` are the joined cells of `frame`; `others` (row, kind, text) are rows that gave no cells: rejected, skipped or of
        another width, the last with the joined cells that they have.
        """
        inside = pl.DataFrame({"row": frame["row"], "kind": self._kinds(frame, texts), "text": texts})
        reasons = pl.lit(found(others["text"], self.patterns))
        ragged = (pl.col("kind") == "width") & (reasons != "")
        others = others.select("row", pl.when(ragged).then(reasons).otherwise("kind").alias("kind"), "text")
        every = pl.concat([inside, others]).sort("row")
        cut = self._end(every)
        if cut is not None:
            every = every.with_columns(kind=pl.when(pl.col("row") >= cut).then(pl.lit(END)).otherwise("kind"))
        left_out = every.filter(pl.col("kind") != "")
        records = frame.join(left_out.select("row"), on="row", how="anti", maintain_order="left") if left_out.height else frame
        return self._titled(records, left_out.filter(kind=GROUP)), left_out

    def _kinds(self, frame: pl.DataFrame, texts: pl.Series) -> pl.Series:
        """Return why each row of `frame` is left out, "" where it is a record."""
        kinds = found(texts, self.patterns)
        if not self.blank_in:
            return kinds
        blank = frame.select(pl.all_horizontal(pl.col(f"c{i}").str.strip_chars() == "" for i in self.blank_in)).to_series()
        return kinds.set(blank & (kinds == ""), BLANK_IN)

    def _end(self, rows: pl.DataFrame) -> int | None:
        """Return the row from which on nothing belongs to the table, None when it goes on."""
        if self.ended:
            return 0
        ends = rows.filter(kind=END)["row"]
        if not len(ends):
            return None
        self.ended = True
        return int(ends[0])

    def _titled(self, records: pl.DataFrame, titles: pl.DataFrame) -> pl.DataFrame:
        """Return `records` with the title of each row's group as its last column, when the feed wants one."""
        if self.options.group_column is None:
            return records
        name = f"c{records.width - 2}"
        texts = titles["text"].str.strip_chars(" \t\u00a0").str.replace_all(r"\t+", " ")
        titled = pl.DataFrame({"row": titles["row"], name: texts}).sort("row")
        carried = self.title
        self.title = titled[name][-1] if titled.height else self.title
        return records.join_asof(titled, on="row").with_columns(pl.col(name).fill_null(carried))


def joined(frame: pl.DataFrame, width: int) -> pl.Series:
    """Return each row's cells `c0 … c<width-1>` joined by tabs, the text that the patterns are searched in."""
    return frame.select(pl.concat_str([f"c{i}" for i in range(width)], separator="\t").alias("joined")).to_series()


def found(texts: pl.Series, patterns: tuple[tuple[str, str], ...]) -> pl.Series:
    """Return for each text the reason of the last pattern found in it, or "". Raises ConfigError for an unusable pattern."""
    result = pl.repeat("", len(texts), eager=True, dtype=pl.String)
    for pattern, reason in patterns:
        try:
            matches = texts.str.contains(pattern)
        except pl.exceptions.ComputeError as error:
            raise ConfigError(
                f"format.{reason}: the pattern {pattern!r} is not supported.",
                "Look-around and back-references do not work here; write the pattern without them.",
                str(error),
            ) from error
        result = result.set(matches, reason)
    return result


def declared_rows(text: str, pattern: str) -> int | None:
    """Return the row count that a trailer row declares, or None when it is not a number."""
    match = re.search(pattern, text)
    number = (match["rows"] or "").strip() if match else ""
    return int(number) if number.isascii() and number.isdigit() else None
