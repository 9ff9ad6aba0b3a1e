"""Which places of an 846's line items hold values and which codes, for `edi_shapes`.

Never reads a segment: what stands at a place means is for `x12_reader` to know, and places not listed are not read by it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transforms.formats.edi_options import X12Options
from transforms.formats.edi_shapes import Place
from transforms.formats.x12_elements import KNOWN

_PLACES: Mapping[str, tuple[Place, ...]] = {
    "QTY": (Place(1), Place(3), Place(2, "amount")),
    "UIT": (Place(1),),
    "DTM": (Place(1), Place(2, "text")),
    "PID": (Place(5, "text"),),
    "CTP": (Place(2), Place(3, "text")),
    "CUR": (Place(2),),
    "SCH": (Place(2), Place(4), Place(5), Place(1, "text"), Place(6, "text")),
    "LS": (), "LE": (), "LIN": (), "SDQ": (), "N1": (), "REF": (),
}  # fmt: skip
_UNREAD = {"LS", "LE", *KNOWN}


class X12Shapes:
    """The shapes of X12 line items under the present heading; `rows_of` is the reader's."""

    known: Mapping[str, bool] = {name: name not in _UNREAD for name in (*_PLACES, *KNOWN)}

    def __init__(
        self, options: X12Options, heading: Sequence[str], component: str, rows_of: Callable[[Sequence[list[str]]], Any]
    ) -> None:
        self._options, self.component, self.rows_of = options, component, rows_of
        self.heading = (*heading, options.unit)

    def places(self, segment: Sequence[str]) -> Sequence[Place]:
        """Return what is read of a segment; see `edi_shapes.Syntax`."""
        name, width = segment[0], len(segment)
        if name == "LIN":
            return [place for at in range(2, width, 2) for place in (Place(at), Place(at + 1, self._id(segment[at])))]
        if name == "SDQ":
            return [Place(1), *(place for at in range(3, width - 1, 2) for place in (Place(at), Place(at + 1, "raw")))]
        if name in {"N1", "REF"}:
            return self._location(name, segment[1].strip() if width > 1 else "")
        return _PLACES[name]

    def _id(self, qualifier: str) -> str:
        """Return how the product id of a qualifier is taken; a location is a code, because quantities are told apart by it."""
        return "code" if qualifier == "DV" else "id" if qualifier in self._options.gtin_qualifiers else "text"

    def _location(self, name: str, code: str) -> Sequence[Place]:
        if name == "N1":
            return [Place(1), *((Place(2), Place(4)) if code in self._options.location_entities else ())]
        return [Place(1), Place(2, "code" if code in self._options.location_references else "text")]

    def clean(self, values: Sequence[str], how: str) -> Sequence[str]:
        """Return values without the blanks around them, but for those of SDQ, which the reader takes as they are."""
        return values if how == "raw" else [value.strip() for value in values]
