"""The limited process in which one mail is taken apart: `python -I -m connectors.mail_child FOLDER MEGABYTES SECONDS`.

Reads the file "mail" in the folder and writes its attachments there as "part-1", "part-2" …, and "parts.json" at last. Never
opens anything else, and never sees a setting or a secret.
"""

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path

from connectors.mail_parts import walk


def main(folder: Path, megabytes: int, seconds: int) -> None:
    """Take the mail in `folder` apart, within these limits of memory and processor time."""
    _limit(megabytes << 20, seconds)
    mail = walk((folder / "mail").read_bytes())
    for part in mail.parts:
        (folder / f"part-{part.number}").write_bytes(part.content)
    parts = [
        {"number": part.number, "place": part.place, "name": part.name, "notes": [asdict(note) for note in part.notes]}
        for part in mail.parts
    ]
    listed = {"parts": parts, "text": mail.text, "notes": [asdict(note) for note in mail.notes]}
    (folder / "parts.json").write_text(json.dumps(listed), encoding="ascii")


def _limit(memory: int, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
