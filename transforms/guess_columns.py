"""Which column of a stranger's table may be which field: by its name, by its cells, and by what the other columns are.

Never guesses a field from nothing: a field without a sign stays unmapped, and each guess carries its evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transforms.guess_cells import Cells
from transforms.guess_names import NAMES, folded, is_a_period, may_be_a_quantity, meaning

_MOST, _SOME, _DISTINCT = 0.8, 0.5, 0.3
_SURE = 0.55
_LONGEST_KEY = 60
_MOST_WIDE = 60
_FEW_WORDS = 12
_LONGEST_COUNT = 7
_ORDER = ("supplier_sku", "gtin", "mpn", "on_hand", "available", "on_order", "unit_cost", "price", "currency", "unit",
          "condition", "location", "next_available_on")  # fmt: skip


@dataclass(frozen=True, slots=True)
class ColumnGuess:
    """One field: the position of its column, why, and whether a person must look."""

    position: int
    evidence: str
    sure: bool
    exact: bool = False  # the whole name is a known one


@dataclass(frozen=True, slots=True)
class ColumnsGuess:
    """The fields found, and the per-warehouse columns (location → position) when quantities stand side by side."""

    fields: Mapping[str, ColumnGuess]
    wide: Mapping[str, int]
    wide_evidence: str = ""


def guess_columns(names: Sequence[str], columns: Sequence[Cells]) -> ColumnsGuess:
    """Return the guess for the header `names` and the sampled cells below them, column by column."""
    fields: dict[str, ColumnGuess] = {}
    wide, why = _wide_by_name(names, columns)
    free = set(range(len(names))) - set(wide.values())
    for field in _ORDER:
        if wide and field in {"on_hand", "available", "on_order", "location"}:
            continue
        found = _by_name(field, [at for at in free if names[at]], names, columns)
        if found:
            fields[field] = found
            free.discard(found.position)
    _drop_what_excludes(fields)
    _by_content(fields, free & {at for at, name in enumerate(names) if name}, columns)
    free -= {one.position for one in fields.values()}
    if not wide and not {"on_hand", "available"} & set(fields):
        wide, why = _left_over_quantities(fields, free, names, columns)
    return ColumnsGuess(fields, wide, why)


def _drop_what_excludes(fields: dict[str, ColumnGuess]) -> None:
    """Take out the weaker of two fields that a feed hardly has both: a price beside a cost, "Stock 901" beside "Available"."""
    if "unit_cost" in fields:
        fields.pop("price", None)
    both = [fields[name] for name in ("on_hand", "available") if name in fields]
    if any(one.exact for one in both):
        for name in ("on_hand", "available"):
            if name in fields and not fields[name].exact:
                del fields[name]


def _by_name(field: str, free: Sequence[int], names: Sequence[str], columns: Sequence[Cells]) -> ColumnGuess | None:
    scored = []
    for at in free:
        strength, known = meaning(names[at], field)
        if strength:
            fit, told = _fit(field, columns[at])
            scored.append((strength * fit, -at, known, told))
    if not scored:
        return None
    score, at, known, told = max(scored)
    if not score:
        return None
    other = sorted((names[-a] for s, a, *_ in scored if a != at and s >= _MOST * score), key=str)
    rivals = f"; it could also be {', '.join(repr(o) for o in other[:3])}" if other else ""
    said = f'the name says "{known}"' + (f", {told}" if told else "") + rivals
    exact = folded(names[-at]) == known
    return ColumnGuess(-at, said, sure=exact and score >= _SURE and not other, exact=exact)


def _fit_of_a_number(field: str, cells: Cells) -> tuple[float, str]:
    if cells.numbers >= _SOME or field in {"unit_cost", "price"}:
        return (1.0 if cells.numbers >= _SOME else 0.2), f"{cells.numbers:.0%} of the filled cells are numbers"
    few = len(set(cells.filled)) <= _FEW_WORDS
    return (0.5 if few else 0.3), "many of its cells are words"


def _fit(field: str, cells: Cells) -> tuple[float, str]:
    """Return how well the cells fit the field (0 to 1), and what they show."""
    if not cells.filled:
        return 0.5, "all sampled cells are blank"
    if field == "supplier_sku":
        return _fit_of_a_key(cells)
    if field in {"on_hand", "available", "on_order", "unit_cost", "price"}:
        return _fit_of_a_number(field, cells)
    if field == "gtin":
        return (1.0 if cells.gtins >= _SOME else 0.5), f"{cells.gtins:.0%} of the filled cells have a right check digit"
    if field == "next_available_on":
        share = cells.date_formats()[1]
        return (1.0 if share >= _SOME else 0.0), f"{share:.0%} of the filled cells are dates"
    return 1.0, f"for example {cells.filled[0][:30]!r}"


def _fit_of_a_key(cells: Cells) -> tuple[float, str]:
    length = sum(map(len, cells.filled)) / len(cells.filled)
    told = f"{cells.distinct:.0%} of the sampled cells are different"
    phrases = sum(" " in text for text in cells.filled) > _SOME * len(cells.filled)  # names of products, not their codes
    return min(1.0, 0.4 + cells.distinct) * (0.3 if length > _LONGEST_KEY else 0.5 if phrases else 1.0), told


def _by_content(fields: dict[str, ColumnGuess], free: set[int], columns: Sequence[Cells]) -> None:
    """Add a barcode column and a key that no name tells, from the `free` columns."""
    gtins = [at for at in sorted(free) if columns[at].gtins >= _MOST]
    if "gtin" not in fields and gtins:
        fields["gtin"] = ColumnGuess(gtins[0], f"{columns[gtins[0]].gtins:.0%} of its cells have a right check digit", sure=False)
        free = free - {gtins[0]}
    if "supplier_sku" in fields:
        return
    keys = [at for at in sorted(free) if columns[at].distinct >= _DISTINCT and _fit_of_a_key(columns[at])[0] > _DISTINCT]
    best = max(keys, key=lambda at: (round(columns[at].distinct, 1), -at), default=None)
    if best is not None:
        fields["supplier_sku"] = ColumnGuess(best, f"no name tells; {_fit_of_a_key(columns[best])[1]}", sure=False)


def _wide_by_name(names: Sequence[str], columns: Sequence[Cells]) -> tuple[dict[str, int], str]:
    """Return location → column where several columns have one quantity name and a different rest ("Stock A", "Stock B")."""
    groups: dict[str, dict[str, int]] = {}
    quantities = {one for field in ("on_hand", "available") for one in NAMES[field]}
    if any(folded(name) in quantities for name in names):
        return {}, ""
    for at, name in enumerate(names):
        strength, known = max(meaning(name, "on_hand"), meaning(name, "available"))
        if not strength or (columns[at].filled and columns[at].numbers < _SOME):
            continue
        rest = " ".join(f" {folded(name)} ".replace(f" {known} ", " ", 1).split())
        groups.setdefault(known, {}).setdefault(rest, at)
    for known, found in groups.items():
        if len(found) > 1 and "" not in found:
            return found, f'{len(found)} columns are named "{known}" and something else'
    return {}, ""


def _left_over_quantities(
    fields: dict[str, ColumnGuess], free: set[int], names: Sequence[str], columns: Sequence[Cells]
) -> tuple[dict[str, int], str]:
    """Return the columns of whole numbers that no name explains; a single one becomes `on_hand`."""
    known = {at for at in free if any(meaning(names[at], field)[0] for field in NAMES if field not in {"on_hand", "available"})}
    whole = [at for at in sorted(free - known) if may_be_a_quantity(names[at]) and _holds_counts(columns[at])]
    told = "no name tells; its cells are whole numbers"
    often = [at for at in whole if len(columns[at].filled) >= _SOME * len(columns[at].texts)]
    if len(often) == 1 or (often and names[often[0]].startswith("#")):
        fields["on_hand"] = ColumnGuess(often[0], told, sure=False)
        return {}, ""
    if sum(is_a_period(names[at]) for at in whole) > _SOME * len(whole):  # a plan or a history, and no places with stock
        return {}, ""
    if 1 < len(whole) <= _MOST_WIDE and 2 * len(whole) > len(names) and len({names[at] for at in whole}) == len(whole):
        fields.pop("location", None)
        return {names[at]: at for at in whole}, f"no name tells; the cells of these {len(whole)} columns are whole numbers"
    return {}, ""


def _holds_counts(column: Cells) -> bool:
    """Return whether the cells are whole numbers short enough to count something: ids, dates and barcodes are longer."""
    return bool(column.filled) and column.whole_numbers >= _MOST and max(map(len, column.filled)) <= _LONGEST_COUNT
