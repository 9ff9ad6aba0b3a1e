"""What guards, sources and readers find about a delivery or a publish as a whole."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["warn", "hold", "reject"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation about a whole delivery or publish: `hold` stops it until a person decides, `warn` is shown."""

    code: str  # e.g. UNITS-FALL, KNOWN-MISSING, ALL-ZERO
    severity: Severity
    message: str
    remedy: str = ""
    measured: str | None = None
    limit: str | None = None
    column: str | None = None
    row: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON-ready values."""
        return asdict(self)
