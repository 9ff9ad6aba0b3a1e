"""Which encoding and delimiter a stranger's text file may have, and its first records as cells, by its first bytes.

Never used to read a feed: there the encoding is declared or marked, because single-byte encodings cannot be told apart for sure.
"""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from transforms.formats.csv_records import Dialect, split_record
from transforms.formats.layout import choose_delimiter, stated_delimiter
from transforms.formats.options import DelimitedOptions
from transforms.formats.text_encoding import TextStream, detect

_ASIAN = ("cp932", "gb18030", "big5", "euc_kr")
_SINGLE = ("cp1251", "cp1252", "cp1250", "latin-1")  # Latin letters hardly ever pass for Cyrillic words
_CYRILLIC = range(0x0400, 0x0500)
_CJK = (range(0x3040, 0x3100), range(0x4E00, 0xA000), range(0xAC00, 0xD7A4), range(0x3000, 0x3020), range(0xFF00, 0xFF61))
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
_HIGH = re.compile(rb"[\x80-\xff]+")
_INSIDE_WORD = re.compile(rb"[a-z][\x80-\xff]{2,}[a-z]")  # as in "Gr\xf6\xdfe": accents, not characters of two bytes
_MOST_RECORDS = 2_000
_RECORD_LINES = 200
_CONTROL_END = 0xA0
_FEW_DAMAGED, _HALF, _MOST = 0.2, 0.5, 0.8
_SOME_BROKEN = 0.02


@dataclass(frozen=True, slots=True)
class TextGuess:
    """How a text file is probably written, with the evidence for its encoding, and its first records: (row, cells)."""

    encoding: str
    encoding_evidence: str
    encoding_sure: bool
    delimiter: str
    quote: str
    quote_evidence: str
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def guess_text(data: bytes, *, whole: bool) -> TextGuess:
    """Return the guess for a file that begins with `data`; `whole` when that is all of it.

    Raises DeliveryError FILE-ENCODING or FILE-TRUNCATED when a marked file does not hold what its mark says.
    """
    encoding, evidence, sure, text = _decoded(data, whole=whole)
    lines = _lines(text)
    if not whole and len(lines) > 1:
        lines = lines[:-1]
    stated = stated_delimiter(lines[0]) if lines else None
    lines = lines[1:] if stated else lines
    delimiter = stated or choose_delimiter(lines, DelimitedOptions())
    rows, broken = _records(lines, Dialect(delimiter, '"'))
    if broken <= _SOME_BROKEN * len(rows):
        return TextGuess(encoding, evidence, sure, delimiter, '"', "", rows)
    told = f"{broken} of {len(rows)} sampled rows have a quote that is not closed or not doubled"
    return TextGuess(encoding, evidence, sure, delimiter, "", told, _records(lines, Dialect(delimiter, ""))[0])


def guess_encoding(data: bytes) -> tuple[str, str]:
    """Return the most plausible encoding of a whole text of bytes that are not UTF-8, and why."""
    return _decoded(data, whole=True)[:2]


def _lines(text: str) -> list[str]:
    """Return the lines with their ends; unlike for `str.splitlines`, only CR and LF end a line."""
    return _LINE.findall(text)


def _records(lines: Sequence[str], dialect: Dialect) -> tuple[tuple[tuple[int, tuple[str, ...]], ...], int]:
    rows: list[tuple[int, tuple[str, ...]]] = []
    at = broken = 0
    while at < len(lines) and len(rows) < _MOST_RECORDS:
        split = split_record(lines[at : at + _RECORD_LINES], dialect)
        bad = split.unclosed or split.bare
        broken += bad
        rows.append((len(rows) + 1, split.fields))
        at += 1 if bad else split.lines
    return tuple(rows), broken


def _decoded(data: bytes, *, whole: bool) -> tuple[str, str, bool, str]:
    """Return codec name, evidence, whether it is sure, and the text."""
    marked, size = detect(data, "auto")
    if size or marked != "utf-8":
        stream = TextStream(BytesIO(data if whole else _whole_characters(data, marked)), marked, size)
        text = "".join(iter(lambda: stream.read(1 << 20).decode(stream.codec, "replace"), ""))
        return "auto", f"{marked}: {'a byte-order mark says so' if size else 'every second byte is NUL'}", True, text
    cut = data if whole else data[: max(data.rfind(b"\n"), data.rfind(b"\r")) + 1] or data  # it may end inside a character
    try:
        text = cut.decode("utf-8")
    except UnicodeDecodeError:
        return _legacy(cut)
    sure = "all sampled bytes are ASCII; UTF-8 until other letters show" if text.isascii() else "all sampled bytes are valid UTF-8"
    return "utf-8", sure, not text.isascii(), data.decode("utf-8", "replace")


def _whole_characters(data: bytes, encoding: str) -> bytes:
    """Return a sample without the character of UTF-8, -16 or -32 at whose middle it may end."""
    decoder = codecs.getincrementaldecoder(encoding)("ignore")
    decoder.decode(data)
    unfinished = decoder.getstate()[0]
    return data[: len(data) - len(unfinished)]


def _legacy(data: bytes) -> tuple[str, str, bool, str]:
    """Return the most plausible encoding of bytes that are not UTF-8: one whose other letters look like one script."""
    broken = data.decode("utf-8", "replace")
    if _only_damaged(broken):
        return "utf-8", "most lines beyond ASCII are valid UTF-8, a few are damaged", False, broken
    for name in (*_ASIAN, *_SINGLE):
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        if _plausible(name, text, data):
            word = next((w for w in text.split() if not w.isascii()), "")[:40]
            return name, f"not UTF-8; in {name} a word reads {word!r}: compare it with the real one", False, text
    return "cp1252", "not UTF-8, and no known encoding reads all of it", False, data.decode("cp1252", "replace")


def _only_damaged(text: str) -> bool:
    """Return whether far more lines hold whole UTF-8 letters than damaged ones: such a file is UTF-8 with faults."""
    beyond = [line for line in text.split("\n") if not line.isascii()]
    return sum("\ufffd" in line for line in beyond) < _FEW_DAMAGED * len(beyond)


def _plausible(name: str, text: str, data: bytes) -> bool:
    """Return whether `text`, which is `data` read in the encoding `name`, looks like writing in the script of that encoding."""
    others = [ord(c) for c in text if not c.isascii()]
    if name in _ASIAN:
        written = sum(any(c in block for block in _CJK) for c in others)
        if 2 * len(_INSIDE_WORD.findall(data)) > len(_HIGH.findall(data)):
            return False
        return _in_runs(data, 2) >= _MOST and written >= _MOST * len(others)
    if name == "latin-1":
        return True
    if any(c < _CONTROL_END for c in others):
        return False
    if name == "cp1251":
        return _in_runs(data, 3) >= _HALF and sum(c in _CYRILLIC for c in others) >= _MOST * len(others)
    return True


def _in_runs(data: bytes, length: int) -> float:
    """Return the share of the bytes beyond ASCII that stand in runs of at least `length`: accents among Latin letters do not."""
    runs = [len(run) for run in _HIGH.findall(data)]
    return sum(run for run in runs if run >= length) / sum(runs)
