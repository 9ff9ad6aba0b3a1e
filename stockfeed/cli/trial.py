"""How `feeds try` tells its result: the NDJSON contract for programs, a summary with the first rejections for people.

Never judges: the outcome comes from the summary line of the pipeline.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from schemas.errors import DeliveryError
from schemas.rejections import escape_value
from stockfeed.cli.output import emit, emit_json
from stockfeed.cli.problems import tell_problem, wrapped

SHOWN = 20
_EXIT = {"applied": 0, "ignored": 0, "held": 2, "rejected": 4}
_SENTENCES = {
    "applied": "This file would be applied.",
    "ignored": "This file would be IGNORED: it holds no stock for this feed.",
    "held": "This file would be HELD until a person releases it.",
    "rejected": "This file would be REJECTED as a whole.",
}

_OBSERVED = (
    ("row", "row"),
    ("supplier_sku", "SKU"),
    ("quantity_kind", "quantity"),
    ("quantity", "units"),
    ("quantity_text", "text"),
    ("warehouse", "warehouse"),
)

Lines = Iterable[Mapping[str, Any]]


def report_trial(lines: Lines, *, file: Path, feed: str, as_json: bool) -> int:
    """Write the lines of one trial and return the exit code of its outcome: 0 applied, 2 held, 4 rejected, 1 without one."""
    ended = _Ended()
    whole = _always_with_summary(lines, ended)
    if as_json:
        for line in whole:
            emit_json(line)
    else:
        _tell(whole, file=file, feed=feed)
    return ended.exit_code


def report_guess(file: Path, *, as_json: bool) -> int:
    """Write a first configuration for a stranger's file: only TOML, or one JSON object; return 0. Raises DeliveryError."""
    from stockfeed.pipeline.first_config import first_config

    try:
        guessed = first_config(file)
    except DeliveryError as error:
        error.message = f"{escape_value(file.name)}: {error.message}"
        raise
    if as_json:
        emit_json({"type": "guess", "file": file.name, "toml": guessed.toml, "guesses": [asdict(one) for one in guessed.guesses]})
    else:
        emit(guessed.toml.rstrip("\n"))
    return 0


@dataclass
class _Ended:
    exit_code: int = 1  # a trial without a summary is a fault of ours


def _always_with_summary(lines: Lines, ended: _Ended) -> Iterator[Mapping[str, Any]]:
    try:
        for line in lines:
            if line.get("type") == "summary":
                ended.exit_code = _EXIT[line["outcome"]]
            yield line
    except DeliveryError as error:
        ended.exit_code = _EXIT["rejected"]
        yield from _lines_of(error)


def _lines_of(error: DeliveryError) -> Iterator[Mapping[str, Any]]:
    value = None if error.value is None else escape_value(error.value)
    where = {"row": error.row, "line": error.line, "column": error.column, "value": value}
    yield {"type": "rejection", **where, "code": error.code, "message": error.message, "remedy": error.hint}
    finding = {"code": error.code, "severity": "reject", "message": error.message, "remedy": error.hint}
    rows = {"read": 0, "accepted": 0, "rejected": 0, "skipped": 0}
    yield {"type": "summary", "outcome": "rejected", "findings": [finding], "reading": {}, "rows": rows}


@dataclass
class _Collected:
    rejections: list[Mapping[str, Any]] = field(default_factory=list)
    notes: list[Mapping[str, Any]] = field(default_factory=list)
    seen: list[Mapping[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    summary: Mapping[str, Any] = field(default_factory=dict)


def _tell(lines: Lines, *, file: Path, feed: str) -> None:
    found = _collect(lines)
    summary = found.summary
    rows = summary.get("rows", {})
    emit(f"{feed} · {file.name}")
    if "outcome" in summary:
        read_only = summary["outcome"] == "applied" and found.kinds["observation"]
        emit("Read only: no rules were applied." if read_only else _SENTENCES[summary["outcome"]])
    skipped = rows.get("skipped", 0)
    left_out = sum(skipped.values()) if isinstance(skipped, Mapping) else skipped
    emit(
        f"{rows.get('read', 0):,} rows read: {rows.get('accepted', 0):,} accepted, "
        f"{rows.get('rejected', 0):,} rejected, {left_out:,} skipped."
    )
    if summary.get("reading"):
        emit(wrapped("Read as: " + ", ".join(f"{k} {v!r}" for k, v in summary["reading"].items() if v not in (None, "", [], {}))))
    for finding in summary.get("findings", ()):
        _tell_finding(finding)
    _tell_observations(found)
    if found.rejections != _of_whole_file(found.rejections):  # those were told as findings
        _tell_problems("rejected", found.rejections, found.counts, found.kinds["rejection"])
    _tell_problems("noted", found.notes, Counter(), found.kinds["note"])


def _of_whole_file(problems: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [problem for problem in problems if str(problem.get("code")).startswith(("FILE-", "HEADER-"))]


def _collect(lines: Lines) -> _Collected:
    found = _Collected()
    shelves = {"rejection": found.rejections, "note": found.notes, "observation": found.seen}
    for line in lines:
        kind = str(line.get("type"))
        found.kinds[kind] += 1
        if kind == "rejection":
            found.counts[str(line.get("code"))] += 1
        if kind == "summary":
            found.summary = line
        elif kind in shelves and len(shelves[kind]) < SHOWN:
            shelves[kind].append(line)
    return found


def _tell_finding(finding: Mapping[str, Any]) -> None:
    emit(wrapped(f"{str(finding.get('severity', 'warn')).upper()} {finding.get('code', '')}: {finding.get('message', '')}"))
    if finding.get("remedy"):
        emit(wrapped(f"→ {finding['remedy']}", indent="  "))


def _tell_observations(found: _Collected) -> None:
    if found.seen:
        from stockfeed.cli.output import show_rows

        emit("")
        show_rows(found.seen, _OBSERVED, as_json=False, nothing="")
        _tell_rest(found.kinds["observation"], "observations")


def _tell_problems(word: str, problems: list[Mapping[str, Any]], counts: Counter[str], total: int) -> None:
    if not problems:
        return
    emit(f"\nRows {word}" + (f" ({', '.join(f'{code} {number:,}' for code, number in counts.most_common())})" if counts else ""))
    for problem in sorted(problems, key=lambda p: p.get("row") or 0):
        tell_problem(problem)
    _tell_rest(total, "problems")


def _tell_rest(total: int, noun: str) -> None:
    if total > SHOWN:
        emit(f"… and {total - SHOWN:,} more {noun}; --json lists all of them.")
