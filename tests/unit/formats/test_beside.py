"""A check of a file beside the work that needs no lock: what the check says comes first."""

from threading import Event

import pytest

from schemas.errors import DeliveryError
from transforms.formats.beside import AT_ONCE, after


def refuse():
    raise DeliveryError("a DTD", "Save it again.", code="FILE-UNREADABLE")


def broken():
    raise ValueError("not what a workbook holds")


def test_work_is_done_beside_the_check_and_its_result_given_after_it():
    begun = Event()

    def work() -> str:
        begun.set()
        return "sheet"

    assert after(lambda: None if begun.wait(10) else refuse(), work) == "sheet"


def test_what_the_check_refuses_is_said_without_waiting_for_the_work():
    never = Event()
    with pytest.raises(DeliveryError, match="a DTD"):
        after(refuse, never.wait)
    never.set()


def test_the_checks_error_comes_before_the_works():
    with pytest.raises(DeliveryError, match="a DTD"):
        after(refuse, broken)


def test_an_error_of_the_work_is_raised_when_the_check_has_passed():
    with pytest.raises(ValueError, match="not what a workbook holds"):
        after(lambda: None, broken)


def test_work_that_may_end_the_process_begins_when_the_check_has_passed():
    done = list[str]()
    before = AT_ONCE.set(False)
    try:
        assert after(lambda: done.append("check"), lambda: done.append("work") or "sheet") == "sheet"
        with pytest.raises(DeliveryError, match="a DTD"):
            after(refuse, lambda: done.append("not this"))
    finally:
        AT_ONCE.reset(before)
    assert done == ["check", "work"]
