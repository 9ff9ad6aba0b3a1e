"""Quantities that are a sum or difference of columns, e.g. "[On hand] - [Reserved]".

Never takes a blank or unreadable part as 0.
"""

from dataclasses import replace

import polars as pl

from schemas.columns import QUANTITY_SCALE
from transforms.columns import BLANKS, FromExpression, PlannedField, column_texts, replace_words
from transforms.problems import NO_PROBLEMS, Parsed, in_column, problems_where
from transforms.quantity import QuantityRules, limit_quantities, parse_quantities


def parse_expression(frame: pl.DataFrame, field: PlannedField, expression: FromExpression, rules: QuantityRules) -> Parsed:
    """Return the sums in Int64 thousandths, null where a part is declared unknown or has a problem (named by its column).

    Every part must be given and 0 or more; `negative` of the feed decides about the sum only.
    """
    strict = replace(rules, negative="reject")
    total = pl.repeat(0, frame.height, dtype=pl.Int64, eager=True)
    problems = [NO_PROBLEMS]
    for sign, column in expression.terms:
        texts = replace_words(column_texts(frame, column).str.strip_chars(BLANKS), field)
        part = parse_quantities(texts, strict)
        problems.append(in_column(part.problems, column.name))
        problems.append(in_column(problems_where(texts == "", texts, "QTY-BLANK"), column.name))
        total += sign * part.values
    summed = limit_quantities(Parsed(total), (total / QUANTITY_SCALE).cast(pl.String), rules)
    problems.append(in_column(summed.problems, expression.name))
    return Parsed(summed.values, pl.concat(problems))
