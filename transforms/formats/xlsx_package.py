"""Whether a zipped workbook (xlsx, xlsb, ods) is safe and whole, judged before anything that a parser found in it is used.

Never extracts to disk, never resolves an entity, never believes a size that the directory states.
"""

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import IO, Literal
from xml.parsers import expat

from schemas.errors import DeliveryError
from schemas.rejections import escape_value
from transforms.formats.limits import Limits, exceeded

PackageKind = Literal["xlsx", "xlsb", "ods"]

_READ = 131_072
_CHUNK = 8_192  # the rough depth is exact to this many bytes
_MEASURED = 1_000_000  # parts up to this size are measured exactly: it takes 20 ms
_XML_NAMES = (".xml", ".rels", ".vml", ".rdf")
_ENCRYPTED = 0x1
_NOT_XML = (expat.ExpatError, LookupError, ValueError)  # the last two for encodings that are unknown or not supported
_SYMLINK = 0o120000


class Package:
    """The zip package in `stream`, whose directory has been checked; `kind` is None when it is no workbook.

    Raises DeliveryError FILE-UNREADABLE (broken directory, doubled member) or FILE-LIMIT (sizes).
    """

    def __init__(self, stream: IO[bytes], limits: Limits) -> None:
        try:
            self._package = zipfile.ZipFile(stream)
        except zipfile.BadZipFile as error:
            raise _broken("zip directory: missing or broken, the file seems to be cut short", str(error)) from error
        self._limits = limits
        _check_directory(self._package.infolist(), limits)
        self.kind = _kind(set(self._package.namelist()))

    def check(self) -> None:
        """Unpack every member once, to nowhere.

        Raises DeliveryError FILE-UNREADABLE (DTD, CRC), FILE-LIMIT (depth) or FILE-NOT-TABLE (not a workbook).
        """
        for member in self._package.infolist():
            _check_member(self._package, member, self._limits)
        if self.kind is None:
            raise DeliveryError(
                "the file is a zip archive, not a workbook (magic bytes 50 4b 03 04)",
                "Send the workbook itself, not an archive.",
                code="FILE-NOT-TABLE",
            )


def _broken(message: str, detail: str = "") -> DeliveryError:
    return DeliveryError(message, "Save the workbook again from its program and send it whole.", detail, code="FILE-UNREADABLE")


def _kind(names: set[str]) -> PackageKind | None:
    if "xl/workbook.bin" in names:
        return "xlsb"
    if "xl/workbook.xml" in names or "[Content_Types].xml" in names:
        return "xlsx"
    if "content.xml" in names:
        return "ods"
    return None


def _check_directory(members: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(members) > limits.members:
        raise exceeded(f"zip directory: {len(members)} members", limits.members, "members")
    doubled = [name for name, count in Counter(m.filename for m in members).items() if count > 1]
    if doubled:
        raise _broken(f"member {escape_value(doubled[0])} twice: readers would disagree on the content")
    unpacked = 0
    for member in members:
        place = f"member {escape_value(member.filename)}"
        if member.flag_bits & _ENCRYPTED:
            raise _broken(f"{place}: encrypted")
        if (member.external_attr >> 16) & 0o170000 == _SYMLINK:
            raise _broken(f"{place}: a symbolic link")
        unpacked += member.file_size
        ratio = member.file_size // max(member.compress_size, 1)
        if member.file_size > limits.ratio_from_bytes and ratio > limits.ratio:
            raise exceeded(f"{place}: unpacks to {ratio} times its size ({member.file_size} bytes)", limits.ratio, "ratio")
        if unpacked > limits.unpacked_bytes:
            raise exceeded(f"{place}: {unpacked} bytes after unpacking", limits.unpacked_bytes, "unpacked_bytes")


def _check_member(package: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> None:
    """Unpack one member once, to nowhere: proves its CRC and size, refuses a DTD and deep nesting in XML parts."""
    place = f"member {escape_value(member.filename)}"
    is_xml = member.filename.lower().endswith(_XML_NAMES)
    prolog = _Prolog(place) if is_xml else None
    depth = 0
    try:
        with package.open(member) as part:
            for chunk in _chunks(part):
                if prolog is not None:
                    prolog.feed(chunk)
                    depth += _depth_change(chunk)
                    if depth > limits.xml_depth:
                        _check_exact_depth(package, member, limits)
                        depth = -(1 << 62)  # measured exactly: the rough count met markup inside text
        if is_xml and depth >= 0 and member.file_size <= _MEASURED:
            _check_exact_depth(package, member, limits, well_formed=False)
    except (zipfile.BadZipFile, EOFError) as error:
        raise _broken(f"{place}: CRC or data is wrong, the file was damaged on its way", str(error)) from error
    except (zipfile.LargeZipFile, NotImplementedError, zlib.error) as error:
        raise _broken(f"{place}: cannot be unpacked", str(error)) from error


def _chunks(part: IO[bytes]) -> Iterator[bytes]:
    while read := part.read(_READ):
        for start in range(0, len(read), _CHUNK):
            yield read[start : start + _CHUNK]


def _depth_change(chunk: bytes) -> int:
    """Return opened minus closed elements in `chunk`, about: text that looks like markup counts too."""
    closed = chunk.count(b"</")
    opened = chunk.count(b"<") - closed - chunk.endswith(b"<")
    if b"!" in chunk or b"?" in chunk:  # one character is found ten times as fast as two
        opened -= chunk.count(b"<!") + chunk.count(b"<?")
    return opened - closed - chunk.count(b"/>")


def _check_exact_depth(package: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits, *, well_formed: bool = True) -> None:
    """Raise DeliveryError FILE-LIMIT for a part that nests too deep; not `well_formed`: broken XML is left to whoever reads it."""
    parser = expat.ParserCreate()
    place = f"member {escape_value(member.filename)}"
    depth = 0

    def opened(_name: str, _attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > limits.xml_depth:
            raise exceeded(f"{place}: elements nested over {depth - 1} deep", limits.xml_depth, "xml_depth")

    def closed(_name: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    try:
        with package.open(member) as part:
            parser.ParseFile(part)
    except _NOT_XML as error:
        if well_formed:
            raise _broken(f"{place}: not well-formed XML", str(error)) from error


class _Prolog:
    """Watches the start of an XML part until its first element: a document type declaration may only stand there."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._parser: expat.XMLParserType | None = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._passed

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes. Raises DeliveryError for a DTD or broken XML before the first element."""
        parser = self._parser
        if parser is None:
            return
        try:
            parser.Parse(chunk, False)
        except _NOT_XML as error:
            if self._parser is not None:
                raise _broken(f"{self._place}: not well-formed XML", str(error)) from error

    def _refuse(self, *_declaration: object) -> None:
        raise _broken(f"{self._place}: DTD, which no workbook needs and attackers use")

    def _passed(self, _name: str, _attributes: dict[str, str]) -> None:
        self._parser = None
