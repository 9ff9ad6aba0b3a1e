"""The events of an XML parser, and the elements that are kept of them: those in which records are, each until it has been taken.

Never declares or expands an entity, reads a DTD, or follows an inclusion.
"""

import re
from collections.abc import Iterator
from xml.parsers import expat  # guarded as defusedxml guards it, and it keeps no tree

from schemas.errors import DeliveryError
from schemas.rejections import escape_value
from transforms.formats.document_options import XmlOptions
from transforms.formats.limits import exceeded
from transforms.formats.xml_paths import Element, RowPath

_XINCLUDE = "http://www.w3.org/2001/XInclude"
_SOAP = ("http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope")
_ENCODINGS = (
    expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING],
    expat.errors.codes[expat.errors.XML_ERROR_INCORRECT_ENCODING],
)
_UNENDED = tuple(
    expat.errors.codes[name]
    for name in (expat.errors.XML_ERROR_NO_ELEMENTS, expat.errors.XML_ERROR_UNCLOSED_TOKEN, expat.errors.XML_ERROR_PARTIAL_CHAR,
                 expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION)
)  # fmt: skip
_INVALID = expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]
_TAG = re.compile(rb"""<(?:[^"'>]|"[^"]*"|'[^']*')*>""")
_ENTITY = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);|#)([^;]*);")
_SHOWN = 200  # characters of what an error answer says
_SHOWN_NAMES = 100
_MOST_TAGS = 4_096  # whose parts are remembered
_COSTS = 64  # bytes that an element costs beside its text, for the limit of one record


class XmlRecords:
    """Feed it the document piece by piece, and take the elements at `path` as they are complete.

    `names` are the local names met, in order (the first hundred), `notes` sentences for people. Only where columns go up
    (`climbs`) do elements know the one above and their own line: such rings of references cost much to clean up. `wanted` are the
    names right below an element at `path` that any column looks at (None: all): others are checked and not kept.
    """

    def __init__(self, path: RowPath, options: XmlOptions, *, climbs: bool, wanted: frozenset[str] | None = None) -> None:
        self.names: dict[str, None] = {}
        self.notes: list[str] = []
        self._path, self._options, self._climbs, self._wanted = path, options, climbs, wanted
        self._passed_over = 0  # depth of the element inside which nothing is kept; 0 outside of one
        self._depth, self._most = options.limits.xml_depth, options.limits.line_bytes
        # tag → local name, and whether it may be a record, an error or an inclusion
        self._tags: dict[str, tuple[str, bool]] = {}
        self._stack: list[str] = []
        self._open_ones: list[Element] = []
        self._size = 0
        self._complete: list[Element] = []
        self._refused: list[str] | None = None  # texts inside an element that refuses the file
        self._refused_at = 0
        self._what = ""
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._data
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.EntityDeclHandler = self._entity
        self._parser.ExternalEntityRefHandler = self._entity
        self._parser.SkippedEntityHandler = self._skipped

    def feed(self, data: bytes) -> None:
        """Parse the next piece; b"" ends the document. Raises DeliveryError."""
        try:
            self._parser.Parse(data, not data)
        except expat.ExpatError as error:
            raise self._wrong(error) from error
        except (ValueError, LookupError) as error:  # what Python says of the declared encoding
            message = f"line 1: the declared encoding cannot be read: {escape_value(str(error))}"
            raise DeliveryError(message, "Ask for the document in UTF-8.", code="FILE-ENCODING", line=1) from error

    def taken(self) -> Iterator[Element]:
        """Yield the complete elements, and forget them."""
        complete, self._complete = self._complete, []
        yield from complete

    def _wrong(self, error: expat.ExpatError) -> DeliveryError:
        what, line = expat.ErrorString(error.code), error.lineno
        place = f"line {line}, column {error.offset + 1}"
        if error.code in _ENCODINGS:
            message = f"{place}: the declared encoding cannot be read: {what}"
            return DeliveryError(message, "Ask for the document in UTF-8.", code="FILE-ENCODING", line=line)
        if error.code in _UNENDED:
            message = f"{place}: the file ends in the middle of the document: {what}"
            return DeliveryError(message, "Send the whole file again.", code="FILE-TRUNCATED", line=line)
        hint = "Ask for a well-formed document"
        hint += ", in the encoding that its first line declares." if error.code == _INVALID else "."
        return DeliveryError(f"{place}: the document is not well-formed XML: {what}", hint, line=line)

    def _doctype(self, name: str, system: str | None, _public: str | None, inside: int) -> None:
        line = self._line()
        if inside or self._options.doctype == "refuse":
            what = "declares a DTD inside" if inside else "names a DTD"
            hint = "Ask for the document without a DTD" + (
                "." if inside else ', or set format.doctype = "ignore": it is never fetched.'
            )
            raise DeliveryError(f"line {line}: the document {what} (DOCTYPE {escape_value(name)})", hint, line=line)
        self.notes.append(f"the document names a DTD, which was not fetched: {escape_value(system or name)}")

    def _entity(self, *_: object) -> int:
        line = self._line()
        raise DeliveryError(
            f"line {line}: the document declares or uses an entity of a DTD", "Ask for it without a DTD.", line=line
        )

    def _skipped(self, name: str, _parameter: int) -> None:
        """An entity that only the DTD that was not fetched may explain: what it stands for is unknown, so nothing is read."""
        line = self._line()
        message = f"line {line}: &{escape_value(name)}; is explained only in the DTD, which is not fetched"
        raise DeliveryError(message, "Ask for the document with the characters themselves.", line=line)

    def _look_for_entities(self) -> None:
        """The parser leaves an entity of the DTD that was not fetched out of an attribute without a word."""
        written = self._parser.GetInputContext() or b""
        tag = _TAG.match(written.replace(b"\0", b"")) if b"&" in written else None
        found = _ENTITY.search(tag[0]) if tag else None
        if found:
            self._skipped(found[1].decode("ascii", "replace"), 0)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if attributes and self.notes:
            self._look_for_entities()
        known = self._tags.get(tag)
        name, is_special = known if known is not None else self._learn(tag)
        stack = self._stack
        stack.append(name)
        is_record = (is_special or len(stack) > self._depth) and self._look_at(tag, name)
        open_ones = self._open_ones
        if not open_ones:
            self._start_outside(name, attributes, is_record=is_record)
            return
        if is_record:
            raise self._record_in_record(name)
        self._size += _COSTS + (sum(map(len, attributes.values())) if attributes else 0)
        if self._size > self._most:
            raise self._too_large()
        if self._passed_over:
            return
        if self._wanted is not None and len(open_ones) == 1 and name not in self._wanted:
            self._passed_over = len(stack)
            return
        above = open_ones[-1]
        place = (above, self._line()) if self._climbs else (None, above.line)
        made = _element(name, attributes, *place) if attributes else Element(name, attributes, *place)
        above.children.append(made)
        open_ones.append(made)

    def _start_outside(self, name: str, attributes: dict[str, str], *, is_record: bool) -> None:
        if len(self.names) < _SHOWN_NAMES:
            self.names[name] = None
        if is_record:
            self._size = 0
            self._open_ones.append(_element(name, attributes, None, self._line()))

    def _look_at(self, tag: str, name: str) -> bool:
        """Return whether the element just begun is a record. Raises DeliveryError for one too deep, an error or an inclusion."""
        stack = self._stack
        if len(stack) > self._depth:
            what = f"line {self._line()}: elements in each other to a depth over {self._depth}"
            raise exceeded(what, self._depth, "xml_depth", line=self._line())
        namespace = tag.rpartition(" ")[0]
        if self._refused is None and self._is_watched(namespace, name):
            self._look_for_errors(namespace, name, len(stack))
        return name == self._path.names[-1] and self._is_at_path()

    def _is_watched(self, namespace: str, name: str) -> bool:
        return namespace == _XINCLUDE or name == "Fault" or name in self._options.refuse

    def _learn(self, tag: str) -> tuple[str, bool]:
        namespace, _, name = tag.rpartition(" ")
        known = (name, name == self._path.names[-1] or self._is_watched(namespace, name))
        if len(self._tags) < _MOST_TAGS:
            self._tags[tag] = known
        return known

    def _line(self) -> int:
        return self._parser.CurrentLineNumber

    def _look_for_errors(self, namespace: str, name: str, depth: int) -> None:
        if namespace == _XINCLUDE:
            message = f"line {self._line()}: the document wants another one included (xi:{name}), which is never followed"
            raise DeliveryError(message, "Ask for the document as a whole.", line=self._line())
        fault = name == "Fault" and namespace in _SOAP
        if fault or name in self._options.refuse:
            self._what = "a SOAP Fault" if fault else f"an error (<{escape_value(name)}>)"
            self._refused, self._refused_at = [], depth

    def _is_at_path(self) -> bool:
        names = self._path.names
        if self._stack[-1] != names[-1] or len(self._stack) < len(names):
            return False
        return tuple(self._stack[-len(names) :]) == names and (len(self._stack) == len(names) or not self._path.from_root)

    def _record_in_record(self, name: str) -> DeliveryError:
        line, shown = self._line(), "//" + "/".join(self._path.names)
        message = f"line {line}: <{escape_value(name)}> inside another one: which of them are records, {shown} does not say"
        hint = "Write format.rows from the root, such as /stock/item."
        return DeliveryError(message, hint, code="FILE-NOT-TABLE", line=line)

    def _too_large(self) -> DeliveryError:
        line = self._line()
        return exceeded(f"line {line}: one record of more than {self._most} bytes", self._most, "line_bytes", line=line)

    def _data(self, text: str) -> None:
        if self._refused is not None and sum(map(len, self._refused)) < _SHOWN and text.strip():
            self._refused.append(text.strip())
        if self._open_ones:
            self._size += len(text)
            if self._size > self._most:
                raise self._too_large()
            if not self._passed_over:
                self._open_ones[-1].parts.append(text)

    def _end(self, _tag: str) -> None:
        stack = self._stack
        if self._refused is not None and len(stack) == self._refused_at:
            raise self._error_answer(self._refused)
        depth = len(stack)
        stack.pop()
        if self._passed_over:
            if self._passed_over == depth:
                self._passed_over = 0
            return
        open_ones = self._open_ones
        if open_ones:
            done = open_ones.pop()
            if not open_ones:
                self._complete.append(done)

    def _error_answer(self, texts: list[str]) -> DeliveryError:
        said = escape_value(" ".join(dict.fromkeys(reversed(texts)))[:_SHOWN])
        line = self._line()
        return DeliveryError(
            f"line {line}: the answer is {self._what}, not stock: {said}",
            "Ask the supplier's interface again, with the right credentials and question.",
            code="FILE-NOT-TABLE",
            line=line,
        )


def _element(name: str, attributes: dict[str, str], above: Element | None, line: int) -> Element:
    if not attributes or not any(" " in key for key in attributes):
        return Element(name, attributes, above, line)
    prefixed = [(key.rpartition(" ")[2], value) for key, value in attributes.items() if " " in key]
    plain = {key: value for key, value in attributes.items() if " " not in key}
    made = Element(name, dict(prefixed) | plain, above, line)
    clashing = {}
    for key, _ in prefixed:
        values = [value for other, value in prefixed if other == key]
        if len(values) > 1 and key not in plain:
            clashing[key] = values
    made.clashing = clashing
    return made
