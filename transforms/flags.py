"""Flag and status columns: words that mean yes, words that mean no, and words that are merely known.

Never takes an undeclared word for either.
"""

from dataclasses import dataclass

import polars as pl

from schemas.errors import ConfigError
from schemas.feed_config import Column
from transforms.columns import fold
from transforms.problems import NO_PROBLEMS, problems_where


@dataclass(frozen=True, slots=True)
class Flags:
    """For each row whether the flag says yes and no (both false: blank, or known without a meaning), and the problems."""

    yes: pl.Series
    no: pl.Series
    problems: pl.DataFrame


def check_flag(name: str, column: Column) -> None:
    """Return nothing. Raises ConfigError for a flag whose words are not declared, or declared as both yes and no."""
    yes, no = _folded(column.true), _folded(column.false)
    both = sorted(set(yes) & set(no))
    if both:
        raise ConfigError(f"columns.{name} declares {', '.join(map(repr, both))} as true and as false", "Keep it in one list.")
    if name == "discontinued" and not yes:
        raise ConfigError(
            "columns.discontinued does not say which words mean discontinued",
            'Declare them, for example true = ["Y", "TRUE", "1"] and false = ["N", "FALSE", "0"].',
        )


def parse_flags(texts: pl.Series, column: Column) -> Flags:
    """Return the flags of trimmed `texts`; blank is neither; with any declared word, an undeclared one is VALUE-UNKNOWN.

    Words compare without letter case; words that only occur in `words` are known and mean neither yes nor no.
    """
    yes, no = _folded(column.true), _folded(column.false)
    known = [*yes, *no, *_folded((*column.words, *column.words.values()))]
    distinct = texts.unique()  # a handful, however many rows there are
    folded = fold(distinct)

    def one_of(words: list[str]) -> pl.Series:
        return texts.is_in(distinct.filter(folded.is_in(words)).implode())

    unknown = ~one_of([*known, ""])
    if not known or not unknown.any():
        return Flags(one_of(yes), one_of(no), NO_PROBLEMS)
    shown = ", ".join([*column.true, *column.false, *column.words][:12])
    problems = problems_where(unknown, texts, "VALUE-UNKNOWN", message=f"the value is not one of the declared ones: {shown}")
    return Flags(one_of(yes), one_of(no), problems)


def _folded(words: tuple[str, ...]) -> list[str]:
    return fold(pl.Series(list(words), dtype=pl.String)).to_list()
