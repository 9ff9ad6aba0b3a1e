"""Keys that differ only in letter case or character width, over a whole delivery.

Never merges them: it only says which they are.
"""

import polars as pl


def key_forms(keys: pl.Series) -> pl.DataFrame:
    """Return `key` and `folded` (UInt64): a hash of each key, and of what is left of it after NFKC and case folding."""
    return pl.DataFrame({"key": keys.hash(), "folded": folded(keys).hash()})


def suspected(forms: pl.DataFrame) -> pl.Series:
    """Return the 1-based positions of keys that share their folded form with another key, by their `key_forms`.

    Sixteen bytes a key, however long the keys are. A group that only seems to be one is for `lookalike_groups` to tell.
    """
    if _distinct(forms["key"]) == _distinct(forms["folded"]):
        return pl.Series([], dtype=pl.UInt32)
    ordered = forms.sort("folded", "key")
    is_alike = (ordered["folded"] == ordered["folded"].shift(1)) & (ordered["key"] != ordered["key"].shift(1))
    alike = ordered["folded"].filter(is_alike).unique()
    return forms["folded"].is_in(alike.implode()).arg_true() + 1


def _distinct(hashes: pl.Series) -> int:
    """Return how many different hashes there are, by sorting: a table of them would take several times the memory."""
    ordered = hashes.sort()
    return int((ordered != ordered.shift(1)).sum()) + min(1, ordered.len())


def folded(keys: pl.Series) -> pl.Series:
    """Return the keys after NFKC and case folding; most are ASCII, where lower case is all of it."""
    lower = keys.str.to_lowercase()
    foreign = (keys.str.len_chars() != keys.str.len_bytes()).arg_true()
    if foreign.len():
        deep = keys.gather(foreign).str.normalize("NFKC").str.to_lowercase().str.replace_many(["ß", "ς", "ſ"], ["ss", "σ", "s"])
        lower = lower.scatter(foreign, deep.str.normalize("NFKC"))
    return lower


def lookalike_groups(keys: pl.Series) -> pl.DataFrame:
    """Return `key` and `group` (both String) of the distinct keys that are equal after NFKC and case folding, sorted.

    `group` is the folded form; a key that looks like no other is not in the frame. Nulls are left out.
    """
    distinct = keys.drop_nulls().unique().rename("key")
    forms = folded(distinct)
    hashes = forms.hash()
    alike = hashes.is_duplicated()
    if not alike.any():
        return pl.DataFrame(schema={"key": pl.String, "group": pl.String})
    groups = pl.DataFrame({"key": distinct.filter(alike), "group": forms.filter(alike)})
    return groups.filter(pl.len().over("group") > 1).sort("group", "key")
