"""SFTP servers that misbehave in one way each, on top of the real one; tests say when."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from paramiko.sftp import SFTP_FAILURE, SFTP_PERMISSION_DENIED

from stockfeed.demo.sftp_server import ServedFile, ServedFolder


@dataclass
class Faults:
    """What goes wrong from now on; the fields may be changed while the server runs."""

    stall_at: int | None = None  # reads from this offset on are not answered until `let_go` is set
    end_at: int | None = None  # the file seems to end here, whatever its listed size
    short_reads: int | None = None  # at most so many bytes per answer
    drop_at: int | None = None  # the connection is cut at this offset
    grow_on_read: bool = False  # each read makes the file longer
    extra_names: tuple[bytes, ...] = ()  # listed beside the real files
    deny_listing: bool = False
    fail_reads: bool = False
    let_go: threading.Event = field(default_factory=threading.Event)
    hang_up: Callable[[], None] = lambda: None

    def files(self, door: paramiko.ServerInterface, root: Path) -> ServedFolder:
        return _FaultyFolder(door, root, self)


class _FaultyFolder(ServedFolder):
    def __init__(self, door, root, faults) -> None:
        super().__init__(door, root)
        self._faults = faults

    def list_folder(self, path):
        if self._faults.deny_listing:
            return SFTP_PERMISSION_DENIED
        found = super().list_folder(path)
        if isinstance(found, list):
            for name in self._faults.extra_names:
                status = paramiko.SFTPAttributes.from_stat(Path(__file__).stat())
                status.filename = name
                found.append(status)
        return found

    def open(self, path, flags, attr):
        opened = super().open(path, flags, attr)
        if isinstance(opened, int):
            return opened
        return _FaultyFile(flags, opened.readfile, self._faults, self.local(path))


class _FaultyFile(ServedFile):
    def __init__(self, flags, file, faults, path) -> None:
        super().__init__(flags, file)
        self._faults, self._path = faults, path

    def read(self, offset, length):
        faults = self._faults
        if faults.fail_reads:
            return SFTP_FAILURE
        if faults.drop_at is not None and offset >= faults.drop_at:
            threading.Thread(target=faults.hang_up).start()
            faults.let_go.wait(5)
        if faults.stall_at is not None and offset >= faults.stall_at:
            faults.let_go.wait(30)
        if faults.end_at is not None:
            length = max(0, min(length, faults.end_at - offset))
        if faults.short_reads is not None:
            length = min(length, faults.short_reads)
        data = os.pread(self.readfile.fileno(), length, offset)
        if faults.grow_on_read:
            with self._path.open("ab") as file:
                file.write(b"more")
        return data
