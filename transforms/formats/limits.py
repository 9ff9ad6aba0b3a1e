"""The limits every reader keeps, their defaults, and the one error that says a limit was exceeded.

Never measures anything itself: readers measure and call `exceeded`.
"""

from dataclasses import dataclass

from pydantic import ConfigDict

from schemas.errors import DeliveryError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may be and cost. Sizes in bytes, times in seconds."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # a misspelt limit in a feed file is an error

    file_bytes: int = 200_000_000
    rows: int = 2_000_000
    columns: int = 500
    field_bytes: int = 64_000
    line_bytes: int = 1_000_000
    record_lines: int = 20
    sheets: int = 50
    cells: int = 20_000_000
    unpacked_bytes: int = 1_000_000_000
    ratio: int = 200
    ratio_from_bytes: int = 10_000_000  # small parts compress well and harm nobody
    members: int = 5_000  # parts of one workbook
    archive_members: int = 50
    name_bytes: int = 200  # of one archive member
    xml_depth: int = 50
    json_depth: int = 30
    memory_bytes: int = 512_000_000
    cpu_seconds: int = 120
    wall_seconds: int = 300


def exceeded(
    found: str, limit: int, setting: str, *, row: int | None = None, line: int | None = None, column: str | None = None
) -> DeliveryError:
    """Return a DeliveryError FILE-LIMIT: `found` names the place and the measured value, `setting` the key in format.limits."""
    return DeliveryError(
        f"{found}; the limit is {limit} ({setting})",
        f"Split the file, or raise format.limits.{setting} of this feed if the file is right.",
        code="FILE-LIMIT",
        row=row,
        line=line,
        column=column,
    )
