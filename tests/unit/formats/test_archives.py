"""Tables that arrive in archives: every kind unpacked alike, every damage and trick refused with its place."""

import bz2
import gzip
import io
import random
import tarfile
import zipfile
from contextlib import suppress

import pytest
from pydantic import ValidationError

from schemas.errors import DeliveryError
from tests.unit.formats.archive_making import PACK, STREAMS, TABLE, opened, tarred, zipped
from transforms.formats.content import archive_kind
from transforms.formats.options import DelimitedOptions, SpreadsheetOptions


def refused(data: bytes, archive: str = "auto", **options) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        opened(data, archive, **options)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("kind", PACK)
def test_every_kind_of_archive_gives_the_same_table_declared_or_found(kind):
    content, found = opened(PACK[kind](TABLE), kind)
    assert content == TABLE
    assert (found.archive, found.notes) == (kind, ())
    content, found = opened(PACK[kind](TABLE))
    assert content == TABLE
    assert f"arrived as {kind} data" in found.notes[0]
    assert found.member == (None if kind in STREAMS else "stock.csv")


@pytest.mark.parametrize(
    ("name", "options"),
    [("delimited", {}), ("json_doc", {}), ("xml_doc", {"rows": "//item"}), ("fixed_width", {"fields": {"SKU": [1, 5]}}),
     ("edi_x12", {}), ("edifact", {})],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["gz", "zip", "xz"])
def test_a_packed_file_of_any_format_is_refused_with_the_key_that_unpacks_it(read_format, name, options, kind):
    with pytest.raises(DeliveryError) as caught:
        read_format(name, PACK[kind](TABLE), ("SKU",), **options)
    assert f'set format.archive = "{kind}" to read the file inside' in caught.value.hint


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_all_forms_of_tar_are_read_with_long_names(form):
    name = "/".join(["export" * 5] * 4) + "/stock.csv"
    assert opened(tarred([(name, TABLE)], form), "tar")[0] == TABLE


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_member_may_be_stored_or_deflated(method):
    assert opened(zipped([("out/stock.csv", TABLE)], method), "zip")[0] == TABLE


def test_an_unusual_method_of_a_zip_member_is_refused_by_its_number():
    assert "member stock.csv: compression method 14" in refused(zipped([("stock.csv", TABLE)], zipfile.ZIP_LZMA)).message


def test_a_zip_written_to_a_pipe_is_read():
    """Its sizes and CRC stand behind the data, not in front of it."""
    written = io.BytesIO()

    class Pipe(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            return written.write(data)

    with zipfile.ZipFile(Pipe(), "w", zipfile.ZIP_DEFLATED) as package, package.open("stock.csv", "w") as member:
        member.write(TABLE)
    assert opened(written.getvalue())[0] == TABLE


def test_what_is_no_archive_is_left_alone_where_it_is_only_looked_for():
    assert opened(TABLE) == (b"", None)
    workbook = zipped([("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>")])
    assert opened(workbook, model=SpreadsheetOptions) == (b"", None)


def test_a_workbook_in_an_archive_is_no_second_archive():
    workbook = zipped([("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>")])
    assert opened(zipped([("stock.xlsx", workbook)]), "zip", model=SpreadsheetOptions)[0] == workbook
    assert opened(gzip.compress(workbook), "gz", model=SpreadsheetOptions)[0] == workbook


@pytest.mark.parametrize(
    ("data", "declared", "found"),
    [
        (TABLE, "gz", "magic bytes 73 6b 75 2c"),
        (gzip.compress(TABLE), "zip", "magic bytes 1f 8b"),
        (zipped([("stock.csv", TABLE)]), "gz", "magic bytes 50 4b 03 04"),
        (tarred([("stock.csv", TABLE)]), "zip", "a tar archive"),
        (bz2.compress(TABLE), "tar.gz", "magic bytes 42 5a 68"),
    ],
)
def test_another_kind_than_the_declared_one_is_refused_by_its_magic_bytes(data, declared, found):
    error = refused(data, declared)
    assert error.code == "FILE-NOT-TABLE"
    assert found in error.message


def test_a_declared_tar_must_be_inside():
    assert "does not hold the declared tar archive" in refused(gzip.compress(TABLE), "tar.gz").message


def test_an_empty_file_is_no_archive():
    assert refused(b"", "gz").code == "FILE-EMPTY"


@pytest.mark.parametrize("kind", PACK)
def test_an_archive_cut_anywhere_is_never_taken_for_a_whole_one(kind):
    packed = PACK[kind](TABLE)
    # tar: its end is two blocks of zeros and filling; cut inside those it is whole
    end = 512 * (2 + -(-len(TABLE) // 512)) if kind == "tar" else len(packed)
    for cut in {*range(300 if kind == "tar" else 20, end, max(1, end // 60)), end - 1}:
        error = refused(packed[:cut], kind)
        assert error.code in ("FILE-TRUNCATED", "FILE-UNREADABLE")


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_without_its_end_is_named_so(kind):
    error = refused(PACK[kind](TABLE)[:-3], kind)
    assert (error.code, "end of stream" in error.message) == ("FILE-TRUNCATED", True)


@pytest.mark.parametrize("kind", [*STREAMS, "zip", "tar.gz"])
def test_a_changed_byte_never_gives_another_table(kind):
    packed = PACK[kind](TABLE)
    for at in range(0, len(packed), max(1, len(packed) // 80)):
        damaged = packed[:at] + bytes([packed[at] ^ 0x10]) + packed[at + 1 :]
        with suppress(DeliveryError):
            assert opened(damaged, kind)[0] == TABLE


@pytest.mark.parametrize("kind", STREAMS)
def test_streams_one_after_the_other_are_one_table(kind):
    half = len(TABLE) // 2
    assert opened(PACK[kind](TABLE[:half]) + PACK[kind](TABLE[half:]), kind)[0] == TABLE


@pytest.mark.parametrize("kind", STREAMS)
def test_something_else_behind_the_end_of_the_stream_is_refused(kind):
    assert refused(PACK[kind](TABLE) + b"more text than any header", kind).code in ("FILE-UNREADABLE", "FILE-TRUNCATED")


@pytest.mark.parametrize("kind", ["gz", "xz"])
def test_zeros_behind_the_end_of_the_stream_are_filling(kind):
    assert opened(PACK[kind](TABLE) + bytes(1024), kind)[0] == TABLE


@pytest.mark.parametrize("outer", ["gz", "zip", "tar", "tar.xz"])
@pytest.mark.parametrize("inner", ["gz", "bz2", "zst", "zip", "tar"])
def test_an_archive_in_an_archive_is_refused(outer, inner):
    data = PACK[outer](PACK[inner](TABLE))
    error = refused(data, outer)
    assert error.code == "FILE-LIMIT"
    assert "nesting depth" in error.message


def test_a_tar_in_gz_is_one_archive_where_it_is_looked_for():
    assert opened(PACK["tar.gz"](TABLE), "auto")[1].archive == "tar.gz"


@pytest.mark.parametrize(
    ("member", "read"), [("stock_*.csv", "stock_1.csv"), ("out/*.csv", "out/other.csv"), (["*.txt", "other.csv"], "out/other.csv")]
)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_the_member_is_chosen_by_pattern(pack, member, read):
    names = ("readme.md", "stock_1.csv", "out/other.csv")
    assert opened(pack([(name, name.encode()) for name in names]), "auto", member=member)[0] == read.encode()


@pytest.mark.parametrize(
    ("names", "member", "words"),
    [
        (["a.csv", "b.csv"], (), 'two candidate members; the archive holds "a.csv", "b.csv"'),
        (["a.csv", "b.csv", "c.csv"], "*.csv", "3 candidate members for *.csv"),
        (["a.csv"], "*.txt", 'no candidate members for *.txt; the archive holds "a.csv"'),
        ([], (), "no candidate members; the archive holds no file"),
    ],
)
def test_what_could_be_meant_is_never_guessed(names, member, words):
    error = refused(zipped([(name, b"sku\n") for name in names]), "zip", member=member)
    assert words in error.message
    assert "format.member" in error.hint


def test_folders_and_what_macos_adds_are_no_candidates():
    names = ["export/", "export/stock.csv", "__MACOSX/export/._stock.csv", "export/.DS_Store"]
    assert opened(zipped([(name, b"" if name.endswith("/") else TABLE) for name in names]), "zip")[0] == TABLE


@pytest.mark.parametrize("name", ["../x.csv", "a/../../x.csv", "/etc/x.csv", "C:\\x.csv", "..\\x.csv", "\\\\server\\x.csv"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_leads_out_of_the_archive_is_refused(pack, name):
    message = refused(pack([(name, TABLE)])).message
    assert message == f"member {name}: the name leads out of the archive".encode("unicode_escape").decode().replace("\\\\", "\\")


@pytest.mark.parametrize(
    "name", ["CON.csv", "nul", "lpt1.txt", "stock\x07.csv", "stock .csv ", "stock.csv.", "st\u200bock.csv", "stock\u202ecsv.exe"]
)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_is_not_safe_everywhere_is_refused(pack, name):
    message = refused(pack([(name, TABLE)])).message
    assert message.startswith("member names: 1 of 1")
    assert message.isprintable()


def test_a_member_without_a_name_is_refused():
    data = zipped([("x", TABLE)])
    for signature, size_at, name_at in ((b"PK\x03\x04", 26, 30), (b"PK\x01\x02", 28, 46)):
        at = data.index(signature)
        data = data[: at + size_at] + bytes(2) + data[at + size_at + 2 : at + name_at] + data[at + name_at + 1 :]
    end = data.index(b"PK\x05\x06")
    at = data.index(b"PK\x01\x02")
    data = data[: end + 12] + (end - at).to_bytes(4, "little") + at.to_bytes(4, "little") + data[end + 20 :]
    assert "the name leads out of the archive" in refused(data).message


def test_two_forms_of_one_name_are_refused():
    assert "other letters" in refused(zipped([("caf\u00e9.csv", TABLE), ("cafe\u0301.csv", TABLE)]), member="*.csv").message
    assert "other letters" in refused(zipped([("Stock.csv", TABLE), ("stock.csv", TABLE)]), member="stock.csv").message


def test_names_that_are_odd_but_harmless_are_read():
    for name in ("stock (1).csv", "{{7*7}}.csv", "$(id).csv", "-rf.csv", "\u00e9t\u00e9 \U0001f600.csv", "x' OR '1'='1.csv"):
        assert opened(zipped([(name, TABLE)]), "zip")[0] == TABLE


@pytest.mark.parametrize(("mode", "words"), [(0o120777, "a symbolic link"), (0o020666, "not a regular file"), (0o010666, "not a")])
def test_a_zip_member_that_is_no_file_is_refused(mode, words):
    assert f"member stock.csv: {words}" in refused(zipped([("stock.csv", b"/etc/passwd")], mode=mode)).message


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a link to another member"),
        (tarfile.CHRTYPE, "not a regular file"),
        (tarfile.FIFOTYPE, "not a regular file"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
    ],
)
def test_a_tar_member_that_is_no_file_is_refused(kind, words):
    info = tarfile.TarInfo("stock.csv")
    info.type, info.linkname = kind, "/etc/passwd"
    assert words in refused(tarred([(info, b"")], tarfile.GNU_FORMAT)).message


def test_a_tar_entry_that_occurs_twice_is_refused():
    assert "member stock.csv twice" in refused(tarred([("stock.csv", TABLE), ("stock.csv", b"sku\n")])).message


def test_a_zip_member_that_occurs_twice_is_refused():
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped([("stock.csv", TABLE), ("stock.csv", b"sku\n")])
    assert "member stock.csv twice" in refused(data).message


def patched(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    at = data.index(signature) + offset
    return data[:at] + value + data[at + len(value) :]


@pytest.mark.parametrize(
    ("signature", "offset", "value", "words"),
    [
        (b"PK\x01\x02", 8, b"\x01", "encrypted"),
        (b"PK\x03\x04", 6, b"\x01", "its own header contradicts"),
        (b"PK\x03\x04", 30, b"other", "its own header contradicts"),
        (b"PK\x03\x04", 8, b"\x00", "its own header contradicts"),
        (b"PK\x01\x02", 16, b"\xff\xff\xff\xff", "CRC or size is wrong"),
        (b"PK\x01\x02", 24, b"\x05\x00\x00\x00", "CRC or size is wrong"),
        (b"PK\x01\x02", 20, b"\xff\xff\x00\x00", "overlapping members"),
        (b"PK\x01\x02", 20, b"\x10\x00\x00\x00", "end of stream"),
        (b"PK\x01\x02", 42, b"\x05\x00\x00\x00", "something stands before the first member"),
    ],
)
def test_a_zip_whose_directory_lies_is_refused(signature, offset, value, words):
    assert words in refused(patched(zipped([("stock.csv", TABLE)]), signature, offset, value)).message


def test_two_members_on_one_piece_of_the_file_are_refused():
    data = zipped([("a.csv", TABLE), ("b.csv", TABLE)])
    second = data.rindex(b"PK\x01\x02")
    data = data[: second + 42] + bytes(4) + data[second + 46 :]
    assert "overlapping members" in refused(data, member="a.csv").message


def test_a_zip_behind_other_bytes_is_refused():
    data = zipped([("stock.csv", TABLE)])
    assert "before the first member" in refused(data[:60] + data, "zip").message


def test_a_zip_that_lost_its_beginning_is_refused():
    data = zipped([("a.csv", TABLE), ("stock.csv", TABLE)])
    assert "zip directory" in refused(data[data.rindex(b"PK\x03\x04") :], "zip").message


def test_the_kind_is_known_by_the_first_bytes_only():
    assert {kind: archive_kind(pack(TABLE)[:512]) for kind, pack in PACK.items()} == {
        kind: kind.removeprefix("tar.") for kind in PACK
    }
    assert archive_kind(b"") is None
    assert archive_kind(TABLE[:512]) is None


def test_a_member_needs_an_archive_that_has_members():
    assert DelimitedOptions(archive="zip", member="*.csv").member == ("*.csv",)
    for archive in ("none", "gz"):
        with pytest.raises(ValidationError, match="`member` needs an `archive` that has members"):
            DelimitedOptions(archive=archive, member="*.csv")
    with pytest.raises(ValidationError, match="archive"):
        DelimitedOptions(archive="rar")


@pytest.mark.parametrize("kind", PACK)
def test_archives_damaged_at_random_end_in_a_table_or_a_delivery_error(kind):
    chance = random.Random(f"seed {kind}")
    packed = PACK[kind](TABLE[:600])
    for _ in range(300):
        damaged = bytearray(packed)
        for _ in range(chance.choice((1, 1, 2, 8))):
            at = chance.randrange(len(damaged))
            size = chance.choice((0, 1, 1, 4, 40))
            damaged[at : at + size] = chance.choice((b"", b"\0\0\0\0", b"\xff\xff\xff\x7f", chance.randbytes(4), damaged[:32]))
        with suppress(DeliveryError):
            content, _ = opened(bytes(damaged), kind)
            assert content == TABLE[:600] or kind == "tar"  # a tar alone holds no checksum of its content
