"""Keys that differ only in letter case or character width, over a whole delivery.

Never merges them: it only says which they are.
"""

import polars as pl


def lookalike_groups(keys: pl.Series) -> pl.DataFrame:
    """Return `key` and `group` (both String) of the distinct keys that are equal after NFKC and case folding, sorted.

    `group` is the folded form; a key that looks like no other is not in the frame. Nulls are left out.
    """
    distinct = keys.drop_nulls().unique().rename("key")
    # case folding changes nothing unless a capital or a character outside ASCII occurs on either side
    folded = distinct.str.to_lowercase()
    foreign = (distinct.str.len_chars() != distinct.str.len_bytes()).arg_true()
    if foreign.len():
        deep = distinct.gather(foreign).str.normalize("NFKC").str.to_lowercase().str.replace_many(["ß", "ς", "ſ"], ["ss", "σ", "s"])
        folded = folded.scatter(foreign, deep.str.normalize("NFKC"))
    hashes = folded.hash()
    alike = hashes.is_duplicated()
    if not alike.any():
        return pl.DataFrame(schema={"key": pl.String, "group": pl.String})
    groups = pl.DataFrame({"key": distinct.filter(alike), "group": folded.filter(alike)})
    return groups.filter(pl.len().over("group") > 1).sort("group", "key")
