"""Which sheet of a workbook holds the table.

Never guesses between sheets: what is not declared must be the only visible one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.errors import DeliveryError
from schemas.rejections import escape_value
from transforms.formats.limits import exceeded
from transforms.formats.options import SpreadsheetOptions

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Sheet:
    """A worksheet's name and whether people see its tab."""

    name: str
    visible: bool


def choose_sheet(sheets: Sequence[Sheet], options: SpreadsheetOptions) -> str:
    """Return the name of the sheet to read. Raises DeliveryError FILE-SHEET with the names of all sheets, or FILE-LIMIT."""
    if len(sheets) > options.limits.sheets:
        raise exceeded(f"workbook: {len(sheets)} sheets", options.limits.sheets, "sheets")
    if not sheets:
        raise DeliveryError(
            "the workbook has no sheet that this reader knows; it may be saved as Strict Open XML",
            'Save it as an ordinary .xlsx workbook, or set format.engine = "calamine".',
            code="FILE-SHEET",
        )
    visible = [sheet.name for sheet in sheets if sheet.visible]
    if options.sheet is not None:
        found, wanted = [s.name for s in sheets if s.name == options.sheet], f'sheet "{options.sheet}"'
    elif options.sheet_pattern is not None:
        found = [name for name in visible if re.search(options.sheet_pattern, name)]
        wanted = f"a sheet that matches {options.sheet_pattern!r}"
    else:
        found, wanted = visible, "the only visible sheet"
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f'"{escape_value(s.name)}"' + ("" if s.visible else " (hidden)") for s in sheets[:_SHOWN])
    more = f" and {len(sheets) - _SHOWN} more" if len(sheets) > _SHOWN else ""
    raise DeliveryError(
        f"looked for {wanted}, found {len(found)}; the workbook has {listed}{more}",
        "Declare format.sheet or format.sheet_pattern, or send the sheet.",
        code="FILE-SHEET",
    )


def hidden_note(sheets: Sequence[Sheet], chosen: str) -> tuple[str, ...]:
    """Return a sentence on hidden sheets, or nothing when there are none."""
    hidden = [escape_value(s.name) for s in sheets if not s.visible and s.name != chosen]
    notes = (f"hidden sheets were not read: {', '.join(hidden)}",) if hidden else ()
    is_hidden = any(s.name == chosen and not s.visible for s in sheets)
    return (*notes, f'the sheet "{escape_value(chosen)}" is hidden') if is_hidden else notes
