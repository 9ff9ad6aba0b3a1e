"""A small disk of its own (tmpfs) that a test can fill, make read-only and enlarge. Needs the right to mount: root on Linux."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class SmallDisk:
    folder: Path

    def fill(self, *, leave: int) -> None:
        """Leave only so many bytes free."""
        with (self.folder / "ballast").open("wb") as file:
            left = shutil.disk_usage(self.folder).free - leave
            while left > 0:
                left -= file.write(b"\0" * min(left, 1 << 20))

    def free(self) -> None:
        """Give the space back that `fill` took."""
        (self.folder / "ballast").unlink()

    def remount(self, options: str) -> None:
        """Change the mount: "size=64m", "ro", "rw"."""
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)


@contextmanager
def mounted(folder: Path, size: str = "8m") -> Iterator[SmallDisk]:
    """Yield a disk mounted at `folder`, unmounted at the end; without the right to mount the test is skipped and counted."""
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.which("mount") is None:
        pytest.skip("no `mount` here: no small disk to fill")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "stockfeed-test", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"no right to mount a small disk here (needs root): {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
