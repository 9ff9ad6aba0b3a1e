"""What must not matter: order of rows, blank columns, line ends, the encoding declared, packing, a byte-order mark, a workbook."""

import bz2
import gzip
import io
import lzma
import string
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import zstandard
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from openpyxl.cell import WriteOnlyCell

from schemas.feed_config import Feed
from stockfeed.pipeline.trial import try_file
from stockfeed.settings import load_settings

HEADER = ("SKU", "Bestand", "Lager", "EAN")
KEPT = ("supplier_sku", "location", "condition", "on_hand", "available", "unit", "gtin")
# letters that every encoding below has; the marks are those that quoting is for
LETTERS = string.ascii_letters + string.digits + "-_./ äöüßéñÅ" + '";,'
ROWS = st.lists(
    st.tuples(
        st.text(LETTERS, min_size=1, max_size=12).map(str.strip).filter(bool),
        st.one_of(st.integers(0, 99_999).map(str), st.sampled_from(["", "call", "12,5", "-3", "10+"])),
        st.sampled_from(["Nord", "Süd", ""]),
        st.sampled_from(["", "4006381333931", "4006381333932", "36000291452"]),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: (row[0], row[2]),
)
EXAMPLES = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def feed(**options: object) -> Feed:
    return Feed.model_validate(
        {
            "code": "stock",
            "timezone": "UTC",
            "quantities": "net",
            "stale_after": "24h",
            "decimal": ",",
            "source": {"type": "folder", "path": "incoming"},
            "format": {k: v for k, v in {"type": "delimited", "delimiter": ";", **options}.items() if v is not None},
            "columns": {"supplier_sku": "SKU", "on_hand": "Bestand", "location": "Lager", "gtin": "EAN"},
            "words": {"{n}+": "{n}"},
            "guard": {"enabled": False},
        }
    )


def written(rows: Sequence[Sequence[str]], *, end: str = "\r\n", header: Sequence[str] = HEADER) -> str:
    quoted = ('"' + cell.replace('"', '""') + '"' for row in (header, *rows) for cell in row)
    cells = list(quoted)
    width = len(header)
    return "".join(";".join(cells[at : at + width]) + end for at in range(0, len(cells), width))


def outcome(tmp_path: Path, content: bytes, **options: object):
    """The records without their place, and the codes of what was rejected."""
    path = tmp_path / "delivery.csv"
    path.write_bytes(content)
    config = load_settings({"STOCKFEED_STATE": str(tmp_path / "state")}, tmp_path)
    lines = list(try_file(config, feed(**options), path))
    records = sorted(tuple(str(line[name]) for name in KEPT) for line in lines if line["type"] == "record")
    rejected = sorted((line["code"], line["column"] or "", line["value"] or "") for line in lines if line["type"] == "rejection")
    return records, rejected, lines[-1]["rows"]


@EXAMPLES
@given(rows=ROWS, data=st.data())
def test_the_order_of_the_rows_does_not_matter(tmp_path, rows, data):
    shuffled = data.draw(st.permutations(rows))
    assert outcome(tmp_path, written(shuffled).encode()) == outcome(tmp_path, written(rows).encode())


@EXAMPLES
@given(rows=ROWS, at=st.integers(0, len(HEADER)), count=st.integers(1, 3))
def test_added_blank_columns_do_not_matter(tmp_path, rows, at, count):
    widened = [(*row[:at], *[""] * count, *row[at:]) for row in rows]
    header = (*HEADER[:at], *[""] * count, *HEADER[at:])
    assert outcome(tmp_path, written(widened, header=header).encode()) == outcome(tmp_path, written(rows).encode())


@EXAMPLES
@given(rows=ROWS, end=st.sampled_from(["\n", "\r"]))
def test_line_ends_do_not_matter(tmp_path, rows, end):
    assert outcome(tmp_path, written(rows, end=end).encode()) == outcome(tmp_path, written(rows).encode())


@pytest.mark.parametrize(
    ("codec", "declared"),
    [
        ("utf-8-sig", "auto"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "auto"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "auto"),
        ("utf-32", "utf-32"),
        *(
            (name, name)
            for name in ("cp1252", "latin-1", "iso-8859-2", "mac_roman", "cp1250", "cp1254", "cp1257", "cp1258", "cp850")
        ),
        *((name, name) for name in ("cp1251", "cp1253", "cp1255", "cp1256", "shift_jis", "gb18030")),
    ],
)
@EXAMPLES
@given(rows=ROWS)
def test_the_encoding_does_not_matter(tmp_path, codec, declared, rows):
    table = [tuple(_letters_of(codec, cell) for cell in row) for row in rows]
    assume(len({(row[0], row[2]) for row in table}) == len(table))
    there = outcome(tmp_path, written(table).encode(codec), encoding=declared)
    assert there == outcome(tmp_path, written(table).encode(), encoding="utf-8")


def _letters_of(codec: str, text: str) -> str:
    """Return `text` with letters that the encoding has, in place of those it lacks."""
    own = {"cp1251": "Щё", "cp1253": "Λώ", "cp1255": "שא", "cp1256": "نع", "shift_jis": "在ソ", "gb18030": "库存"}.get(codec, "xy")
    lacking = sorted({letter for letter in text if letter.encode(codec, "replace") == b"?" != letter.encode("utf-8")})
    return text.translate({ord(letter): own[number % 2] for number, letter in enumerate(lacking)})


def _zipped(content: bytes) -> bytes:
    with zipfile.ZipFile(target := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("delivery.csv", content)
    return target.getvalue()


def _tarred(content: bytes) -> bytes:
    with tarfile.open(fileobj=(target := io.BytesIO()), mode="w:gz") as archive:
        member = tarfile.TarInfo("delivery.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


PACKERS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
    "zip": _zipped,
    "tar.gz": _tarred,
}


@pytest.mark.parametrize("packer", PACKERS)
@settings(EXAMPLES, max_examples=2)  # each archive is unpacked in a process of its own
@given(rows=ROWS, is_declared=st.booleans())
def test_packing_does_not_matter(tmp_path, packer, rows, is_declared):
    plain = written(rows).encode()
    declared = packer if is_declared else "auto"
    assert outcome(tmp_path, PACKERS[packer](plain), archive=declared) == outcome(tmp_path, plain)


@settings(EXAMPLES, max_examples=4)  # a workbook is read in a process of its own
@given(rows=ROWS, data=st.data(), at=st.integers(0, len(HEADER)), engine=st.sampled_from(["openpyxl", "calamine"]))
def test_a_workbook_its_row_order_and_its_blank_columns_do_not_matter(tmp_path, rows, data, at, engine):
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Stock")
    for row in (HEADER, *data.draw(st.permutations(rows))):
        sheet.append([_text(sheet, cell) for cell in (*row[:at], "", *row[at:])])
    book.save(target := io.BytesIO())
    there = outcome(tmp_path, target.getvalue(), type="spreadsheet", engine=engine, delimiter=None)
    assert there == outcome(tmp_path, written(rows).encode())


def _text(sheet: Any, text: str) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet, text or None)
    if text:
        cell.data_type = "s"
    return cell


def test_the_rows_of_these_tests_give_records_and_rejections(tmp_path):
    rows = [("A 1", "12,5", "Süd", "4006381333931"), ("B;2", "10+", "", ""), ("C", "call", "", ""), ("D", "", "Nord", "")]
    records, rejected, counted = outcome(tmp_path, written(rows).encode())
    assert [record[0] for record in records] == ["A 1", "B;2"]
    assert [code for code, _, _ in rejected] == ["QTY-BLANK", "QTY-WORD"]
    assert counted == {"read": 4, "accepted": 2, "rejected": 2, "skipped": 0}
