"""Quantity words: what "In stock", "10+" or "call" mean for a feed, compiled from [feed.words].

Never knows a word by itself: an undeclared one stays a word.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from schemas.columns import QUANTITY_SCALE
from schemas.errors import ConfigError
from transforms.columns import BLANKS, fold
from transforms.numbers import NumberForm, read_numbers

UNKNOWN = "unknown"
_SLOT = "{n}"
_MEANING = re.compile(r"\{n\}\s*(?:([+-])\s*([0-9]{1,9}))?", re.ASCII)
_MOST_UNITS = 10**15 - 1


@dataclass(frozen=True, slots=True)
class Pattern:
    """A word with a number in it: texts around the number (folded), and what is added to it, or a fixed meaning.

    `offset` is added to n; when it is None the word means `fixed` (None: unknown) whatever n is. All in thousandths.
    """

    prefix: str
    suffix: str
    offset: int | None
    fixed: int | None


@dataclass(frozen=True, slots=True)
class QuantityWords:
    """The compiled words of a feed: exact folded text → thousandths (None: unknown), and patterns in declared order."""

    exact: Mapping[str, int | None]
    patterns: tuple[Pattern, ...]

    @property
    def numeric(self) -> tuple[str, ...]:
        """Return the exact words that look like plain numbers (999 = "unknown"): they must not be read as numbers."""
        return tuple(word for word in self.exact if re.fullmatch("[0-9]+", word))


@dataclass(frozen=True, slots=True)
class WordReading:
    """Which texts are declared words (`known`), and their thousandths (null: unknown)."""

    known: pl.Series
    values: pl.Series


def compile_words(words: Mapping[str, int | str]) -> QuantityWords:
    """Return the compiled form of [feed.words]. Raises ConfigError, naming the word, for a meaning that is not one."""
    exact: dict[str, int | None] = {}
    patterns: list[Pattern] = []
    for word, meaning in words.items():
        folded = str(fold(pl.Series([word], dtype=pl.String))[0])
        if _SLOT in folded:
            patterns.append(_pattern(word, folded, meaning))
        elif folded in exact:
            raise ConfigError(f"[feed.words] declares {word!r} twice (letter case does not count)", "Keep one of the two lines.")
        elif folded:
            exact[folded] = _fixed(word, meaning)
        else:
            raise ConfigError(
                "[feed.words] declares a blank word", "Blank is never a number; remove the line, or map another quantity column."
            )
    return QuantityWords(exact, tuple(patterns))


def _pattern(word: str, folded: str, meaning: int | str) -> Pattern:
    if folded.count(_SLOT) > 1 or not re.search(r"[^0-9\s]", folded.replace(_SLOT, "")):
        raise ConfigError(
            f"[feed.words] {word!r}: a pattern has {_SLOT} once, and something beside digits around it",
            'Write for example "{n}+" = "{n}" or "<{n}" = "{n}-1".',
        )
    prefix, suffix = (part.strip(BLANKS) for part in folded.split(_SLOT))
    slot = _MEANING.fullmatch(meaning.strip()) if isinstance(meaning, str) else None
    if slot is None:
        return Pattern(prefix, suffix, None, _fixed(word, meaning))
    offset = int(slot[2] or 0) * QUANTITY_SCALE
    return Pattern(prefix, suffix, -offset if slot[1] == "-" else offset, None)


def _fixed(word: str, meaning: int | str) -> int | None:
    if isinstance(meaning, str) and meaning.strip().casefold() == UNKNOWN:
        return None
    text = str(meaning).strip()
    if not isinstance(meaning, bool) and re.fullmatch("[0-9]{1,15}", text) and int(text) <= _MOST_UNITS:
        return int(text) * QUANTITY_SCALE
    near = difflib.get_close_matches(text.casefold(), [UNKNOWN], cutoff=0.6)
    hint = f'Did you mean "{UNKNOWN}"? ' if near else ""
    raise ConfigError(
        f"[feed.words] {word!r} = {meaning!r} is not a meaning",
        hint + 'A word means a whole number of 0 or more, "unknown", or (for patterns) "{n}", "{n}+1", "{n}-1".',
    )


def read_words(texts: pl.Series, words: QuantityWords, form: NumberForm) -> WordReading:
    """Return which of `texts` are declared words and what they mean in thousandths; exact words win over patterns."""
    folded = fold(texts)
    known = folded.is_in(list(words.exact)) if words.exact else pl.repeat(value=False, n=texts.len(), eager=True)
    values = folded.replace_strict(
        list(words.exact), list(words.exact.values()), default=None, return_dtype=pl.Int64
    ) if words.exact else pl.repeat(None, texts.len(), dtype=pl.Int64, eager=True)  # fmt: skip
    for pattern in words.patterns:
        matched = _match(folded, pattern, form)
        new = matched["known"] & ~known
        values = values.zip_with(~new, matched["value"])
        known |= new
    return WordReading(known, values)


def _match(folded: pl.Series, pattern: Pattern, form: NumberForm) -> pl.DataFrame:
    """Return `known` and `value` of texts that are the pattern's text around a number as the feed writes them."""
    n = folded.len()
    around = len(pattern.prefix) + len(pattern.suffix)
    fits = folded.str.starts_with(pattern.prefix) & folded.str.ends_with(pattern.suffix) & (folded.str.len_chars() > around)
    at = fits.arg_true()
    inner = folded.gather(at).str.strip_prefix(pattern.prefix).str.strip_suffix(pattern.suffix).str.strip_chars(BLANKS)
    read = read_numbers(inner, form, 3)
    value = read["value"] + pattern.offset if pattern.offset is not None else pl.repeat(pattern.fixed, at.len(), eager=True)
    known = pl.repeat(value=False, n=n, eager=True).scatter(at, read["fault"].is_null())
    values = pl.repeat(None, n, dtype=pl.Int64, eager=True).scatter(at, value.cast(pl.Int64))
    return pl.DataFrame({"known": known, "value": values})
