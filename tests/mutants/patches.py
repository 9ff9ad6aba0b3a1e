"""Seeded bugs as patches: reads them and applies them to a tree.

A hunk's lines are found by their text, wherever they have moved to; a hunk that is not there exactly once is an error.
"""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
_FILE = re.compile(r"^\+\+\+ b/(\S+)$")


class StalePatchError(Exception):
    """A patch no longer fits the source."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines of one file that become other lines."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """One seeded bug: its name, the sentence that says what is wrong with it, and what it changes."""

    name: str
    sentence: str
    hunks: tuple[Hunk, ...]

    def apply(self, tree: Path) -> None:
        """Put the bug into the files of `tree`. Raises StalePatchError when a hunk does not fit exactly one place."""
        for hunk in self.hunks:
            path = tree / hunk.file
            text = path.read_text("utf-8") if path.is_file() else ""
            if (found := text.count(hunk.old)) != 1:
                raise StalePatchError(f"{self.name}: its lines are {found} times in {hunk.file}; make the patch anew")
            path.write_text(text.replace(hunk.old, hunk.new), "utf-8")


def load_mutants() -> list[Mutant]:
    """Return every patch of this folder, in the order of their names."""
    return [_parse(path.stem, path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.patch"))]


def _parse(name: str, text: str) -> Mutant:
    sentence, _, diff = text.partition("\n\n")
    hunks: list[Hunk] = []
    file = ""
    for part in re.split(r"^(?=--- a/|@@ )", diff, flags=re.MULTILINE):
        lines = part.splitlines(keepends=True)
        if lines and lines[0].startswith("--- "):
            file = next(match[1] for line in lines if (match := _FILE.match(line.rstrip())))
        elif lines:
            hunks.append(Hunk(file, _side(lines[1:], " -"), _side(lines[1:], " +")))
    return Mutant(name, sentence, tuple(hunks))


def _side(lines: list[str], marks: str) -> str:
    # a context line that is blank may have lost its mark to an editor
    return "".join(line[1:] if line != "\n" else line for line in lines if line[0] in marks or line == "\n")
