"""A check of a file, and the work on it that needs no lock of Python's, at once."""

from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")
AT_ONCE = ContextVar("at once", default=True)  # false where the work may end this process, and only the check's word counts


def after(check: Callable[[], None], work: Callable[[], Result]) -> Result:
    """Return what `work` gives once `check` has passed; both run at once, and what the check raises comes first.

    A check that raises does not wait for the work: it goes on in a thread that ends with the process. Where not `AT_ONCE`, the
    work begins when the check has passed.
    """
    if not AT_ONCE.get():
        check()
        return work()
    result: Future[Result] = Future()
    Thread(target=_settle, args=(result, work), daemon=True).start()
    check()
    return result.result()


def _settle(result: Future[Result], work: Callable[[], Result]) -> None:
    try:
        result.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
        result.set_exception(error)
