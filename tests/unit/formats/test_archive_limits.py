"""The limits on archives, each just over, at, and just under what a file measures."""

import gzip
import io
import zipfile

import pytest

from schemas.errors import DeliveryError
from tests.unit.formats.archive_making import PACK, STREAMS, TABLE, opened, tarred, zipped
from transforms.formats.options import DelimitedOptions


def within(data: bytes, archive: str = "auto", *, limits: dict[str, int], **options) -> bool:
    """True when the data is unpacked, False when FILE-LIMIT or the odd name tells the last of the limits and its value."""
    setting, limit = list(limits.items())[-1]
    error = None
    try:
        opened(data, archive, limits=limits, **options)
    except DeliveryError as caught:
        error = caught
    assert error is None or (setting in error.message and f"limit is {limit}" in error.message)
    return error is None


def around(data: bytes, archive: str, setting: str, measured: int, **options) -> list[bool]:
    others = options.pop("others", {})
    return [within(data, archive, limits={**others, setting: measured + step}, **options) for step in (1, 0, -1)]


LIMIT_HOLDS = [True, True, False]


@pytest.mark.parametrize("kind", PACK)
def test_the_size_after_unpacking_is_limited(kind):
    size = len(PACK["tar"](TABLE)) if kind.startswith("tar.") else len(TABLE)
    assert around(PACK[kind](TABLE), kind, "unpacked_bytes", size) == LIMIT_HOLDS


def test_the_size_of_the_archive_itself_is_limited():
    packed = gzip.compress(TABLE)
    assert around(packed, "gz", "file_bytes", len(packed)) == LIMIT_HOLDS


@pytest.mark.parametrize("kind", [*STREAMS, "zip"])
def test_the_ratio_is_limited_from_a_size_on(kind):
    packed = PACK[kind](bytes(1_000_000))
    inner = len(packed) if kind != "zip" else zipfile.ZipFile(io.BytesIO(packed)).infolist()[0].compress_size
    ratio = -(-1_000_000 // inner)
    assert around(packed, kind, "ratio", ratio, others={"ratio_from_bytes": 1_000}) == LIMIT_HOLDS
    assert within(packed, kind, limits={"ratio": 1, "ratio_from_bytes": 1_000_001})
    assert within(packed, kind, limits={"ratio": 1, "ratio_from_bytes": 1_000_000})
    with pytest.raises(DeliveryError, match="size after unpacking"):
        opened(packed, kind, limits={"ratio": 1, "ratio_from_bytes": 999_999})


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_the_number_of_members_is_limited(pack):
    data = pack([(f"{n}.txt", b"x") for n in range(9)] + [("stock.csv", TABLE)])
    assert around(data, "auto", "archive_members", 10, member="*.csv") == LIMIT_HOLDS


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_the_length_of_a_members_name_is_limited(pack):
    name = "\u00e9" * 10 + ".csv"  # 24 bytes
    assert around(pack([(name, TABLE)]), "auto", "name_bytes", 24) == LIMIT_HOLDS


def test_defaults_are_those_of_the_written_limits():
    limits = DelimitedOptions().limits
    assert (limits.file_bytes, limits.unpacked_bytes, limits.ratio) == (200_000_000, 1_000_000_000, 200)
    assert (limits.archive_members, limits.name_bytes) == (50, 200)
    assert (limits.rows, limits.columns, limits.field_bytes, limits.line_bytes) == (2_000_000, 500, 64_000, 1_000_000)
    assert (limits.record_lines, limits.sheets, limits.cells, limits.xml_depth) == (20, 50, 20_000_000, 50)
    assert (limits.memory_bytes, limits.cpu_seconds) == (512_000_000, 120)
