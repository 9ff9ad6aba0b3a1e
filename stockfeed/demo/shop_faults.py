"""Faults the demo shop can be told to have, and its query-cost bucket: what a real shop does on a bad day.

Never happens by itself: without an order every request is answered.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

FaultKind = Literal[
    "answer",  # this HTTP answer instead of the real one, nothing is done
    "silent_after_accept",  # done, and the answer never comes
    "reset",  # the connection breaks before anything is done
    "reset_after_accept",  # done, then the connection breaks
    "cut_after_accept",  # done, and half an answer comes
    "sale_first",  # a customer buys one unit of each item just before
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One scripted fault; `operation` limits it to one operation name ("" = any), `status`, `headers`, `body` are its answer."""

    kind: FaultKind
    operation: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


@dataclass(slots=True)
class Faults:
    """The faults still to happen, in the order they were ordered."""

    _waiting: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, fault: Fault, times: int = 1) -> None:
        """Let the next `times` requests (of its operation) have this fault."""
        with self._lock:
            self._waiting.extend([fault] * times)

    def take(self, operation: str) -> Fault | None:
        """Return the fault of this request and forget it, None if it has none."""
        with self._lock:
            for fault in self._waiting:
                if fault.operation in {"", operation}:
                    self._waiting.remove(fault)
                    return fault
            return None


@dataclass(slots=True)
class CostBucket:
    """Leaky bucket of query points. Costs are a simple model: 10 a write, 1 a node asked for; unused points are given back."""

    maximum: float
    restore_rate: float  # points a second
    clock: Callable[[], float]
    largest_query: float = 1000
    _available: float = -1.0
    _at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, requested: float) -> tuple[str, dict[str, Any]]:
        """Return "" or the code of a refusal, and the `extensions.cost` of the answer."""
        with self._lock:
            moment = self.clock()
            refilled = self.maximum if self._available < 0 else self._available + (moment - self._at) * self.restore_rate
            self._available, self._at = min(self.maximum, refilled), moment
            code = "MAX_COST_EXCEEDED" if requested > self.largest_query else "THROTTLED" if requested > self._available else ""
            if not code:
                self._available -= requested
            status = {
                "maximumAvailable": self.maximum,
                "currentlyAvailable": self._available,
                "restoreRate": self.restore_rate,
            }
            return code, {"requestedQueryCost": requested, "actualQueryCost": None if code else requested, "throttleStatus": status}

    def give_back(self, cost: dict[str, Any], actual: float) -> None:
        """Return what a request asked for and did not use, and say so in its `cost`."""
        with self._lock:
            self._available = min(self.maximum, self._available + cost["requestedQueryCost"] - actual)
            cost["actualQueryCost"] = actual
            cost["throttleStatus"]["currentlyAvailable"] = self._available


def actual_cost(text: str, data: Mapping[str, Any] | None) -> float:
    """Return the points a request really used: 10 a write, else 2 and 1 for each node that came back."""
    if text.lstrip().startswith("mutation"):
        return 10
    values = [value.get("nodes", ()) if isinstance(value, Mapping) else value for value in (data or {}).values()]
    return 2 + sum(len(nodes) for nodes in values if isinstance(nodes, list))


def requested_cost(text: str, variables: Mapping[str, Any]) -> float:
    """Return the points of a request in our simple model."""
    if text.lstrip().startswith("mutation"):
        return 10
    ids = variables.get("ids")
    nodes = len(ids) if isinstance(ids, Sequence) else variables.get("first")
    return 2 + (nodes if isinstance(nodes, int) else 0)
