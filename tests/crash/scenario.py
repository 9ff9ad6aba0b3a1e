"""One scenario: a damaged run, its repetition, a newer delivery and a stale one, quiet, and the judgement."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, text

from stockfeed.store.engine import make_engine
from tests.crash.cases import Case
from tests.crash.damage import CommitProxy, injected
from tests.crash.forks import Ended
from tests.crash.judging import at_the_end, right_after_a_crash
from tests.crash.world import Outside, World, copied, prepared
from tests.servers.small_disk import SmallDisk, mounted

_ROUND = (("sync", "--json"), ("publish", "--json"))
_USUAL_SECONDS = 0.6  # of a damaged run, until one was measured
_APART = 0.382  # of the run lies between its first kill and its second, so that they come at different moments
_DAY = 86_400
_PARKED_AFTER = 3  # kills while one delivery is read
_UNDAMAGED = {0, 2, 4}  # done, held for a person, rejected: ends that a repeated run may report
_DAMAGED = {0, 2, 3, 4, 75}  # and "try again later", or that the database cannot be opened


@dataclass
class Result:
    """What a case gave: how the damaged run ended, whether the damage was done at all, and every violation."""

    case: Case
    status: int = 0
    done: bool = False
    kills: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    def as_line(self) -> dict[str, Any]:
        """Return what is kept of each case: its name, from which all else can be made again, and what it gave."""
        how = {"case": self.case.id, "database": self.case.database, "done": self.done, "kills": self.kills}
        return {**how, "seconds": round(self.seconds, 1), **({"violations": self.violations} if self.violations else {})}

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, for a reader."""
        how = {"status": self.status, "done": self.done, "kills": self.kills, "seconds": round(self.seconds, 2)}
        return {**self.case.as_dict(), **how, "violations": self.violations}


class Scenarios:
    """Runs cases, one at a time, in folders under `outside.folder`."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self._usual: dict[str, float] = {}

    def run(self, case: Case, *, keep: bool = False) -> Result:
        began = time.monotonic()
        base = prepared(self.outside, case.database, case.source, case.mode)
        root = self.outside.folder / case.id.replace("/", "-")
        result = Result(case)
        with ExitStack() as stack:
            if not keep:
                stack.callback(shutil.rmtree, root, ignore_errors=True)
            small = case.family == "disk" or (case.family == "readonly" and case.database == "sqlite")
            disk = stack.enter_context(mounted(root / "state", "32m")) if small else None
            world = copied(base, root, case.id)
            engine = make_engine(world.url)
            stack.callback(self.outside.databases[case.database].drop, world.url)
            stack.callback(engine.dispose)
            _Play(case, world, engine, result, self._usual, disk).play()
        result.seconds = time.monotonic() - began
        return result


@dataclass
class _Play:
    case: Case
    world: World
    engine: Engine
    result: Result
    usual: dict[str, float]
    disk: SmallDisk | None

    def play(self) -> None:
        case, world = self.case, self.world
        if "before" in case.sales:
            world.sell()
        self._deliver()
        if "crash" in case.sales:
            world.sell()
        if case.merged:
            self._newer()
        self._repeat("delivery", _ROUND)
        if not case.merged:
            self._newer()
            self._damage_or_repeat("newer" if case.step == "newer" else "stale", _ROUND)
        if case.step == "undo":
            self._undo()
        if case.step == "retain":
            self._damage_or_repeat("retain", (("@retain",),), {"STOCKFEED_ARCHIVE_BYTES": "1"})
        if case.step == "sweep":
            self._damage_or_repeat("sweep", (("sweep", "--json"),))
        if case.step == "reconcile":
            world.sell()
            self._damage_or_repeat("reconcile", (("reconcile", "--json"), ("publish", "--json")))
        self._quiet()
        self.result.violations += at_the_end(world, self.engine)

    def _deliver(self) -> None:
        world, case = self.world, self.case
        if case.two:
            world.send("earlier.csv", 2.5)
        first = world.truth.sent["first.csv"].content
        world.send("damaged.csv", 2, case.kind, large=case.large, replay=first)
        if case.step == "delivery":
            self._damaged("delivery", _ROUND)

    def _newer(self) -> None:
        """A stale file under a new name, and unless the damaged delivery is to be the last one, a newer one."""
        if "newer" in self.case.sales:
            self.world.sell()
        self.world.send("stale.csv", 4, "stale")
        if not self.case.last:
            self.world.send("newer.csv", 1)

    def _undo(self) -> None:
        (last,) = self._query("SELECT last_applied_id FROM feed")[0]
        self.world.truth.undo()
        self._damage_or_repeat("undo", (("deliveries", "undo", str(last), "--reason", "a crash scenario"),))

    def _query(self, statement: str) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement)))

    # runs

    def _damage_or_repeat(self, step: str, commands: tuple[tuple[str, ...], ...], environ: dict[str, str] | None = None) -> None:
        if self.case.step == step:
            self._damaged(step, commands, environ)
        self._repeat(step, commands, environ)

    def _damaged(self, step: str, commands: tuple[tuple[str, ...], ...], environ: dict[str, str] | None = None) -> None:
        for number in range(self.case.crashes):
            with self._damage(step, number) as (how, more):
                ended = self.world.run(*commands, environ={**(environ or {}), **more}, **how)
            self.result.status = ended.status
            self.result.kills += ended.killed
            self.result.done = self.result.done or self._was_done(ended)
            self._judge_run(f"the damaged {step}", ended, _DAMAGED)
            self.result.violations += [f"right after the crash: {v}" for v in right_after_a_crash(self.world, self.engine)]

    def _was_done(self, ended: Ended) -> bool:
        if self.case.family == "calls":
            return bool(ended.note.get("hit"))
        if self.case.family in {"points", "random"}:
            return ended.killed
        if self.case.family == "commits":
            return False  # the proxy knows
        return any(code not in {0, 2} for code in ended.codes)

    def _repeat(self, step: str, commands: tuple[tuple[str, ...], ...], environ: dict[str, str] | None = None) -> None:
        ended = self.world.run(*commands, environ=environ or {})
        self._judge_run(f"the repeated {step}", ended, _UNDAMAGED)
        self._replay_parked()
        key = f"{step}/{self.world.source}"
        self.usual[key] = 0.7 * self.usual.get(key, ended.seconds) + 0.3 * ended.seconds

    def _replay_parked(self) -> None:
        """Do what a person does about a delivery that stopped the worker three times, if it did."""
        parked = self._query("SELECT id, source_name FROM delivery WHERE state = 'rejected' AND reason_code = 'FILE-CRASH'")
        if parked and self.result.kills < _PARKED_AFTER:
            self.result.violations.append(f"delivery {parked[0].source_name} is parked after {self.result.kills} kills")
        for one in parked:
            ended = self.world.run(("deliveries", "replay", str(one.id), "--reason", "the worker was killed"), *_ROUND)
            self._judge_run("the replayed delivery", ended, _UNDAMAGED)
            if self._query(f"SELECT state FROM delivery WHERE id = {one.id}")[0].state == "superseded":
                self.world.truth.was_overtaken(one.source_name)

    def _judge_run(self, what: str, ended: Ended, allowed: set[int]) -> None:
        if ended.hung and ended.note.get("impossible"):
            self.result.done = False
        elif ended.hung:
            self.result.violations.append(f"{what} run never ended")
        elif ended.status not in (0, -9) or (ended.status == -9 and what.startswith("the repeated")):
            self.result.violations.append(f"{what} run ended with status {ended.status}: {self._last_words()}")
        if set(ended.codes) - allowed:
            self.result.violations.append(f"{what} run gave exit codes {ended.codes}: {self._last_words()}")

    def _last_words(self) -> str:
        path = self.world.root / "out.txt"
        lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
        return " | ".join(lines[-4:])[:600]

    def _quiet(self) -> None:
        """Let two days pass for what killed runs left lying, then publish, compare and clear up as every night does."""
        for pattern in ("state/spool/*", "state/archive/??/??/*.part", "out/.*.part"):
            for path in self.world.root.glob(pattern):
                os.utime(path, (time.time() - 2 * _DAY,) * 2)
        self._repeat("quiet", (("reconcile", "--json"), ("publish", "--json"), ("@retain",)))

    # damage

    @contextmanager
    def _damage(self, step: str, number: int) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
        """Yield how to run, and further environment variables."""
        case, world = self.case, self.world
        if case.family == "points":
            yield {"fault": {"kind": "point", "point": case.point, "side": case.side}}, {}
        elif case.family == "random":
            usual = self.usual.get(f"{step}/{world.source}", _USUAL_SECONDS)
            share = (case.share + number * _APART) % 1
            yield {"fault": {"kind": "time", "seconds": share * usual}}, {}
        elif case.family == "calls":
            # what could not be sent is never answered: the run goes on once the server ends the silent session
            yield (
                {"attach": injected(case.call, case.action, case.nth, world.root / "strace.txt")},
                {"STOCKFEED_LEASE_SECONDS": "20"},
            )
        elif case.family == "commits":
            with CommitProxy(world.url, case.nth, case.action) as proxy:
                yield {}, {"STOCKFEED_DATABASE_URL": proxy.url}
            self.result.done = self.result.done or proxy.cut
        else:
            with self._bad_disk():
                yield {}, {}

    def _bad_disk(self) -> AbstractContextManager[None]:
        self.engine.dispose()  # a disk with a file open for writing does not become read-only
        if self.disk is None:
            databases = self.world.outside.databases["postgresql"]
            return _for_a_while(lambda on: databases.read_only(self.world.url, on=on))
        disk = self.disk
        if self.case.family == "readonly":
            return _for_a_while(lambda on: disk.remount("ro" if on else "rw"))
        return _for_a_while(lambda on: disk.fill(leave=self.case.nth) if on else disk.free())


@contextmanager
def _for_a_while(switch: Callable[[bool], None]) -> Iterator[None]:
    switch(True)
    try:
        yield
    finally:
        switch(False)
