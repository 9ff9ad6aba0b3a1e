"""When a mail arrived, as a mail server tells it."""

from datetime import UTC, datetime

import pytest

from connectors.imap_session import _instant
from schemas.errors import PermanentError


def test_the_time_at_which_a_mail_arrived_is_told_in_utc() -> None:
    assert _instant(b" 1-Nov-2026 07:00:00 +0100") == datetime(2026, 11, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "told", ["31-Dec-9999 23:59:59 -0100", "31-Foo-2026 23:59:59 +0000", "30-Feb-2026 10:00:00 +0000", "today"]
)
def test_a_time_that_is_none_is_an_error_in_our_words(told: str) -> None:
    with pytest.raises(PermanentError, match="as the time at which a mail arrived"):
        _instant(told.encode())
