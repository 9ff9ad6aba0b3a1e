"""`feeds try` without a feed: a stranger's file looked at, and a first supplier file guessed from it.

Reads a sample only; workbooks and archives in the limited child process. Never writes a file, and never reads a feed by a guess.
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import DeliveryError
from schemas.feed_config import TypedSection
from schemas.records import RawBatch
from stockfeed.reading import read_batches
from transforms.formats.content import ARCHIVE_HEAD, archive_kind, not_a_table, not_text
from transforms.guess import Guess, guess_config
from transforms.guess_header import Rows
from transforms.guess_text import guess_encoding, guess_text
from transforms.guess_toml import as_toml

_SAMPLE_BYTES = 262_144
_SAMPLE_ROWS = 2_000
_SAMPLE_COLUMNS = 1_000
_LONGEST_CODE = 60
_ELSE = frozenset({"FILE-NOT-TABLE", "FILE-ENCODING", "FILE-UNREADABLE"})  # may be read in another way
_STOCK_SHEET = r"(?i)stock|inventor|bestand|lager|existenc|giacenz|magazzin|voorraad|остат|склад|库存|庫存|在庫"
_DOCUMENTS = {"a JSON document": "json_doc", "an XML document": "xml_doc"}
_DECLARE = 'Declare [feed.format] type = "{0}": docs/formats/{0}.md shows a whole feed.'
_WORKBOOKS = ("an old Excel workbook", "a workbook of")


@dataclass(frozen=True, slots=True)
class FirstConfig:
    """A guessed supplier file: its text, and each guess with its evidence."""

    toml: str
    guesses: tuple[Guess, ...]


@dataclass(frozen=True, slots=True)
class _Sample:
    form: tuple[Guess, ...]  # how the file is read
    rows: Rows
    workbook: bool
    whole: bool


def first_config(path: Path) -> FirstConfig:
    """Return a first supplier file for the file at `path`. Raises DeliveryError when it is no table in any form known here."""
    sample = _sample(path)
    rows = [(row, cells[:_SAMPLE_COLUMNS]) for row, cells in sample.rows]
    if not any(character.isalnum() for _, cells in rows for cell in cells for character in cell):
        raise DeliveryError("the file holds no row with a value", "Give a file with some records in it.", code="FILE-EMPTY")
    guesses = guess_config(_code(path), sample.form, rows, workbook=sample.workbook, whole=sample.whole)
    return FirstConfig(as_toml(guesses, file=path.name), tuple(guesses))


def _code(path: Path) -> str:
    """Return a supplier code made of the file's name."""
    plain = unicodedata.normalize("NFKD", path.stem.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain)[:_LONGEST_CODE].strip("_") or "supplier"


def _sample(path: Path) -> _Sample:
    with path.open("rb") as stream:
        data = stream.read(_SAMPLE_BYTES)
        whole = not stream.read(1)
    if not data:
        raise DeliveryError("the file is empty (0 bytes)", "Give a file with some records in it.", code="FILE-EMPTY")
    _refuse_edi(data)
    found, packed = not_text(data), archive_kind(data[:ARCHIVE_HEAD])
    if found and found.startswith(_WORKBOOKS):
        return _workbook(path, {})
    if packed == "zip":
        try:
            return _workbook(path, {})
        except DeliveryError as error:
            if error.code not in _ELSE:
                raise
    if packed:
        return _packed(path, packed)
    document = found or not_a_table(data)
    if document:
        told = f"the file is neither delimited text nor a workbook but {document}"
        kind = _DOCUMENTS.get(document)
        remedy = f"{_DECLARE.format(kind)} Is it no stock? " if kind else ""
        raise DeliveryError(told, f"{remedy}Check what the address or folder delivers.", code="FILE-NOT-TABLE")
    return _text(data, whole=whole)


def _text(data: bytes, *, whole: bool) -> _Sample:
    text = guess_text(data, whole=whole)
    form = [
        Guess("feed.format.type", "delimited", "the file is text", "sure"),
        Guess("feed.format.encoding", text.encoding, text.encoding_evidence, "sure" if text.encoding_sure else "unsure"),
        Guess("feed.format.delimiter", text.delimiter, "it splits most sampled rows into the same number of cells", "likely"),
    ]
    if not text.quote:
        form.append(Guess("feed.format.quote", "", text.quote_evidence, "unsure"))
    return _Sample(tuple(form), text.rows, workbook=False, whole=whole)


def _refuse_edi(data: bytes) -> None:
    """Raise DeliveryError for an interchange: as delimited text it would be a table of nonsense."""
    head = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:4]
    standard = {b"ISA": "edi_x12", b"UNA": "edifact", b"UNB": "edifact"}.get(head[:3])
    if standard and not head[3:].isalnum():
        raise DeliveryError(
            f"the file is an EDI interchange ({head[:3].decode()} segment)",
            _DECLARE.format(standard),
            code="FILE-NOT-TABLE",
        )


def _packed(path: Path, kind: str) -> _Sample:
    """Return the sample of the table inside an archive: text, or a workbook."""
    archive = Guess("feed.format.archive", "auto", f"the file is a {kind} archive by its first bytes", "sure")
    try:
        batch, encoding = _packed_text(path)
    except DeliveryError as error:
        if error.code != "FILE-NOT-TABLE":
            raise
        sample = _workbook(path, {"archive": "auto"})
        return _Sample((*sample.form, archive), sample.rows, workbook=True, whole=sample.whole)
    told = "it splits most rows into the same number of cells"
    form = (
        Guess("feed.format.type", "delimited", "the file inside is text", "sure"),
        archive,
        encoding,
        Guess("feed.format.delimiter", batch.reading["delimiter"], told, "likely"),
    )
    return _Sample(form, _rows(batch), workbook=False, whole=batch.frame.height < _SAMPLE_ROWS)


def _packed_text(path: Path) -> tuple[RawBatch, Guess]:
    """Return the first rows of the text inside an archive, in UTF-8 or what is marked, else in what its bytes look like."""
    options = {"type": "delimited", "archive": "auto", "short_rows": "pad", "long_rows": "cut_blank"}
    key = "feed.format.encoding"
    try:
        batch = _first_batch(path, {**options, "encoding": "auto"})
    except DeliveryError as error:
        if error.code != "FILE-ENCODING":
            raise
    else:
        if all(one.code != "ENC-BAD" for one in batch.rejections):
            return batch, Guess(key, "auto", f"read as {batch.reading['encoding']}", "likely")
    # in Latin-1 each byte is the letter of the same number: so its cells are the bytes, which only the child process unpacks
    seen = _first_batch(path, {**options, "encoding": "latin-1"})
    encoding, why = guess_encoding("\n".join(cell for _, row in _rows(seen) for cell in row).encode("latin-1"))
    return _first_batch(path, {**options, "encoding": encoding}), Guess(key, encoding, why, "unsure")


def _workbook(path: Path, options: dict[str, str]) -> _Sample:
    """Return the sample of a workbook's only visible sheet, or of the only one whose name says stock."""
    form = [Guess("feed.format.type", "spreadsheet", "the file is a workbook", "sure")]
    try:
        batch = _first_batch(path, {"type": "spreadsheet", **options})
    except DeliveryError as error:
        if error.code != "FILE-SHEET":
            raise
        try:
            batch = _first_batch(path, {"type": "spreadsheet", "sheet_pattern": _STOCK_SHEET, **options})
        except DeliveryError as again:
            raise error from again  # the first one tells the sheets
        told = "several sheets are visible, and only this one's name says stock"
        form.append(Guess("feed.format.sheet", batch.reading["sheet"], told, "unsure"))
    return _Sample(tuple(form), _rows(batch), workbook=True, whole=batch.frame.height < _SAMPLE_ROWS)


def _first_batch(path: Path, section: dict[str, str]) -> RawBatch:
    """Return the first rows as cells, without a header."""
    options = {**section, "header": False, "batch_rows": _SAMPLE_ROWS}
    batches = read_batches(path, TypedSection.model_validate(options))
    try:
        return next(iter(batches))
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()  # ends the child process


def _rows(batch: RawBatch) -> Rows:
    return [(row[0], row[2:]) for row in batch.frame.iter_rows()]
