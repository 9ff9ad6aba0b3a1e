"""JSON documents and JSON Lines as batches of text cells: records by JSONPath, numbers as they are written.

Strict: what is no JSON (NaN, a member named twice, half a character) is told and never read as something else. Memory does not
grow with the list of records. Runs only in the limited child process.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from schemas.errors import ConfigError, DeliveryError
from schemas.records import OpenBinary, RawBatch
from schemas.rejections import escape_value, rejection
from transforms.formats.content import not_a_table, not_text, or_unpack
from transforms.formats.document_options import JsonOptions, alternatives
from transforms.formats.document_rows import MOST_MEMBERS, Document, Record, batches, columns_of, first_look
from transforms.formats.json_paths import ABSENT, CellPath, RowPath, Several, cell_path, paths_in, records, row_path
from transforms.formats.json_text import JsonText, NoNumber, Number

_SHOWN_MEMBERS = 10


def read(open_binary: OpenBinary, options: JsonOptions) -> Iterator[RawBatch]:
    """Yield the records of a JSON document in batches; at least one batch, maybe without rows.

    Raises DeliveryError FILE-EMPTY, FILE-NOT-TABLE, FILE-ENCODING, FILE-TRUNCATED, FILE-LIMIT, FILE-UNREADABLE; ConfigError for a
    column that is no path.
    """
    columns = _paths(columns_of(options))
    identifiers = frozenset(name.strip() for name in options.identifier_columns)
    with open_binary() as stream:
        encoding = _check_content(stream, options)
    reading = {"encoding": encoding, "rows": options.rows, "lines": options.lines}

    def every() -> Iterator[Record]:
        with open_binary() as stream:
            yield from _Reading(JsonText(stream, options.limits), options, columns, identifiers).records()

    def members() -> list[str]:
        with open_binary() as stream:
            pass_over = _Reading(JsonText(stream, options.limits), options, columns, identifiers)
            return paths_in(*pass_over.first, MOST_MEMBERS) if next(pass_over.records(), None) else []

    yield from batches(Document(every, members, reading, []), options)


def _paths(columns: tuple[str, ...]) -> dict[str, tuple[CellPath, ...]]:
    found = {}
    for name in columns:
        try:
            found[name] = tuple(cell_path(path) for path in alternatives(name))
        except ValueError as error:
            raise ConfigError(f"a column of [feed.columns]: {error}", "Correct the path.") from error
    return found


def _check_content(stream: IO[bytes], options: JsonOptions) -> str:
    """Return the encoding. Raises DeliveryError when the file is empty, too large, or plainly something else than JSON."""
    head = first_look(stream, options.limits)
    begins = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith((b"{", b"["))
    other = not_text(head) or (None if begins else not_a_table(head))
    if other is None and not begins and not options.lines:
        other = "text that does not begin with { or ["
    if other is not None:
        message = f"line 1: the file is not JSON but {other}"
        remedy = f"Check what the address or folder delivers{or_unpack(head)}."
        raise DeliveryError(message, remedy, code="FILE-NOT-TABLE", line=1)
    stream.seek(0)
    return JsonText(stream, options.limits).encoding


@dataclass(slots=True)
class _Reading:
    """One pass over a document."""

    text: JsonText
    options: JsonOptions
    columns: dict[str, tuple[CellPath, ...]]
    identifiers: frozenset[str]
    path: RowPath = field(init=False)
    row: int = 0
    agreed: set[str] = field(default_factory=set)
    first: tuple[Any, tuple[Any, ...]] = (None, ())  # the first record as it is, and the objects around it

    def __post_init__(self) -> None:
        self.path = row_path(self.options.rows, lines=self.options.lines)

    def records(self) -> Iterator[Record]:
        """Yield every record; the document is read to its end."""
        if self.options.lines:
            while self.text.peek():
                yield from self._of_element(self.text.here())
            return
        yield from self._below(self.path.to_list, ())
        if self.text.peek():
            raise self.text.unreadable(
                "something follows the end of the document; if each line is a document, set format.lines = true"
            )
        self._check_all_agreed()

    def _check_all_agreed(self) -> None:
        missing = sorted(set(self.options.must_be) - self.agreed)
        if missing:
            raise self._not_well(f'the document has no member "{escape_value(missing[0])}", which must be there (format.must_be)')

    def _below(self, names: tuple[str, ...], done: tuple[str, ...]) -> Iterator[Record]:
        """Yield the records of the value that comes next, in which `names` lead to their list."""
        if not names:
            if self.text.peek() != "[":
                raise self._no_list(done)
            for line in self.text.elements():
                yield from self._of_element(line)
            return
        if self.text.peek() != "{":
            raise self._no_list((*done, names[0]), inside=".".join(("$", *done)))
        members = []
        found = False
        for member in self.text.members():
            members.append(member)
            if member == names[0]:
                yield from self._below(names[1:], (*done, member))
                found = True
            elif not done and (member in self.options.must_be or member in self.options.error_members):
                self._judge(member, self.text.value())
            else:
                self.text.skip()
        if not found:
            raise self._no_list((*done, names[0]), members)

    def _judge(self, name: str, value: Any) -> None:
        """Raise DeliveryError when a member of the document says that the answer is not what it should be."""
        if name in self.options.must_be:
            shown = _plain(value)
            if shown != self.options.must_be[name]:
                raise self._not_well(
                    f'"{name}" is {escape_value(str(shown))!r}, not {self.options.must_be[name]!r} (format.must_be)'
                )
            self.agreed.add(name)
        if name in self.options.error_members and value not in (None, False, "", "0", [], {}):
            raise self._not_well(f'the document tells of errors in "{name}": {escape_value(_said(value))}')

    def _not_well(self, what: str) -> DeliveryError:
        hint = "Ask the supplier's interface again" + (", or correct format.must_be." if "must_be" in what else ".")
        return DeliveryError(f"line {self.text.here()}: {what}", hint, code="FILE-NOT-TABLE")

    def _no_list(self, names: tuple[str, ...], members: list[str] | None = None, *, inside: str = "") -> DeliveryError:
        """Return the error for a list of records that is not there; `inside` is a value without members where some should be."""
        at = ".".join(("$", *names))
        shown = ", ".join(escape_value(member) for member in (members or [])[:_SHOWN_MEMBERS])
        has = f"; the members there are {shown}" if shown else ""
        if inside:
            has = f"; {inside} is {'a list' if self.text.peek() == '[' else 'a single value'}"
        elif members is None and self.text.peek() == "{":
            first = [name for _, name in zip(range(_SHOWN_MEMBERS), self._names(), strict=False)]
            has = f", but an object with {', '.join(map(escape_value, first)) or 'no member'}"
        return DeliveryError(
            f"line {self.text.here()}: there is no list of records at {at}{has}",
            "Correct format.rows, or ask the supplier for the whole document.",
            code="FILE-NOT-TABLE",
            line=self.text.here(),
        )

    def _names(self) -> Iterator[str]:
        for name in self.text.members():
            yield name
            self.text.skip()

    def _of_element(self, line: int) -> Iterator[Record]:
        """Yield the records in the next value."""
        self.text.doubled.clear()
        value = self.text.value()
        doubled = tuple(self.text.doubled)
        if self.options.lines and self.path.inside and isinstance(value, dict):  # a document that holds records, one of several
            self.agreed.clear()
            for name in (*self.options.must_be, *self.options.error_members):
                if name in value:
                    self._judge(name, value[name])
            self._check_all_agreed()
            first = self.path.inside[0]
            if isinstance(first, str) and value.get(first) is None:
                raise self._no_list((first,), list(value))
        try:
            for record, enclosing in records(value, self.path.inside):
                self.row += 1
                if self.row == 1:
                    self.first = (record, enclosing)
                yield self._record(record, enclosing, line, doubled)
        except TypeError as error:
            message = f"line {line}: format.rows does not fit the document: {error}"
            raise DeliveryError(message, "Correct format.rows.", code="FILE-NOT-TABLE", line=line) from error

    def _record(self, value: Any, enclosing: tuple[Any, ...], line: int, doubled: tuple[str, ...]) -> Record:
        made = Record(self.row, line, [""] * len(self.columns))
        if doubled:
            made.refused = rejection("ROW-KEYS", row=self.row, line=line, column=doubled[0], value=", ".join(doubled))
        elif not isinstance(value, dict):
            made.refused = rejection("ROW-TYPE", row=self.row, line=line, value=_said(value))
        for at, (name, paths) in enumerate(self.columns.items()):
            found = paths[0].value(value, enclosing)
            for path in paths[1:]:
                if found is ABSENT or found in (None, ""):
                    other = path.value(value, enclosing)
                    found = found if other is ABSENT else other
            if found is not ABSENT:
                made.present |= 1 << at
                self._place(made, at, name, found)
        return made

    def _place(self, made: Record, at: int, name: str, value: Any) -> None:
        """Put a value into its cell, or say why it cannot be there."""
        if isinstance(value, Several):
            made.faults.append((at, "VALUE-SEVERAL", ", ".join(_said(one) for one in value.values[:5])))
            return
        text = _plain(value)
        bad_key = name in self.identifiers and (value in (True, False) or (isinstance(value, Number) and not value.isdigit()))
        if text is None or isinstance(value, NoNumber) or bad_key:
            made.faults.append((at, "VALUE-TYPE", _said(value)))
        elif not text.isascii() and _half_a_character(text):
            made.refused = rejection("ENC-BAD", row=made.row, line=made.line, column=name, value=text)
        else:
            made.cells[at] = text.replace(".", ",") if isinstance(value, Number) and name in self.options.decimal_commas else text


def _plain(value: Any) -> str | None:
    """Return a text, a number as written, a truth as `true` or `false`, null as ""; None for a list or an object."""
    if isinstance(value, str):
        return str(value)
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else None


def _half_a_character(text: str) -> bool:
    return any("\ud800" <= one <= "\udfff" for one in text)


def _said(value: Any) -> str:
    """Return what is shown of a value that is no cell."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_said(one)}" for key, one in list(value.items())[:3]) + "}"
    return "[" + ", ".join(_said(one) for one in value[:3]) + "]" if isinstance(value, list) else str(value)
