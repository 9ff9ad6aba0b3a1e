"""Writes the pages of docs/ that are made from code; with --check it writes nothing and exits 1 when one is not fresh.

Never edits a page that people write.
"""

import sys
from pathlib import Path

from schemas.rejections import CODES

DOCS = Path(__file__).parent
_GROUPS = {
    "ROW": "The record as a whole",
    "ENC": "The record as a whole",
    "SKU": "Keys",
    "QTY": "Quantities",
    "GTIN": "Other columns",
    "COST": "Other columns",
    "DATE": "Other columns",
    "VALUE": "Other columns",
    "EXPECT": "The feed's contract",
    "EDI": "EDI messages",
    "FILE": "The delivery as a whole",
    "MAIL": "The delivery as a whole",
    "HEADER": "The delivery as a whole",
}


def rejection_codes() -> str:
    """Return the page of all rejection codes: what each says and what to do, grouped by what it is about."""
    lines = [
        "# Rejection codes",
        "",
        "Made from `schemas/rejections.py` by `make docs`; do not edit. A rejected row never stops the others; a code of the",
        "last group rejects the whole delivery, and the last good levels stay. A parse failure never becomes 0.",
        "",
    ]
    for group in dict.fromkeys(_GROUPS.values()):
        lines += [f"## {group}", "", "| code | what is wrong | what to do |", "|---|---|---|"]
        lines += [f"| `{code}` | {_cell(e.sentence)} | {_cell(e.remedy)} |" for code, e in CODES.items() if _group(code) == group]
        lines.append("")
    return "\n".join(lines)


def _group(code: str) -> str:
    return _GROUPS[code.split("-", maxsplit=1)[0]]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES = {"rejection-codes.md": rejection_codes}


def main(arguments: list[str]) -> int:
    """Return 0 when every generated page is fresh (or was written), 1 when `--check` found one that is not."""
    stale = [name for name, page in PAGES.items() if not (DOCS / name).exists() or (DOCS / name).read_text("utf-8") != page()]
    if "--check" in arguments:
        for name in stale:
            print(f"docs/{name} is not fresh: run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
