"""The shop's query-cost bucket as we know it: waits before a request that would be throttled, and after one that was.

Never sends a request; time comes from the injected clock and sleep.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import TransientError


@dataclass(slots=True)
class CostBudget:
    """Points of one app at one shop: every answer tells how many are left and how fast they come back.

    Formula (Shopify rate limits): wait = (requested - currentlyAvailable) / restoreRate seconds.
    """

    sleep: Callable[[float], object]
    clock: Callable[[], float]
    longest_wait: float  # seconds; beyond it a TransientError tells the caller when to come back
    _available: float | None = None
    _rate: float = 0.0
    _at: float = 0.0
    _costs: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reserve(self, operation: str) -> None:
        """Wait until the bucket should hold what `operation` cost last time, and take that out of our estimate."""
        with self._lock:
            cost = self._costs.get(operation, 0.0)
            missing = cost - self._estimate()
            wait = missing / self._rate if missing > 0 and self._rate > 0 else 0.0
            if self._available is not None:
                self._available -= cost
        self._pause(wait)

    def learn(self, operation: str, cost: Mapping[str, Any] | None) -> None:
        """Remember what an answer's `extensions.cost` says; anything unreadable is ignored, it only tunes waiting."""
        status = (cost or {}).get("throttleStatus")
        if not isinstance(status, Mapping):
            return
        available, rate = status.get("currentlyAvailable"), status.get("restoreRate")
        if isinstance(available, (int, float)) and isinstance(rate, (int, float)) and rate > 0:
            with self._lock:
                self._available, self._rate, self._at = float(available), float(rate), self.clock()
                requested = (cost or {}).get("requestedQueryCost")
                if isinstance(requested, (int, float)):
                    self._costs[operation] = float(requested)

    def wait_after_throttling(self, cost: Mapping[str, Any] | None, waited: float) -> float:
        """Return the seconds waited, after waiting them; `waited` is what this request has spent so far."""
        status = (cost or {}).get("throttleStatus") or {}
        requested = float((cost or {}).get("requestedQueryCost") or 0)
        available, rate = float(status.get("currentlyAvailable") or 0), float(status.get("restoreRate") or 0)
        wait = max(0.1, (requested - available) / rate) if rate > 0 else 1.0
        self._pause(wait, waited)
        return wait

    def _estimate(self) -> float:
        if self._available is None:
            return float("inf")
        return self._available + (self.clock() - self._at) * self._rate

    def _pause(self, wait: float, waited: float = 0.0) -> None:
        if wait + waited > self.longest_wait:
            hint = f"Try again in {wait:.0f} s."
            raise TransientError("the shop's query budget is used up", hint, "THROTTLED", retry_after=wait)
        if wait > 0:
            self.sleep(wait)
