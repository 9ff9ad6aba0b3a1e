"""What the first bytes of a file are, whatever its name says.

Never reads more than it is given, and never trusts a file name.
"""

import re

_MAGIC = (
    (b"\x1f\x8b", "gzip data (magic bytes 1f 8b)"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook (magic bytes 50 4b 03 04)"),
    (b"PK\x05\x06", "an empty zip archive (magic bytes 50 4b 05 06)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (magic bytes d0 cf 11 e0)"),
    (b"%PDF-", "a PDF document (magic bytes 25 50 44 46)"),
    (b"BZh", "bzip2 data (magic bytes 42 5a 68)"),
    (b"\xfd7zXZ\x00", "xz data (magic bytes fd 37 7a 58 5a)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-zip archive (magic bytes 37 7a bc af)"),
    (b"Rar!\x1a\x07", "a RAR archive (magic bytes 52 61 72 21)"),
    (b"\x28\xb5\x2f\xfd", "zstd data (magic bytes 28 b5 2f fd)"),
)
ARCHIVE_HEAD = 512  # bytes by which `archive_kind` knows an archive
_ARCHIVES = (
    (b"\x1f\x8b", "gz"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)
_TAR_AT, _TAR = 257, b"ustar"
_BIFF = re.compile(rb"\x09[\x00\x02\x04\x08][\x04\x06\x08\x10]\x00")  # a bare workbook stream, Excel 2 to 5
_HTML = re.compile(rb"\s*<(!doctype\s+html|html|head|body|table|script|meta)\b", re.IGNORECASE)
_XML = re.compile(rb"\s*<(\?xml|!--|!doctype|[a-z_][\w.:-]*[\s/>])", re.IGNORECASE)
_JSON = re.compile(rb'\s*(\{\s*["}]|\[\s*[\[{\]])')


def not_text(head: bytes) -> str | None:
    """Return what binary format `head` (the first bytes of a file) begins, in words with its magic bytes, or None for text."""
    if _BIFF.match(head):
        return "a workbook of Excel 4 or older (magic bytes 09)"
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def archive_kind(head: bytes) -> str | None:
    """Return "gz", "bz2", "xz", "zst", "zip" or "tar" by the first 512 bytes of a file, None for anything else."""
    found = next((kind for magic, kind in _ARCHIVES if head.startswith(magic)), None)
    return found or ("tar" if head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR else None)


def or_unpack(head: bytes) -> str:
    """Return the end of a remedy, from its comma on, for a file whose first 512 bytes are an archive's; "" for any other."""
    kind = archive_kind(head)
    return f', or set format.archive = "{kind}" to read the file inside' if kind else ""


def not_a_table(head: bytes) -> str | None:
    """Return what document the text `head` begins (HTML, XML, JSON), in words, or None when it may be a table."""
    text = head.removeprefix(b"\xef\xbb\xbf")
    if _HTML.match(text):
        return "an HTML page"
    if _XML.match(text):
        return "an XML document"
    return "a JSON document" if _JSON.match(text) else None


def shown(head: bytes, size: int = 4) -> str:
    """Return the first bytes in hexadecimal, for messages."""
    return head[:size].hex(" ")
