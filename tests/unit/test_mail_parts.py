"""What a mail is made of: names in every encoding, parts inside parts, forwarded mails, Outlook's winmail.dat."""

import os
import struct
from email.message import EmailMessage

import pytest

from connectors import mail_parts
from connectors.mail_parts import links, safe_name, walk
from connectors.mail_reading import read_mail

CSV = b"sku,quantity\r\nA1,5\r\n"


def simple(disposition: str, kind: str = "application/octet-stream", body: str = "sku\nA1\n", more: str = "") -> bytes:
    return f"From: a@b.example\nMIME-Version: 1.0\nContent-Type: {kind}\n{disposition}{more}\n{body}".encode()


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("Content-Disposition: attachment; filename=stock.csv\n", "stock.csv"),
        ('Content-Disposition: attachment; filename="Lager (1).csv"\n', "Lager (1).csv"),
        ("Content-Disposition: attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.csv\n", "Größe.csv"),
        ("Content-Disposition: attachment; filename*0*=utf-8''st%6f; filename*1*=ck%2e; filename*2=csv\n", "stock.csv"),
        ("Content-Disposition: attachment; filename==?utf-8?Q?Gr=C3=B6=C3=9Fe=2Ecsv?=\n", "Größe.csv"),
        ('Content-Disposition: attachment; filename="=?iso-8859-1?B?R3L232UuY3N2?="\n', "Größe.csv"),
        ('Content-Disposition: attachment; filename="=?x-nope?B?R3L232UuY3N2?="\n', "Größe.csv"),
        ('Content-Disposition: attachment; filename="..\\\\..\\\\boot.csv"\n', "boot.csv"),
        ("Content-Disposition: attachment; filename=..\n", "attachment"),
    ],
)
def test_names_are_read_in_every_way_they_are_written(disposition, name):
    assert [part.name for part in walk(simple(disposition)).parts] == [name]


def test_the_name_may_stand_in_the_content_type():
    assert [part.name for part in walk(simple("", 'text/csv; name="stock.csv"')).parts] == ["stock.csv"]


def test_a_table_without_a_name_gets_one():
    assert [part.name for part in walk(simple("", "text/csv")).parts] == ["part-1.csv"]


def test_the_text_of_a_mail_is_no_attachment():
    found = walk(simple("", "text/plain", "hello https://x.example/a.csv\n"))
    assert found.parts == []
    assert list(links(found.text)) == ["https://x.example/a.csv"]


def test_a_forwarded_mails_file_is_taken_with_a_note_and_its_place():
    inner, outer = EmailMessage(), EmailMessage()
    inner["From"] = "x@y.example"
    inner.set_content("text")
    inner.add_attachment(CSV, maintype="text", subtype="csv", filename="stock.csv")
    outer.set_content("fwd")
    outer.add_attachment(inner)
    [part] = walk(outer.as_bytes()).parts
    assert (part.content, part.place) == (CSV, "2.1.2")
    assert [note.code for note in part.notes] == ["MAIL-FORWARDED"]


@pytest.mark.parametrize(("depth", "is_refused"), [(30, False), (31, True), (5000, True)])
def test_the_depth_of_parts_is_limited(depth, is_refused):
    raw = "From: a@b.example\nMIME-Version: 1.0\n"
    for level in range(depth):
        raw += f'Content-Type: multipart/mixed; boundary="b{level}"\n\n--b{level}\n'
    raw += "Content-Type: text/csv; name=a.csv\n\nsku\n" + "".join(f"--b{level}--\n" for level in reversed(range(depth)))
    found = walk(raw.encode())
    assert any(note.severity == "reject" and "nested" in note.message for note in found.notes) == is_refused
    assert len(found.parts) == (0 if is_refused else 1)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_number_of_parts_is_limited(more):
    message = EmailMessage()
    message.set_content("x")
    for number in range(mail_parts.MOST_PARTS + more - 2):  # beside the text and the whole
        message.add_attachment(CSV, maintype="text", subtype="csv", filename=f"{number}.csv")
    found = walk(message.as_bytes())
    assert any(note.severity == "reject" and "parts" in note.message for note in found.notes) == (more == 1)
    assert bool(found.parts) == (more < 1)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_header_that_is_too_long_is_told(more):
    value = "x" * (mail_parts.LONGEST_HEADER + more)
    found = walk(b"X-Long: " + value.encode() + b'\nContent-Type: text/csv; name="a.csv"\n\nsku\nA\n')
    assert [note.code for note in found.notes] == (["MAIL-HEADER"] if more == 1 else [])
    assert [part.content for part in found.parts] == [b"sku\nA\n"]


def test_a_mail_that_ends_before_its_boundary_holds():
    raw = b'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/csv; name=a.csv\n\nsku\nA'
    assert [(note.code, note.severity) for note in walk(raw).notes] == [("MAIL-CUT", "hold")]


def test_two_files_of_one_name_hold_and_equal_ones_do_not():
    def two(*contents: bytes):
        message = EmailMessage()
        message.set_content("x")
        for content in contents:
            message.add_attachment(content, maintype="text", subtype="csv", filename="stock.csv")
        return [[note.code for note in part.notes] for part in walk(message.as_bytes()).parts]

    assert two(CSV, CSV + b"B,1\n") == [["MAIL-SAME-NAME"], ["MAIL-SAME-NAME"]]
    assert two(CSV, CSV) == [[], []]


def tnef(name: str, content: bytes) -> bytes:
    """A winmail.dat with one file, of the three attributes that make one."""

    def attribute(level: int, kind: int, data: bytes) -> bytes:
        return struct.pack("<BII", level, kind, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)

    rendered = attribute(2, 0x00069002, bytes(14))
    return (
        struct.pack("<IH", 0x223E9F78, 1)
        + rendered
        + attribute(2, 0x00018010, name.encode() + b"\0")
        + attribute(2, 0x0006800F, content)
    )


def test_the_files_inside_a_winmail_are_taken():
    message = EmailMessage()
    message.set_content("x")
    message.add_attachment(tnef("stock.csv", CSV), maintype="application", subtype="ms-tnef", filename="winmail.dat")
    [part] = walk(message.as_bytes()).parts
    assert (part.name, part.content, part.place) == ("stock.csv", CSV, "2.winmail.1")
    assert [note.code for note in part.notes] == ["MAIL-TNEF"]


def test_a_winmail_that_cannot_be_read_is_told_and_nothing_of_it_is_used():
    found = walk(simple("Content-Disposition: attachment; filename=winmail.dat\n"))
    assert found.parts == []
    assert [note.code for note in found.notes] == ["MAIL-TNEF"]


def test_an_uuencoded_file_is_decoded():
    body = "begin 644 a.csv\n#0V%T\n`\nend\n"
    raw = simple("Content-Disposition: attachment; filename=a.csv\nContent-Transfer-Encoding: x-uuencode\n", body=body)
    assert [part.content for part in walk(raw).parts] == [b"Cat"]


def test_names_never_hold_a_path_or_a_control_character():
    assert safe_name("a/b\\c\0d\u202ecsv.exe") == "cdcsv.exe"


def test_the_child_process_gives_the_same_as_the_walker(tmp_path):
    message = EmailMessage()
    message.set_content("hello")
    message.add_attachment(CSV, maintype="text", subtype="csv", filename="Größe.csv")
    (tmp_path / "mail").write_bytes(message.as_bytes())
    found = read_mail(tmp_path)
    assert [(one.number, one.name, one.path.read_bytes()) for one in found.attachments] == [(1, "Größe.csv", CSV)]
    assert found.text.strip() == "hello"
    assert found.findings == ()


@pytest.mark.slow
def test_the_largest_mail_that_is_taken_by_default_fits_into_the_limits(tmp_path):
    content = os.urandom(36 << 20)
    message = EmailMessage()
    message.set_content("x")
    message.add_attachment(content, maintype="application", subtype="octet-stream", filename="stock.xlsx")
    (tmp_path / "mail").write_bytes(message.as_bytes())
    found = read_mail(tmp_path)
    assert found.findings == ()
    assert found.attachments[0].path.read_bytes() == content


def test_a_mail_that_takes_too_much_memory_is_told_as_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("connectors.mail_reading.MEGABYTES", 90)
    (tmp_path / "mail").write_bytes(simple("", "text/csv") + b"A1,1\n" * 12_000_000)
    [finding] = read_mail(tmp_path).findings
    assert (finding.code, finding.severity) == ("MAIL-LIMIT", "reject")
    assert "90 MB of memory" in finding.message


def test_a_mail_that_takes_too_long_is_told_as_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("connectors.mail_reading.WALL_SECONDS", 0.01)
    (tmp_path / "mail").write_bytes(b"x")
    [finding] = read_mail(tmp_path).findings
    assert (finding.code, finding.severity) == ("MAIL-LIMIT", "reject")
