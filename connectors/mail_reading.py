"""Taking one spooled mail apart in a limited child process; the attachments come back as files of a private folder.

Never parses a mail's body in this process, and never lets the child outlive its limits.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from schemas.findings import Finding

MEGABYTES, CPU_SECONDS, WALL_SECONDS = 512, 15, 20


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attachment: number, place in the mail's tree, name as shown, the file that holds it, findings about it."""

    number: int
    place: str
    name: str
    path: Path
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ReadMail:
    """A mail taken apart. A finding of severity "reject" in `findings` means that none of it is used."""

    attachments: tuple[Attachment, ...] = ()
    text: str = ""
    findings: tuple[Finding, ...] = ()


def read_mail(folder: Path) -> ReadMail:
    """Return the mail in the file "mail" of `folder`, taken apart; its attachments are written into the folder.

    A mail that takes more than the limits, or at which the parser crashes, comes back with one finding of severity "reject".
    """
    listed = folder / "parts.json"
    command = [sys.executable, "-I", "-m", "connectors.mail_child", str(folder), str(MEGABYTES), str(CPU_SECONDS)]
    try:
        done = subprocess.run(  # noqa: S603 - our own module, and no text of the mail
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=WALL_SECONDS, check=False, cwd=folder,
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2"}, start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ReadMail(findings=(_refused(f"reading the mail takes over {WALL_SECONDS} seconds"),))
    if done.returncode != 0 or not listed.exists():
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:80]
        memory = f"reading the mail takes over {MEGABYTES} MB of memory"
        words = memory if "MemoryError" in last else f"the mail's parser ended with code {done.returncode}"
        return ReadMail(findings=(_refused(words),))
    found = json.loads(listed.read_text("ascii"))
    attachments = tuple(
        Attachment(one["number"], one["place"], one["name"], folder / f"part-{one['number']}", _findings(one["notes"]))
        for one in found["parts"]
    )
    return ReadMail(attachments, found["text"], _findings(found["notes"]))


def _findings(notes: list[dict[str, str]]) -> tuple[Finding, ...]:
    return tuple(Finding(n["code"], n["severity"], n["message"], n["remedy"]) for n in notes)  # type: ignore[arg-type]


def _refused(words: str) -> Finding:
    return Finding("MAIL-LIMIT", "reject", words, "Ask the supplier to send the file as a plain attachment of a small mail.")
