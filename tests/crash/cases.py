"""Which cases there are: each is made from a family, a seed and a number alone, so that any of them can be repeated."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tests.crash.points import POINTS, SIDES

DATABASES = ("sqlite", "postgresql")
FAMILIES = ("points", "random", "calls", "commits", "disk", "readonly")
_KINDS = ("normal",) * 5 + ("partial", "held", "rejected", "unchanged")
_SOURCES = ("leave", "delete", "delete", "move")
_STEPS = ("delivery",) * 6 + ("newer", "newer", "reconcile", "stale", "undo", "retain")
#: System calls of the n-th-call family, and what happens at the call.
CALLS = ("write", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "sendto", "openat", "connect")
ACTIONS = ("signal=KILL", "error=EIO", "error=ENOSPC")
#: How often a whole run of a delivery makes each call (counted by strace): PostgreSQL's server writes where SQLite does itself.
_MOST_CALLS = {
    "sqlite": {"write": 12, "pwrite64": 320, "fsync": 6, "fdatasync": 45, "rename": 2, "unlink": 9, "sendto": 14, "openat": 49,
               "connect": 1},
    "postgresql": {"write": 13, "fsync": 6, "rename": 2, "unlink": 4, "sendto": 860, "openat": 39, "connect": 4},
}  # fmt: skip
_LESS = 3  # the other steps do about a third of that


@dataclass(frozen=True)
class Case:
    """One scenario: where it is damaged, how, and what happens around it."""

    family: str
    seed: int
    number: int
    database: str
    source: str = "leave"
    mode: str = "snapshot"
    kind: str = "normal"
    step: str = "delivery"
    point: str = ""
    side: str = ""
    call: str = ""
    action: str = ""
    nth: int = 0
    share: float = 0.0  # of the usual duration, at which a random kill comes
    last: bool = False  # no newer delivery repairs what was damaged
    merged: bool = False  # the newer delivery is there already when the run is repeated
    crashes: int = 1
    two: bool = False
    large: bool = False
    sales: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.family}/{self.seed}/{self.number}"

    def as_dict(self) -> dict[str, Any]:
        return {"case": self.id, **{name: value for name, value in asdict(self).items() if value not in ("", 0, False, ())}}


def make(family: str, seed: int, number: int) -> Case:
    """Return a case. The number goes through points, sides and databases, so that every one comes as often as the others."""
    rng = random.Random(f"{family}/{seed}/{number}")
    around = {
        "last": rng.random() < 0.35, "merged": rng.random() < 0.6, "crashes": 1 + (rng.random() < 0.25),
        "two": rng.random() < 0.25, "sales": tuple(m for m in ("before", "crash", "newer") if rng.random() < 0.3),
    }  # fmt: skip
    database = DATABASES[number % 2]
    if family == "points":
        return _at_point(seed, number, rng, around)
    free = {
        "kind": rng.choice(_KINDS), "source": rng.choice(_SOURCES), "mode": "delta" if rng.random() < 0.15 else "snapshot",
        "step": rng.choice(_STEPS), "large": rng.random() < 0.1,
    }  # fmt: skip
    if free["mode"] == "delta":
        free["kind"] = rng.choice(("normal", "partial"))
    if family == "calls":
        made = _MOST_CALLS[database]
        call = [name for name in CALLS if name in made][number // 2 % len(made)]
        most = made[call] if free["step"] in {"delivery", "newer"} else max(1, made[call] // _LESS)
        free |= {"call": call, "action": rng.choice(ACTIONS), "nth": rng.randint(1, most)}
    elif family == "commits":
        database = "postgresql"
        free |= {"nth": rng.randint(1, 24), "action": rng.choice(("after", "after", "before"))}
    elif family == "disk":
        free |= {"large": True, "step": rng.choice(("delivery", "newer")), "nth": rng.randrange(0, 500_000, 4096), "kind": "normal"}
    else:
        free |= {"share": rng.random(), "source": "sftp" if rng.random() < 0.12 else free["source"]}
    if family == "random":
        around["crashes"] = rng.randint(2, 5)  # one kill after the other, each judged at once; most of the cost is what follows
    return _sane(Case(family=family, seed=seed, number=number, database=database, **{**around, **free}))


def _at_point(seed: int, number: int, rng: random.Random, around: dict[str, Any]) -> Case:
    index = number // 2
    point = POINTS[index % len(POINTS)]
    side = SIDES[index // len(POINTS) % 2]
    mode = "delta" if point.mode == "snapshot" and rng.random() < 0.1 and _suits_delta(point.name, point.kind) else "snapshot"
    return _sane(
        Case(
            family="points", seed=seed, number=number, database=DATABASES[number % 2],
            source=point.source or rng.choice(_SOURCES), mode=mode, kind=point.kind, step=point.step, point=point.name,
            side=side, large=point.large, **around,
        )
    )  # fmt: skip


def _suits_delta(name: str, kind: str) -> bool:
    return kind in {"normal", "partial"} and not name.startswith(("apply-absent", "apply-reading", "lines-compared", "undo"))


def _sane(case: Case) -> Case:
    """Return the case without what cannot go together."""
    changes: dict[str, Any] = {}
    if case.step in {"newer", "undo", "retain", "stale"}:
        changes["last"] = False
    if case.step != "delivery":
        changes["merged"] = False
    if case.step == "reconcile":
        changes["sales"] = (*case.sales, "reconcile")
    if case.kind != "normal":
        changes["two"] = False
    values = asdict(case) | changes
    return Case(**values)


def names(counts: Mapping[str, int], seed: int) -> Iterator[tuple[str, int, int]]:
    """Yield (family, seed, number) of the first cases of each family, as many as `counts` says, the families in turn."""
    for number in range(max(counts.values(), default=0)):
        for family, count in counts.items():
            if number < count:
                yield family, seed, number
