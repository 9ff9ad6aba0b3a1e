"""Each encoding that a feed may declare gives back its own letters, wherever blocks are cut; others are refused by name."""

import io
import random

import pytest
from pydantic import ValidationError

from transforms.formats.delimited import read
from transforms.formats.options import DelimitedOptions

SINGLE = [f"cp{number}" for number in (*range(1250, 1259), 437, 850, 852, 866, 874)]
ISO = [f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)]
OTHERS = ["mac-roman", "mac-cyrillic", "mac-latin2", "koi8-r", "koi8-u", "tis-620"]
ASIAN = ["shift_jis", "cp932", "euc_jp", "gb2312", "gbk", "gb18030", "big5", "euc_kr", "cp949"]
UNICODE = ["utf-8", "utf-8-sig", "utf8", "utf-16", "utf_16_le", "UTF16", "utf-32", "utf_32", "UTF32", "utf-32-be"]
BLOCKS = [(0x20, 0x7F), (0xA1, 0x250), (0x370, 0x460), (0x5D0, 0x5EB), (0xE01, 0xE2F), (0x3041, 0x3097), (0x30A1, 0x30F7),
          (0x4E00, 0x4E80), (0xAC00, 0xAC40)]  # fmt: skip
LETTERS = [chr(number) for first, end in BLOCKS for number in range(first, end)]


def letters_of(encoding: str) -> list[str]:
    """The letters that the encoding has: those that come back from it."""
    return [letter for letter in LETTERS if letter.encode(encoding, "ignore").decode(encoding, "ignore").lstrip("\ufeff") == letter]


@pytest.mark.parametrize("encoding", [*SINGLE, *ISO, *OTHERS, *ASIAN, *UNICODE])
def test_the_letters_of_a_declared_encoding_come_back(encoding: str) -> None:
    chosen, letters = random.Random(1), letters_of(encoding)
    rows = [tuple("".join(chosen.choices(letters, k=6)) for _ in range(2)) for _ in range(300)]
    quoted = (",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in [("sku", "note"), *rows])
    data = "".join(line + "\r\n" for line in quoted).encode(encoding)
    for size in (64, 4_194_304):
        options = DelimitedOptions(encoding=encoding, delimiter=",", block_bytes=size, skip_blank=False)
        batches = list(read(lambda: io.BytesIO(data), options))
        assert [cells[2:] for batch in batches for cells in batch.frame.rows()] == rows
        assert not [problem for batch in batches for problem in batch.rejections]


@pytest.mark.parametrize("encoding", ["cp037", "utf-7", "iso2022_jp", "hz", "shift_jisx0213", "rot13", "base64", "no-such", ""])
def test_an_encoding_in_which_ascii_is_something_else_is_refused(encoding: str) -> None:
    with pytest.raises(ValidationError, match="not known or not supported"):
        DelimitedOptions(encoding=encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    ("kind", "text", "columns", "options"),
    [
        ("delimited", "sku,qty\nA,1\n", ("sku", "qty"), {}),
        ("json_doc", '[{"sku": "A", "qty": 1}]', ("sku", "qty"), {}),
        ("xml_doc", "<s><i><sku>A</sku><qty>1</qty></i></s>", ("sku", "qty"), {"rows": "/s/i"}),
        ("fixed_width", "A1\n", (), {"fields": {"sku": [1, 1], "qty": [2, 2]}}),
    ],
)
def test_a_byte_order_mark_that_is_there_twice_is_no_part_of_the_text(read_format, encoding, kind, text, columns, options):  # noqa: PLR0917
    read = read_format(kind, f"\ufeff\ufeff{text}".encode(encoding), columns, **options)
    assert read.cells == [("A", "1")]
