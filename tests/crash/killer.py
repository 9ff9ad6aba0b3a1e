"""Watches the calls of this process and kills it, with the signal nobody can catch, at one named place."""

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from tests.crash.points import BY_NAME, find, is_code


def arm(name: str, side: str, call: int | None = None) -> None:
    """Kill this process before (or after) the n-th call at the point; also in threads that begin from here on."""
    point = BY_NAME[name]
    target, around = find(point.function), find(point.within) if point.within else None
    events = ("call", "c_call") if side == "before" else ("return", "c_return")
    left = [call or point.call]
    python = is_code(target)

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        if event not in events or (frame.f_code is not target if python else argument is not target):
            return
        if around is not None and not _is_on_the_stack(frame, around):
            return
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(watch)
    sys.setprofile(watch)


def _is_on_the_stack(frame: FrameType | None, code: Any) -> bool:
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False
