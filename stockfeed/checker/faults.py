"""What the checker finds: one fault names the rule, where it is broken, and how."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

Fault = Mapping[str, str]
_PARTICULARS = re.compile(r"[0-9a-f]{12}…|\d+")  # what differs between two faults of one kind


def fault(rule: str, subject: str, message: str) -> Fault:
    """Return one fault: {"rule", "subject", "message"}."""
    return {"rule": rule, "subject": subject, "message": message}


def first_of_each(faults: Iterable[Fault], limit: int) -> list[Fault]:
    """Return at most `limit` faults in the order of the rules: one of each kind first, so that no kind hides the others."""
    kinds: dict[tuple[str, str], list[Fault]] = defaultdict(list)
    for one in faults:
        kinds[one["rule"], _PARTICULARS.sub("", one["message"])].append(one)
    shown: list[Fault] = []
    for depth in range(limit):
        layer = [found[depth] for found in kinds.values() if depth < len(found)]
        shown += layer[: limit - len(shown)]
        if not layer:
            break
    return sorted(shown, key=lambda one: int(one["rule"][1:]))
