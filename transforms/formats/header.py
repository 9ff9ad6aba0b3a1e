"""The header row of a table: found among the first rows, and checked.

Never matches columns to fields: that is normalising, with the feed's column map.
"""

from collections import Counter
from collections.abc import Collection, Sequence

from schemas.errors import DeliveryError
from schemas.rejections import escape_value
from transforms.formats.limits import Limits, exceeded


def find_header_row(rows: Sequence[Sequence[str]], expected: Collection[str]) -> int:
    """Return the position in `rows` of the header: the row that holds most of the expected column names.

    Without expected names: the first row without a blank cell among those of the most common width. Names are compared
    trimmed and without regard to case. Raises DeliveryError HEADER-MISSING when no row holds an expected name.
    """
    if expected:
        wanted = {name.strip().casefold() for name in expected}
        counts = [len(wanted & {cell.strip().casefold() for cell in row}) for row in rows]
        best = max(counts, default=0)
        if best:
            return counts.index(best)
        raise DeliveryError(
            f"row 1: no header found in the first {len(rows)} rows; looked for {', '.join(sorted(expected)[:10])}",
            "Send the header row, or correct [feed.columns] or format.header_row.",
            code="HEADER-MISSING",
            row=1,
        )
    widths = Counter(len(row) for row in rows if any(cell.strip() for cell in row))
    width = max(widths, key=lambda w: (widths[w] if w > 1 else 0, w), default=0)
    full = (i for i, row in enumerate(rows) if len(row) == width and all(cell.strip() for cell in row))
    some = (i for i, row in enumerate(rows) if len(row) == width)
    return next(full, next(some, 0))


def combine_header(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one row of names from several header rows: each name is its column's cells from top to bottom.

    An upper cell with a name below it is a title over several columns, as merged cells are: it also counts for the columns to
    its right up to the next title, as far as they have a name of their own. Without names below it, it is a name itself.
    """
    width = max(map(len, rows), default=0)
    cells = [[cell.strip() for cell in (*row, *[""] * (width - len(row)))] for row in rows]
    for level in range(len(cells) - 2, -1, -1):
        title = ""
        for column in range(width):
            below = any(row[column] for row in cells[level + 1 :])
            if cells[level][column]:
                title = cells[level][column] if below else ""
            elif below:
                cells[level][column] = title
            else:
                title = ""
    return [" ".join(dict.fromkeys(part for part in column if part)) for column in zip(*cells, strict=True)]


def check_header(cells: Sequence[str], row: int, limits: Limits) -> tuple[str, ...]:
    """Return the trimmed column names. Raises DeliveryError HEADER-DUPLICATE, FILE-LIMIT (too many) or HEADER-MISSING (all blank).

    Blank names may repeat: such columns cannot be mapped.
    """
    if len(cells) > limits.columns:
        raise exceeded(f"header: {len(cells)} columns", limits.columns, "columns", row=row)
    names = tuple(cell.strip() for cell in cells)
    if not any(names):
        raise DeliveryError(
            f"row {row}: the header row is blank",
            "Correct format.header_row, or set it to auto.",
            code="HEADER-MISSING",
            row=row,
        )
    seen: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        if name and name in seen:
            raise DeliveryError(
                f'header column {position}: "{escape_value(name)}" is already the name of column {seen[name]}',
                "Rename one of the columns.",
                code="HEADER-DUPLICATE",
                row=row,
                column=escape_value(name),
                value=escape_value(name),
            )
        seen[name] = position
    return names
