"""The archive keeps bytes once, under their hash, privately."""

import hashlib
from pathlib import Path

import pytest

from schemas.errors import PermanentError
from stockfeed.store.archive import Archive

BYTES = b"sku,qty\nA,1\n"
SHA = hashlib.sha256(BYTES).hexdigest()


def spool(folder: Path, content: bytes = BYTES) -> Path:
    path = folder / "spooled"
    path.write_bytes(content)
    return path


def test_stored_bytes_come_back_and_the_spool_is_empty(tmp_path: Path):
    archive, spooled = Archive(tmp_path / "archive"), spool(tmp_path)
    archive.store(spooled, SHA)
    with archive.open(SHA) as file:
        assert file.read() == BYTES
    assert archive.verify(SHA)
    assert not spooled.exists()


def test_storing_the_same_bytes_twice_keeps_one_file(tmp_path: Path):
    archive = Archive(tmp_path / "archive")
    archive.store(spool(tmp_path), SHA)
    archive.store(spool(tmp_path), SHA)
    assert [p.name for p in (tmp_path / "archive").rglob("*") if p.is_file()] == [SHA]


def test_archived_files_are_private(tmp_path: Path):
    path = Archive(tmp_path / "archive").store(spool(tmp_path), SHA)
    assert path.stat().st_mode & 0o777 == 0o600


def test_bytes_that_do_not_have_the_stated_hash_are_refused(tmp_path: Path):
    archive = Archive(tmp_path / "archive")
    with pytest.raises(PermanentError, match="changed on disk"):
        archive.store(spool(tmp_path, b"other"), SHA)
    assert not list((tmp_path / "archive").rglob("*.part"))
    with pytest.raises(PermanentError, match="no file"):
        archive.existing(SHA)


def test_a_damaged_file_does_not_verify(tmp_path: Path):
    archive = Archive(tmp_path / "archive")
    path = archive.store(spool(tmp_path), SHA)
    path.write_bytes(b"sku,qty\nA,2\n")
    assert not archive.verify(SHA)


def test_a_file_where_a_folder_is_needed_is_a_clear_error(tmp_path: Path):
    (tmp_path / "archive").write_text("in the way")
    with pytest.raises(PermanentError, match="cannot be written"):
        Archive(tmp_path / "archive").store(spool(tmp_path), SHA)
