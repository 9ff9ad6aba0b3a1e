"""The formats stockfeed reads, one line each.

Never imports a reader before it is asked for: configuration checks and DAG parsing stay light.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from schemas.records import Observer, OpenBinary, Reader
    from transforms.formats.edi_report import Report


@dataclass(frozen=True, slots=True)
class Format:
    """Where a format's reader and options model are ("module:name"); `limited`: parsed only in the limited child process.

    `observer` is for formats whose rows are not what the file shows: it yields observations, as `transforms.observe` does.
    `examiner` is for formats that are acknowledged: it returns what the envelope of a file says.
    """

    reader: str
    options: str
    limited: bool = False
    observer: str | None = None
    examiner: str | None = None


FORMATS: Mapping[str, Format] = {
    "delimited": Format("transforms.formats.delimited:read", "transforms.formats.options:DelimitedOptions"),
    "fixed_width": Format("transforms.formats.fixed_width:read", "transforms.formats.document_options:FixedWidthOptions"),
    "json_doc": Format("transforms.formats.json_doc:read", "transforms.formats.document_options:JsonOptions", limited=True),
    "spreadsheet": Format("transforms.formats.spreadsheet:read", "transforms.formats.options:SpreadsheetOptions", limited=True),
    "edi_x12": Format(
        "transforms.formats.edi_x12:read",
        "transforms.formats.edi_options:X12Options",
        observer="transforms.formats.edi_x12:observe",
        examiner="transforms.formats.edi_x12:examine",
    ),
    "edifact": Format(
        "transforms.formats.edifact:read",
        "transforms.formats.edi_options:EdifactOptions",
        observer="transforms.formats.edifact:observe",
        examiner="transforms.formats.edifact:examine",
    ),
    "xml_doc": Format("transforms.formats.xml_doc:read", "transforms.formats.document_options:XmlOptions", limited=True),
}


def names() -> tuple[str, ...]:
    """Return the names a feed may give as `format.type`, sorted."""
    return tuple(sorted(FORMATS))


def find(name: str) -> Format:
    """Return the registry entry of `name`. Raises ConfigError with the nearest known name."""
    if name in FORMATS:
        return FORMATS[name]
    close = get_close_matches(name, FORMATS, n=1)
    hint = f'Did you mean "{close[0]}"?' if close else f"Known formats: {', '.join(names())}."
    raise ConfigError(f'format.type "{name}" is not a known format.', hint)


def options_model(name: str) -> "type[BaseModel]":
    """Return the pydantic model that checks the keys of a format table beside `type`. Raises ConfigError."""
    return cast("type[BaseModel]", _load(find(name).options))


def load_reader(name: str) -> "Reader":
    """Return the reader callable of a format. Raises ConfigError."""
    return cast("Reader", _load(find(name).reader))


def load_observer(name: str) -> "Observer | None":
    """Return the callable that yields a format's own observations, None where rows show everything. Raises ConfigError."""
    observer = find(name).observer
    return cast("Observer", _load(observer)) if observer else None


def load_examiner(name: str) -> "Callable[[OpenBinary, Any], Report] | None":
    """Return the callable that gives the envelope of a format's files, None where there is none. Raises ConfigError."""
    examiner = find(name).examiner
    return cast("Callable[[OpenBinary, Any], Report]", _load(examiner)) if examiner else None


def _load(dotted: str) -> object:
    module, _, attribute = dotted.partition(":")
    return getattr(import_module(module), attribute)
