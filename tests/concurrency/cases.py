"""The kinds of concurrent cases. Each runs real processes on a site and returns what it found wrong, [] when all is well."""

import itertools
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

from tests.concurrency.site import BUSY, CONFIG, PERMANENT, Site, sweeping_all, syncing

SKUS = ("NA", "001", "1", "1E5", "True", "nan", "\u00e9", "e\u0301", "A")
ORDERS = list(itertools.permutations(range(5)))
_ANY_STATEMENT = 110  # a sync has about as many statements and commits
_MINUTE, _DAY = 60, 86_400


def _rows(chance: random.Random, *, least: int = 3) -> dict[str, tuple[int, int]]:
    chosen = chance.sample(SKUS, chance.randint(least, len(SKUS)))
    return {sku: (chance.randint(1, 5000), chance.randint(5001, 9999)) for sku in chosen}


def _first(rows: dict[str, tuple[int, int]]) -> dict[str, int]:
    return {sku: one for sku, (one, _) in rows.items()}


def _differs(what: str, found: object, expected: object) -> list[str]:
    return [] if found == expected else [f"{what}: {found}, not {expected}"]


def two_runs(chance: random.Random, root: Path, url: str) -> list[str]:
    """X14: two or three runs of one feed at once; every delivery ends once, the newest one counts."""
    site = Site(root, url, ["stock"])
    files = [_rows(chance) for _ in range(chance.randint(1, 5))]
    for number, rows in enumerate(files):
        site.put("stock", f"f{number}", rows, age=_MINUTE * (len(files) - number))
    ended = [site.wait(p) for p in [site.start(syncing("stock")) for _ in range(chance.randint(2, 3))]]
    wrong = [f"a run ended with {code}" for code in ended if code not in (0, BUSY)]
    wrong += _differs("the last run ended with", site.finish("stock"), 0)
    wrong += _differs("deliveries", len(site.states("stock")), len(files))
    return wrong + _differs("levels", site.levels("stock"), _first(files[-1])) + site.violations()


def eight_workers(chance: random.Random, root: Path, url: str) -> list[str]:
    """X14: eight workers on forty feeds, each in an order of its own."""
    codes = [f"f{number:02}" for number in range(40)]
    site = Site(root, url, codes)
    newest = {}
    for code in codes:
        newest[code] = _rows(chance)
        site.put(code, "a", _rows(chance), age=2 * _MINUTE)
        site.put(code, "b", newest[code], age=_MINUTE)
    workers = [site.start(sweeping_all(chance.sample(codes, len(codes)))) for _ in range(8)]
    wrong = [f"a worker ended with {code}" for code in map(site.wait, workers) if code]
    wrong += _differs("the last worker ended with", site.wait(site.start(sweeping_all(codes))), 0)
    for code in codes:
        wrong += _differs(f"levels of {code}", site.levels(code), _first(newest[code]))
        wrong += _differs(f"deliveries of {code}", len(site.states(code)), 2)
    return wrong + site.violations()


def zombie(chance: random.Random, root: Path, url: str) -> list[str]:
    """X15: a worker sleeps at any statement until its lease is over, another one goes on, the sleeper wakes."""
    site = Site(root, url, ["stock"])
    old, new = _rows(chance), _rows(chance)
    site.put("stock", "old", old, age=2 * _MINUTE)
    sleeper = site.start(syncing("stock"), stop_at=chance.randint(1, _ANY_STATEMENT))
    sleeps = site.stopped(sleeper)
    site.put("stock", "new", new, age=_MINUTE)
    site.shift_clock(5 * _MINUTE)  # past the sleeper's lease, unless it sleeps in a transaction that locks the database
    between = site.wait(site.start(syncing("stock")))
    wrong = [] if between in (0, BUSY) else [f"the run beside the sleeper ended with {between}"]
    if sleeps:
        os.kill(sleeper, signal.SIGCONT)
        code = site.wait(sleeper)
        wrong += [] if code in (0, BUSY) else [f"the sleeper ended with {code}"]
    wrong += _differs("the last run ended with", site.finish("stock"), 0)
    return wrong + _differs("levels", site.levels("stock"), _first(new)) + site.violations()


def any_order(chance: random.Random, root: Path, url: str) -> list[str]:
    """X16: five deliveries in any order, some twice; the end is always the newest."""
    site = Site(root, url, ["stock"], order_by="source_time")
    files = [_rows(chance) for _ in range(5)]
    for place, number in enumerate(chance.choice(ORDERS)):
        site.put("stock", f"{place}-{number}", files[number], age=_MINUTE * (6 - number))
        if chance.random() < 0.4:
            again = chance.randrange(5)
            if again != number:
                site.put("stock", f"{place}-{number}-{again}", files[again], age=_MINUTE * (6 - again))
        at_once = [site.start(syncing("stock")) for _ in range(chance.choice((1, 1, 2)))]
        for process in at_once:
            site.wait(process)
    wrong = _differs("the last run ended with", site.finish("stock"), 0)
    return wrong + _differs("levels", site.levels("stock"), _first(files[4])) + site.violations()


def clock_jump(chance: random.Random, root: Path, url: str) -> list[str]:
    """X17: the clock jumps while a run sleeps, which is then killed or goes on; the next one works at once."""
    site = Site(root, url, ["stock"], order_by="source_time")
    old, new = _rows(chance), _rows(chance)
    site.put("stock", "old", old, age=2 * _MINUTE)
    runner = site.start(syncing("stock"), stop_at=chance.randint(1, _ANY_STATEMENT))
    sleeps = site.stopped(runner)
    site.shift_clock(chance.choice((-100 * _DAY, -_DAY, -3600, 3600, _DAY, 29 * _DAY)))
    wrong = []
    if sleeps:
        is_killed = chance.random() < 0.5
        os.kill(runner, signal.SIGKILL if is_killed else signal.SIGCONT)
        code = site.wait(runner)
        wrong += [] if code in ((-9,) if is_killed else (0, BUSY)) else [f"the run ended with {code}"]
    after = site.wait(site.start(syncing("stock")))
    wrong += [f"the run after the jump ended with {after}: {site.why_busy()}"] if after else []
    site.shift_clock(0)
    site.put("stock", "new", new, age=_MINUTE)
    wrong += _differs("the last run ended with", site.finish("stock"), 0)
    return wrong + _differs("levels", site.levels("stock"), _first(new)) + site.violations()


def config_change(chance: random.Random, root: Path, url: str) -> list[str]:
    """X20: the configuration changes, or the feed leaves it, while a run sleeps; each delivery is of one version, whole."""
    site = Site(root, url, ["stock", "other"])
    rows = _rows(chance)
    site.put("stock", "a", rows, age=_MINUTE)
    runner = site.start(syncing("stock"), stop_at=chance.randint(1, _ANY_STATEMENT))
    sleeps = site.stopped(runner)
    is_removed = chance.random() < 0.3
    site.configure(column="other", codes=["other"] if is_removed else None)
    between = site.wait(site.start(syncing("stock"), own_offset=chance.choice((0, 5 * _MINUTE))))
    wrong = [] if between in ((CONFIG,) if is_removed else (0, BUSY)) else [f"the run between ended with {between}"]
    if sleeps:
        os.kill(runner, signal.SIGCONT)
        code = site.wait(runner)
        wrong += [] if code in (0, BUSY, PERMANENT) else [f"the first run ended with {code}"]
    if is_removed:
        site.configure(column="other")
    wrong += _differs("the last run ended with", site.finish("stock"), 0)
    one, two = _first(rows), {sku: other for sku, (_, other) in rows.items()}
    found = site.levels("stock")
    return wrong + ([] if found in (one, two) else [f"levels: {found}, neither {one} nor {two}"]) + site.violations()


#: Kinds, with how often each is drawn.
KINDS: dict[Callable[[random.Random, Path, str], list[str]], int] = {
    two_runs: 6, zombie: 8, any_order: 6, clock_jump: 6, config_change: 6, eight_workers: 1,
}  # fmt: skip
