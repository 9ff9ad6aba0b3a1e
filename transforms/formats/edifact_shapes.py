"""Which places of an INVRPT's line items hold values and which codes, for `edi_shapes`.

Never reads a segment: what stands at a place means is for `edifact_reader` to know, and places not listed are not read by it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transforms.formats.edi_numbers import pointed
from transforms.formats.edi_options import EdifactOptions
from transforms.formats.edi_shapes import Place
from transforms.formats.edifact_tokens import released

_PLACES: Mapping[str, tuple[Place, ...]] = {
    "LIN": (Place(3, component=1), Place(3, "text", 0)),
    "QTY": (Place(1, component=0), Place(1, component=2), Place(1, "number", 1)),
    "DTM": (Place(1, component=0), Place(1, "date", 1)),
    "PRI": (Place(1, component=0), Place(1, "price", 1)),
    "IMD": (Place(3, "text", 3),),
    "INV": (Place(1, component=0), Place(2, component=0)),
    "CUX": (Place(1, component=1),),
    "PIA": (), "LOC": (), "NAD": (),
}  # fmt: skip
_UNREAD = ("FTX", "RFF", "MOA", "PAC", "PCI", "GIN", "GIR", "MEA", "ALI", "TAX", "HAN", "STS", "QVR", "CTA", "COM", "TDT")
_DATE_LENGTH = len("CCYYMMDD")


class EdifactShapes:
    """The shapes of INVRPT line items under the present heading; `rows_of` is the reader's."""

    known: Mapping[str, bool] = {**dict.fromkeys(_PLACES, True), **dict.fromkeys(_UNREAD, False)}

    def __init__(
        self,
        options: EdifactOptions,
        heading: Sequence[str],
        separators: tuple[str, str],
        rows_of: Callable[[Sequence[list[str]]], Any],
    ) -> None:
        self._options, self.rows_of = options, rows_of
        self.component, self._decimal = separators
        self.heading = (*heading, options.unit)

    def places(self, segment: Sequence[str]) -> Sequence[Place]:
        """Return what is read of a segment; see `edi_shapes.Syntax`."""
        name, width = segment[0], len(segment)
        if name == "PIA":
            return [place for at in range(2, width) for place in (Place(at, component=1), Place(at, "text", 0))]
        code = segment[1].split(self.component)[0] if width > 1 else ""
        if name == "LOC":
            is_place = code in self._options.location_codes
            return [Place(1, component=0), *((Place(2, component=0), Place(2, component=3)) if is_place else ())]
        if name == "NAD":
            return [Place(1, component=0), *((Place(2, component=0),) if code in self._options.location_parties else ())]
        return _PLACES[name]

    def clean(self, values: Sequence[str], how: str) -> Sequence[str]:
        """Return values as they are meant: released characters put back, a point for the decimal mark, dates without a time."""
        if not "".join(values).isascii():
            values = [released(value) for value in values]
        if how == "date":
            return [value[:_DATE_LENGTH] for value in values]
        if self._decimal != "." and how == "number":
            return [pointed(value, self._decimal) for value in values]
        return [value.replace(self._decimal, ".") for value in values] if how == "price" else values
