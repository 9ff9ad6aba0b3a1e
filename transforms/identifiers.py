"""Identifiers: supplier SKUs as keys, and GTINs with their GS1 check digit.

Never changes a SKU beyond trimming ASCII blanks and tabs, and never repairs one that looks damaged.
"""

from functools import cache
from typing import Literal

import polars as pl

from transforms.problems import NO_PROBLEMS, Parsed, problems_where

SKU_BLANKS = " \t"
LONGEST_SKU = 200
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = "(?:0?[1-9]|[12][0-9]|3[01])"
# What Excel makes of identifiers: 1-Mar, 01-Mar-26, Mar-01, an ISO date with or without midnight, 1.2E+12, and a number
# that lost everything behind its 15th digit. Neither 1E5, MARCH1 nor 45352: those are legal SKUs.
_EXCEL = (
    rf"^(?:{_DAY}-{_MONTH}(?:-(?:[0-9]{{2}}|[0-9]{{4}}))?|{_MONTH}-[0-9]{{2}}(?:[0-9]{{2}})?"
    r"|(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?: 00:00:00)?"
    r"|-?[0-9][.,][0-9]+E[+-][0-9]{2,3}|[1-9][0-9]{14}0{3,})$"
)
# Unicode control, format and private characters, every blank but the ASCII one, line separators, and the
# letters and marks that show nothing: fillers, joiners, variation selectors, the replacement character.
_INVISIBLE = (
    r"[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}"
    r"\x{34f}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{180b}-\x{180f}\x{2800}\x{3164}\x{fe00}-\x{fe0f}\x{ffa0}\x{fffd}\x{e0100}-\x{e01ef}]"
)
_ASCII_CONTROL = r"[\x00-\x1f\x7f]"


def parse_skus(texts: pl.Series) -> Parsed:
    """Return the SKUs trimmed of ASCII blanks and tabs, null where unusable as a key, and every problem of each."""
    skus = texts.str.strip_chars(SKU_BLANKS)
    length = skus.str.len_bytes()
    problems = [problems_where(length == 0, texts, "SKU-BLANK"), problems_where(skus.str.contains(_EXCEL), texts, "SKU-EXCEL")]
    if skus.str.contains(_ASCII_CONTROL).any() or (skus.str.len_chars() != length).any():
        problems.append(problems_where(skus.str.contains(_INVISIBLE), texts, "SKU-INVISIBLE"))
    if length.len() and (length > LONGEST_SKU).any():
        problems.append(problems_where(skus.str.len_chars() > LONGEST_SKU, texts, "SKU-LONG"))
    found = pl.concat(problems)
    return Parsed(skus.scatter(found["at"], None) if found.height else skus, found)


@cache  # not at import: Polars starts its threads with the first column, and a process that has them must not fork
def _weighted_sums() -> pl.Series:
    """Return for 0 … 9999 the sum of the digits with weights 1 and 3 from the right (GS1 General Specifications 7.9)."""
    n = pl.int_range(10_000, dtype=pl.UInt32, eager=True)
    return n % 10 + n // 10 % 10 * 3 + n // 100 % 10 + n // 1000 * 3


def parse_gtins(texts: pl.Series, policy: Literal["note", "reject"] = "note") -> Parsed:
    """Return GTINs as 14 digits, zero padded; blank is null; a wrong length or check digit is null and a GTIN-CHECK.

    `policy` "reject" makes GTIN-CHECK reject the row. Blanks, hyphens and one leading apostrophe are not part of the number.
    """
    shaped = r"^(?:[0-9]{8}|[0-9]{12,14})$"
    digits = texts
    untidy = (~texts.str.contains(shaped) & (texts != "")).arg_true()
    if untidy.len():
        tidied = texts.gather(untidy).str.strip_prefix("'").str.replace_all(r"[ \t\x{a0}\x{202f}-]", "")
        usable = pl.select(pl.when(pl.lit(tidied).str.contains(shaped)).then(pl.lit(tidied))).to_series()
        digits = texts.clone().scatter(untidy, usable)
    number, sums = digits.cast(pl.Int64, strict=False), _weighted_sums()
    total = sum(
        (sums.gather((number // 10**k % 10_000).fill_null(0).cast(pl.UInt32)) for k in (4, 8, 12)),
        start=sums.gather((number % 10_000).fill_null(0).cast(pl.UInt32)),
    )
    right = (total % 10 == 0) & number.is_not_null()
    gtins = pl.select(pl.when(pl.lit(right)).then(pl.lit(digits).str.zfill(14))).to_series()
    wrong = ~right & (texts != "")
    if not wrong.any():
        return Parsed(gtins, NO_PROBLEMS)
    return Parsed(gtins, problems_where(wrong, texts, "GTIN-CHECK", severity="row" if policy == "reject" else "note"))
