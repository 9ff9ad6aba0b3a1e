"""Cells that the reader could not read: rejections when their column is mapped, nothing otherwise.

Never changes values.
"""

from collections.abc import Mapping

import polars as pl

from schemas.columns import KEY_COLUMNS
from schemas.records import RawBatch
from transforms.columns import PlannedField
from transforms.plan import Plan, origin_columns
from transforms.problems import PROBLEM_SCHEMA


def place_cell_problems(batch: RawBatch, plan: Plan, problems: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Return `problems` with the reader's cell problems of mapped columns, and the positions of rows whose key they hit.

    What was found about the same cell besides (that it is blank) is left out: its reason is the cell problem.
    """
    nothing = pl.Series([], dtype=pl.UInt32)
    labels = _mapped_columns(plan)
    cells = [cell for cell in batch.cell_problems if cell.column in labels]
    if not cells:
        return problems, nothing
    positions = dict(zip(batch.frame["row"].to_list(), range(batch.frame.height), strict=True))
    placed = [(positions[c.row], labels[c.column], c.value, c.code, "row", _sentence(c.column, c.code, plan)) for c in cells
              if c.row in positions]  # fmt: skip
    found = pl.DataFrame(placed, schema=dict(PROBLEM_SCHEMA), orient="row")
    others = problems.join(found, on=["at", "column"], how="anti", maintain_order="left")
    keys = {column.position for name in KEY_COLUMNS if name in plan.fields for column in origin_columns(plan.fields[name].origin)}
    hit = [positions[c.row] for c in cells if c.column in keys and c.row in positions]
    return pl.concat([found, others]), pl.Series(hit, dtype=pl.UInt32)


def unread_cells(batch: RawBatch) -> Mapping[int, pl.Series]:
    """Return for each column (position) with cells that could not be read the positions of their rows in the batch."""
    positions = dict(zip(batch.frame["row"].to_list(), range(batch.frame.height), strict=True)) if batch.cell_problems else {}
    found: dict[int, list[int]] = {}
    for cell in batch.cell_problems:
        if cell.row in positions:
            found.setdefault(cell.column, []).append(positions[cell.row])
    return {column: pl.Series(rows, dtype=pl.UInt32) for column, rows in found.items()}


def _sentence(column: int, code: str, plan: Plan) -> str | None:
    """Return what to say instead of the catalogue's sentence: outside the SKU, a number too long is no damaged SKU."""
    sku = origin_columns(plan.fields["supplier_sku"].origin)
    if code == "SKU-EXCEL" and column not in {c.position for c in sku}:
        return "the cell holds a number of more than 15 digits, of which Excel has lost the last ones"
    return None


def _mapped_columns(plan: Plan) -> Mapping[int, str]:
    fields: list[PlannedField] = [*plan.fields.values(), *([plan.as_of] if plan.as_of else [])]
    labels = {column.position: column.name for field in fields for column in origin_columns(field.origin)}
    return labels | {column.position: column.name for wide in plan.wide for column in (wide.column, wide.enabled) if column}
