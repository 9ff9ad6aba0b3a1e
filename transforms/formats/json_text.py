"""JSON text read piece by piece: values are decoded one at a time, and no more of the text is kept than one needs.

Strict: NaN and Infinity are told apart from numbers, a member named twice is told, numbers stay as they are written.
Never keeps a whole document.
"""

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from schemas.errors import DeliveryError
from schemas.rejections import escape_value
from transforms.formats.limits import Limits, exceeded
from transforms.formats.text_encoding import detect

_PIECE = 1 << 20
_NEAR_END = 64  # characters: an error nearer to the end of what is read may be a value that goes on
_BLANKS = " \t\r\n"


class Number(str):
    """A number as it is written."""

    __slots__ = ()


class NoNumber(str):
    """NaN, Infinity or -Infinity, which JSON does not know."""

    __slots__ = ()


@dataclass(slots=True)
class JsonText:
    """A JSON text with a place in it. `doubled` are the members named twice in the values decoded since it was last emptied."""

    stream: IO[bytes]
    limits: Limits
    encoding: str = field(init=False)
    line: int = 1
    doubled: list[str] = field(default_factory=list)
    _text: str = ""
    _at: int = 0
    _counted: int = 0
    _ended: bool = False
    _decode: Any = field(init=False)
    _decoder: json.JSONDecoder = field(init=False)

    def __post_init__(self) -> None:
        self.encoding, mark = detect(self.stream.read(4096), "auto")
        self.stream.seek(mark)
        self._decode = codecs.getincrementaldecoder(self.encoding)("strict").decode
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object, parse_int=Number, parse_float=Number, parse_constant=NoNumber
        )

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            self.doubled += sorted({name for name in names if names.count(name) > 1})
        return found

    def peek(self) -> str:
        """Return the next character that is no blank, without taking it; "" at the end."""
        while True:
            text = self._text
            size = len(text)
            while self._at < size and text[self._at] in _BLANKS:
                self._at += 1
            if self._at < size:
                return text[self._at]
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """Return the next character, which has to be one of `expected`. Raises DeliveryError."""
        found = self.peek()
        if not found:
            raise self.truncated()
        if found not in expected:
            raise self.unreadable(f"{' or '.join(expected)} is expected, and there is {escape_value(found)!r}")
        self._at += 1
        return found

    def value(self) -> Any:
        """Return the next value, decoded. Raises DeliveryError FILE-UNREADABLE, FILE-TRUNCATED, FILE-LIMIT."""
        if not self.peek():
            raise self.truncated()
        doubled = len(self.doubled)
        while True:
            del self.doubled[doubled:]  # what an attempt at a cut off value found
            try:
                found, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                self._go_on(error)
                continue
            except RecursionError as error:
                raise self._too_deep() from error
            if end + 2 >= len(self._text) and not self._ended:
                self._more()  # a number may go on, as 1 in "1e+5"
                continue
            self._check_depth(self._at, end)
            self._at = end
            return found

    def _go_on(self, error: json.JSONDecodeError) -> None:
        """Read on where the value may only be cut off by the end of what is read, else raise what is wrong."""
        cut_off = error.pos >= len(self._text) - _NEAR_END or error.msg.startswith("Unterminated string")
        if cut_off and not self._ended:
            held = len(self._text) - self._at
            if held > self.limits.line_bytes:
                found = f"line {self.here()}: one record of more than {held} characters"
                raise exceeded(found, self.limits.line_bytes, "line_bytes", line=self.here())
            self._more()
            return
        inside_a_text = error.msg.startswith("Unterminated string")  # it goes to the end: a line end in a text is another error
        if inside_a_text or (cut_off and error.msg.startswith("Expecting") and not self._text[error.pos + 1 :].strip(_BLANKS)):
            raise self.truncated() from error
        line = self.line + self._text.count("\n", self._counted, error.pos)
        shown = escape_value(self._text[error.pos : error.pos + 20])
        raise self.unreadable(f"{error.msg[0].lower()}{error.msg[1:]} at {shown!r}", line) from error

    def _check_depth(self, start: int, end: int) -> None:
        limit = self.limits.json_depth
        openers = self._text.count("{", start, end) + self._text.count("[", start, end)
        if openers <= limit:
            return
        depth = deepest = 0
        text, quoted, escaped = self._text[start:end], False, False
        for one in text:
            if quoted:
                quoted, escaped = escaped or one != '"', one == "\\" and not escaped
            elif one == '"':
                quoted = True
            elif one in "{[":
                depth += 1
                deepest = max(deepest, depth)
            elif one in "}]":
                depth -= 1
        if deepest > limit:
            raise self._too_deep()

    def members(self) -> Iterator[str]:
        """Yield the names of the members of the object that begins here; the caller takes each value. Raises DeliveryError."""
        self.take("{")
        names: set[str] = set()
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                self.take('"')
            name = self.value()
            if name in names:
                raise self.unreadable(f'the member "{escape_value(name)}" is there twice')
            names.add(name)
            self.take(":")
            yield name
            if self.take(",}") == "}":
                return

    def elements(self) -> Iterator[int]:
        """Yield the line of each element of the list that begins here; the caller takes each value. Raises DeliveryError."""
        self.take("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            self.peek()
            yield self.here()
            if self.take(",]") == "]":
                return

    def skip(self, levels: int = 4) -> None:
        """Go past the next value, which may be long in its first `levels`."""
        found = self.peek()
        if levels and found == "{":
            for _ in self.members():
                self.skip(levels - 1)
        elif levels and found == "[":
            for _ in self.elements():
                self.skip(levels - 1)
        else:
            self.value()

    def here(self) -> int:
        """Return the line of the place, from 1."""
        self.line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self.line

    def _more(self) -> bool:
        """Read another piece; False at the end. What has been taken is forgotten. Raises DeliveryError FILE-ENCODING."""
        if self._ended:
            return False
        self.here()
        wanted = max(_PIECE, len(self._text) - self._at)  # a long value is not tried again too often
        data = self.stream.read(wanted)
        try:
            piece = self._decode(data, not data)
        except UnicodeDecodeError as error:
            line = self.line + self._text.count("\n", self._at) + error.object[: error.start].count(b"\n")
            raise DeliveryError(
                f"line {line}: the file cannot be read as {self.encoding}",
                "Ask for the document in UTF-8.",
                code="FILE-ENCODING",
                line=line,
            ) from error
        self._text, self._at, self._counted = self._text[self._at :] + piece, 0, 0
        self._ended = not data
        return bool(piece) or (not self._ended and self._more())

    def unreadable(self, what: str, line: int | None = None) -> DeliveryError:
        """Return the error for text that is no JSON, at this place."""
        at = self.here() if line is None else line
        return DeliveryError(f"line {at}: the file is not JSON: {what}", "Ask for the document as JSON.", line=at)

    def truncated(self) -> DeliveryError:
        """Return the error for a text that ends before its document does."""
        message = f"line {self.here()}: the file ends in the middle of the document"
        return DeliveryError(message, "Send the whole file again.", code="FILE-TRUNCATED", line=self.line)

    def _too_deep(self) -> DeliveryError:
        limit = self.limits.json_depth
        return exceeded(f"line {self.here()}: lists and objects in each other, to a depth over {limit}", limit, "json_depth")
