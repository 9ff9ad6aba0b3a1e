"""Random lives of two feeds and a shop, compared with the oracle after each step (Hypothesis state machine)."""

import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stockfeed.pipeline.acts import reject_delivery, release_delivery, undo_delivery
from stockfeed.pipeline.publish import publish
from stockfeed.pipeline.sweep import sweep
from tests.property.model_world import DELTA, FEEDS, SNAPSHOT, WHO, ModelWorld
from tests.property.oracle import HOUR, FeedOracle, File

SKUS = ("NA", "001", "1", "1E5", "True", "nan", "\u00e9", "e\u0301", " A", "A")
KEYS = tuple(dict.fromkeys(sku.strip() for sku in SKUS))
FAULTS = ("die before", "die after", "answer lost", "no answer", "unreachable")
#: Restocks are far apart and sales small, so that what the shop shows tells which write landed.
cells = st.tuples(st.sampled_from(SKUS), st.sampled_from(("0", "1000", "2000", "3000", "x")))
files = st.lists(cells, min_size=1, max_size=8).map(tuple)
feeds = st.sampled_from((SNAPSHOT, SNAPSHOT, DELTA))
offsets = st.sampled_from((0, 0, 0, 0, -HOUR, -24 * HOUR, HOUR))
deaths = st.integers(1, 110)


class Machine(RuleBasedStateMachine):
    """`steps` counts every step of every life; `make_url` gives the address of an empty database for a folder."""

    steps: ClassVar[int] = 0
    make_url: ClassVar = staticmethod(lambda _folder: "")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="stockfeed-model-", dir=quick_folder()))
        self.oracles = {code: FeedOracle(mode) for code, (mode, _) in FEEDS.items()}
        self.pending: dict[str, dict[str, File]] = {code: {} for code in FEEDS}  # files whose end is not known
        self.written: dict[str, list[tuple]] = {code: [] for code in FEEDS}
        self.sales: list[list] = []  # [earliest time it may be seen, key, units]
        self.taken = 0
        self.newest: dict[str, int] = {}
        self.world: ModelWorld | None = None

    @initialize(compares=st.booleans())
    def start(self, *, compares: bool) -> None:
        self.world = ModelWorld(self.folder, type(self).make_url(self.folder), compares=compares)
        self.world.shop.list_skus(*KEYS)

    def teardown(self) -> None:
        try:
            if self.world is not None:
                self.quiesce()
        finally:
            if self.world is not None:
                self.world.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    # deliveries

    @rule(code=feeds, rows=files, offset=offsets)
    def deliver(self, code: str, rows: tuple, offset: int) -> None:
        self._put(code, rows, offset)
        self._sync(code)

    @rule(code=feeds, which=st.integers(0, 30), offset=offsets)
    def redeliver(self, code: str, which: int, offset: int) -> None:
        """The bytes of an earlier file under a new name."""
        if self.written[code]:
            self._put(code, self.written[code][-1 - which % len(self.written[code])], offset)
        self._sync(code)

    @rule(code=feeds, rows=files, offset=offsets, at=deaths)
    def die_while_syncing(self, code: str, rows: tuple, offset: int, at: int) -> None:
        self._put(code, rows, offset)
        self._die(code, at)

    @rule(code=feeds, at=deaths)
    def die_while_resuming(self, code: str, at: int) -> None:
        self._die(code, at)

    @rule(code=feeds)
    def resume(self, code: str) -> None:
        self._sync(code)

    def _put(self, code: str, rows: tuple, offset: int) -> None:
        self.world.jump(60)
        file = self.world.put(code, rows, self.world.seconds() + offset)
        self.pending[code][file.name] = file
        self.written[code].append(rows)

    def _die(self, code: str, at: int) -> None:
        before = self.world.ledger(code)
        died = self.world.dying(at, lambda: self._ran(code, before, self.world.sync(code)))
        if died:  # what it had ended before it died is ended; the rest waits
            self._catch_up(code, before)

    def _sync(self, code: str) -> None:
        self._ran(code, self.world.ledger(code), self.world.sync(code))

    def _ran(self, code: str, before: dict, results: list) -> None:
        """Let the oracle end the same deliveries in the same order, and compare each end."""
        ledger = self.world.ledger(code)
        names = {row.id: name for name, row in ledger.items()}
        assert {names[result.delivery_id] for result in results} == self.pending[code].keys()
        order = [(self._place(code, names[r.delivery_id], r.delivery_id), r.delivery_id) for r in results]
        assert order == sorted(order)
        for result in results:
            name = names[result.delivery_id]
            attempts = before[name].attempts if name in before else 0
            self._end(code, name, result.delivery_id, result.state, attempts)

    def _catch_up(self, code: str, before: dict) -> None:
        found = [row for name, row in self.world.ledger(code).items() if name in self.pending[code]]
        for row in sorted(found, key=lambda row: (self._place(code, row.source_name, row.id), row.id)):
            if row.state != "received":
                attempts = before[row.source_name].attempts if row.source_name in before else 0
                self._end(code, row.source_name, row.id, row.state, attempts)
            elif row.id not in self.oracles[code].states:
                self.oracles[code].arrive(row.id, self.pending[code][row.source_name])

    def _place(self, code: str, name: str, number: int) -> int:
        return self.pending[code][name].time if code == SNAPSHOT else number

    def _end(self, code: str, name: str, number: int, state: str, attempts: int) -> None:
        oracle = self.oracles[code]
        if number not in oracle.states:
            oracle.arrive(number, self.pending[code][name])
        assert oracle.ingest(number, self.world.seconds(), attempts=attempts) == state, (code, name, number)
        if state != "received":
            del self.pending[code][name]

    # people

    @precondition(lambda self: any(o.open for o in self.oracles.values()))
    @rule(code=feeds, which=st.integers(0, 5))
    def release(self, code: str, which: int) -> None:
        held = self.oracles[code].held()
        if held:
            number = held[which % len(held)]
            result = release_delivery(self.world.app, number, **WHO)
            assert self.oracles[code].ingest(number, self.world.seconds(), forced=True) == result.state

    @precondition(lambda self: any(o.open for o in self.oracles.values()))
    @rule(code=feeds, which=st.integers(0, 5))
    def reject(self, code: str, which: int) -> None:
        waiting = sorted(self.oracles[code].open)
        if waiting:
            number = waiting[which % len(waiting)]
            reject_delivery(self.world.app, number, **WHO)
            self.oracles[code].reject(number)

    @precondition(lambda self: any(o.stack for o in self.oracles.values()))
    @rule(code=feeds)
    def undo(self, code: str) -> None:
        oracle = self.oracles[code]
        if oracle.stack:
            undo_delivery(self.world.app, oracle.stack[-1].id, **WHO)
            oracle.undo()

    @rule(
        code=feeds,
        knob=st.sampled_from([("missing_after", 1), ("missing_after", 2), ("missing_after", 3), ("buffer", 0), ("buffer", 7),
                              ("duplicates", "first"), ("duplicates", "reject")]),
    )  # fmt: skip
    def change_config(self, code: str, knob: tuple) -> None:
        name, value = knob
        self.world.knobs[code][name] = value
        self.world.open()
        setattr(self.oracles[code], name, value)

    @rule(seconds=st.sampled_from((60, HOUR, 12 * HOUR, 30 * HOUR, 40 * 24 * HOUR, -HOUR, -24 * HOUR, -100 * 24 * HOUR)))
    def jump_clock(self, seconds: int) -> None:
        self.world.jump(seconds)
        for sale in self.sales:
            sale[0] = min(sale[0], self.world.seconds())

    # the shop

    @rule(key=st.sampled_from(KEYS), units=st.integers(1, 4))
    def sell(self, key: str, units: int) -> None:
        sold = self.world.shop.sell(key, units)
        if sold:
            self.sales.append([self.world.seconds(), key, sold])

    @rule()
    def publish(self) -> None:
        self.world.publish()

    @rule(fault=st.sampled_from(FAULTS))
    def publish_with_a_fault(self, fault: str) -> None:
        self.world.publish(fault)

    @rule(at=deaths)
    def die_while_publishing(self, at: int) -> None:
        self.world.dying(at, lambda: publish(self.world.app, "shop", door=self.world.shop))

    @rule()
    def reconcile(self) -> None:
        self.world.reconcile()

    @rule()
    def sweep(self) -> None:
        sweep(self.world.app)

    # what holds after each step

    @invariant()
    def rules_hold(self) -> None:
        if self.world is None:
            return
        type(self).steps += 1
        rows = self.world.query("SELECT f.code, i.supplier_sku, i.on_hand, i.missing_count, i.unconfirmed_count"
                                " FROM inventory i JOIN feed f ON f.id = i.feed_id")  # fmt: skip
        states = self.world.query("SELECT f.code, d.id, d.state FROM delivery d JOIN feed f ON f.id = d.feed_id")
        places = {r.code: r for r in self.world.query("SELECT code, order_key, in_shadow, last_applied_id, lease_holder FROM feed")}
        for code, oracle in self.oracles.items():
            levels = {r.supplier_sku: [r.on_hand // 1000, r.missing_count, r.unconfirmed_count] for r in rows if r.code == code}
            assert levels == oracle.levels, code  # I4, I5: whole snapshots, and the right ones
            assert {r.id: r.state for r in states if r.code == code and r.id in oracle.states} == oracle.states  # I1, I2
            assert all(r.state == "received" or r.id in oracle.states for r in states if r.code == code)
            if code in places:
                row = places[code]
                assert row.last_applied_id == (oracle.stack[-1].id if oracle.stack else None)  # I3
                assert (row.order_key is None or oracle.mode == "delta"
                        or row.order_key == oracle.place[0] * 1_000_000)  # fmt: skip
                assert row.in_shadow == oracle.in_shadow
                assert row.lease_holder is None or row.lease_holder.split("/")[2] == "0"  # I11
        for taken in self.world.shop.log[self.taken :]:  # I8
            assert taken.version >= self.newest.get(taken.sku, 0)
            self.newest[taken.sku] = taken.version
        self.taken = len(self.world.shop.log)

    def quiesce(self) -> None:
        """Faults have stopped: everything arrives, the shop shows what is available to sell, and every rule holds."""
        world, now = self.world, self.world.seconds()
        for code in FEEDS:
            self._sync(code)
        world.settle()
        sold: dict[str, list] = {key: [] for key in KEYS}
        for row in world.query("SELECT sku, units, feed_id FROM reservation WHERE released_at IS NULL"):
            sold[row.sku].append(row)
        ids = {row.code: row.id for row in world.query("SELECT id, code FROM feed")}
        offered = {r.sku: r for r in world.query("SELECT sku, quantity, reason_code FROM available_to_sell")}
        for key in KEYS:
            parts = [
                o.units(key, now, sum(r.units for r in sold[key] if r.feed_id == ids.get(code))) for code, o in self.oracles.items()
            ]
            known = [part for part in parts if part is not None]
            expected = max(sum(known) - sum(r.units for r in sold[key] if r.feed_id is None), 0) if known else 0
            shown = world.shop.shows(key)
            if key in offered:
                assert offered[key].quantity == expected, key
                assert offered[key].reason_code == "in_shadow" or shown == expected, key  # I6
            self._sales_are_kept(key, sold[key])
        assert world.query("SELECT id FROM publication WHERE state IN ('pending', 'sent')") == []
        assert world.faults() == []

    def _sales_are_kept(self, key: str, rows: list) -> None:
        """What the shop sold is given back only by a snapshot that may contain it, and no sale is invented."""
        newest = max((self.oracles[c].files[one.id].time for c in FEEDS for one in self.oracles[c].stack), default=0)
        kept = sum(units for at, sku, units in self.sales if sku == key and at + HOUR > newest)
        assert sum(row.units for row in rows) >= kept, key
        sold = sum(units for _, sku, units in self.sales if sku == key)
        most = sold + (self._falls_unseen(key) if sold else 0)
        assert sum(row.units for row in rows if row.feed_id is None) <= most, key

    def _falls_unseen(self, key: str) -> int:
        """Units by which writes lowered the shop that were never confirmed.

        A sale after such a write can be read in two ways, and is read as the larger one (`transforms.sales.settle`): of 993 sent
        over 1000 and 992 shown, that eight were sold and nothing landed.
        """
        known = {
            row.version for row in self.world.query(f"SELECT version FROM publication WHERE sku = '{key}' AND state = 'confirmed'")
        }
        falls = [taken for taken in self.world.shop.log if taken.sku == key and taken.version not in known]
        return sum(max(taken.before - taken.quantity, 0) for taken in falls)


def quick_folder() -> str | None:
    """A folder in memory where there is one: lives are many and short."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
