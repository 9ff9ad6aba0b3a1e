"""XML documents as batches of text cells: records by path, by local names whatever prefixes and namespaces they have.

Never reads a DTD, resolves an entity or follows an inclusion; an answer that is a SOAP fault is an error, not an empty stock.
Memory does not grow with the document. Runs only in the limited child process.
"""

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import IO

from schemas.errors import ConfigError, DeliveryError
from schemas.records import OpenBinary, RawBatch
from schemas.rejections import escape_value
from transforms.formats.content import not_a_table, not_text, or_unpack
from transforms.formats.document_options import XmlOptions, alternatives
from transforms.formats.document_rows import MOST_MEMBERS, Document, Record, batches, columns_of, first_look
from transforms.formats.text_encoding import marks_at
from transforms.formats.xml_events import XmlRecords
from transforms.formats.xml_paths import CellPath, Element, RowPath, cell_path, paths_in, row_path

_PIECE = 1 << 18
_HEAD = 64  # bytes


def read(open_binary: OpenBinary, options: XmlOptions) -> Iterator[RawBatch]:
    """Yield the records of an XML document in batches, at least one with a row.

    Raises DeliveryError FILE-EMPTY, FILE-NOT-TABLE, FILE-ENCODING, FILE-TRUNCATED, FILE-LIMIT, FILE-UNREADABLE; ConfigError for a
    column that is no path.
    """
    columns = columns_of(options)
    plan = _plan(columns, options)
    notes: list[str] = []
    with open_binary() as stream:
        _check_content(stream, options)

    def every() -> Iterator[Record]:
        with open_binary() as stream:
            yield from _records(stream, plan, options, notes)

    def members() -> list[str]:
        with open_binary() as stream:
            first = next((one for _, one in _elements(stream, plan, options, [], wanted=None)), None)
            return [] if first is None else paths_in(first, MOST_MEMBERS)

    yield from batches(Document(every, members, {"rows": options.rows}, notes), options)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where the records are, in which element each is looked at (`whole`), and how its cells are found from there.

    `children` are the columns that are no more than a child's name, by that name: all of them are found in one go.
    """

    rows: RowPath
    whole: RowPath
    inner: tuple[str, ...]
    columns: tuple[tuple[CellPath, ...], ...]
    children: Mapping[str, int]
    others: tuple[int, ...]


def _plan(columns: tuple[str, ...], options: XmlOptions) -> _Plan:
    rows = row_path(options.rows)
    try:
        paths = tuple(tuple(cell_path(path) for path in alternatives(name)) for name in columns)
        whole = rows.up(max(path.up for column in paths for path in column))
    except ValueError as error:
        raise ConfigError(f"a column of [feed.columns]: {error}", "Correct the path, or format.rows.") from error
    children = {column[0].child: at for at, column in enumerate(paths) if len(column) == 1 and column[0].child is not None}
    others = tuple(at for at in range(len(paths)) if at not in children.values())
    return _Plan(rows, whole, rows.names[len(whole.names) :], paths, children, others)


def _check_content(stream: IO[bytes], options: XmlOptions) -> None:
    head = first_look(stream, options.limits)
    text = not_a_table(head)
    other = not_text(head) or (text if text != "an XML document" else None)
    plain = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if other is None and not plain.startswith(b"<"):
        other = "text that does not begin with <"
    if other is not None:
        message = f"line 1: the file is not XML but {other}"
        remedy = f"Check what the address or folder delivers{or_unpack(head)}."
        raise DeliveryError(message, remedy, code="FILE-NOT-TABLE", line=1)


def _records(stream: IO[bytes], plan: _Plan, options: XmlOptions, notes: list[str]) -> Iterator[Record]:
    """Yield every record; the document is read to its end."""
    for row, element in _elements(stream, plan, options, notes, wanted=_wanted(plan)):
        yield _record(element, row, plan)


def _elements(
    stream: IO[bytes], plan: _Plan, options: XmlOptions, notes: list[str], *, wanted: frozenset[str] | None
) -> Iterator[tuple[int, Element]]:
    """Yield the number and the element of every record; see `XmlRecords` for `wanted`."""
    events = XmlRecords(plan.whole, options, climbs=bool(plan.inner), wanted=wanted)
    head = stream.read(_HEAD)
    mark = next((one for one in (BOM_UTF8, BOM_UTF16_LE, BOM_UTF16_BE) if head.startswith(one)), None)
    stream.seek(marks_at(head, mark) - len(mark) if mark else 0)  # expat knows one mark, and needs it
    row = 0
    while True:
        data = stream.read(_PIECE)
        events.feed(data)
        for whole in events.taken():
            for element in _inner(whole, plan.inner):
                row += 1
                yield row, element
        if not data:
            break
    notes[:] = events.notes
    if not row:
        seen = ", ".join(escape_value(name) for name in list(events.names)[:10])
        raise DeliveryError(
            f"there is no record at {options.rows} in the document; its elements are {seen}",
            "Correct format.rows, or ask the supplier for the whole document.",
            code="FILE-NOT-TABLE",
        )


def _wanted(plan: _Plan) -> frozenset[str] | None:
    """Return the names right below a record that any column looks at; None when that can be any."""
    firsts = {path.steps[0].name for column in plan.columns for path in column}
    return None if plan.inner or firsts & {".", "*"} else frozenset(name for name in firsts if not name.startswith("@"))


def _inner(whole: Element, names: tuple[str, ...]) -> Iterator[Element]:
    if not names:
        yield whole
        return
    for child in whole.children:
        if child.name == names[0]:
            yield from _inner(child, names[1:])


def _record(element: Element, row: int, plan: _Plan) -> Record:
    made = Record(row, element.line, [""] * len(plan.columns))
    cells, columns, present = made.cells, plan.children, 0
    again: list[int] = []
    for child in element.children:
        at = columns.get(child.name)
        if at is None:
            continue
        if child.children or present >> at & 1:
            again.append(at)
        else:
            cells[at] = child.text
        present |= 1 << at
    made.present = present
    for at in chain(dict.fromkeys(again), plan.others):
        _look_for(made, at, element, plan.columns[at])
    if len(made.faults) > 1:
        made.faults.sort()
    return made


def _look_for(made: Record, at: int, element: Element, paths: Sequence[CellPath]) -> None:
    """Find the value of one column by its paths, whatever they are."""
    found = paths[0].find(element)
    for path in paths[1:]:
        if not any(map(_text, found)):
            found = path.find(element) or found
    if not found:
        return
    made.present |= 1 << at
    one = found[0]
    made.cells[at] = ""
    if len(found) > 1:
        made.faults.append((at, "VALUE-SEVERAL", ", ".join(_text(value) for value in found[:5])))
    elif isinstance(one, Element) and one.children:
        made.faults.append((at, "VALUE-TYPE", f"<{one.name}> with <{one.children[0].name}> inside"))
    else:
        made.cells[at] = _text(one)


def _text(value: Element | str) -> str:
    return value if isinstance(value, str) else value.text
