"""What a stale compare means when its request had to be repeated."""

import pytest

from connectors.shopify import _settled
from schemas.publishing import ItemResult, Listing, PublishItem

ITEM = PublishItem(Listing("A", "main", {"inventory_item": "1"}), 10, 2, "key", expected=5)
STALE = ItemResult(ITEM, "stale", "CHANGE_FROM_QUANTITY_STALE")


@pytest.mark.parametrize(
    ("observed", "repeated", "status"),
    [
        (8, False, "stale"),  # our first attempt: it never got there
        (10, True, "confirmed"),  # the lost answer was a yes
        (8, True, "unknown"),  # perhaps it was, and 2 were sold since
        (None, True, "unknown"),
    ],
)
def test_a_stale_compare_after_a_lost_answer_does_not_say_that_the_value_never_got_there(observed, repeated, status):
    assert _settled(STALE, observed, repeated=repeated).status == status
