"""Finding the channel's own ids of SKUs that wait for publication, and of unlisted ones once a day.

Never writes a quantity; an item that is not listed fails with the channel's sentence and does not hold up the others.
"""

from datetime import timedelta

from sqlalchemy import Connection

from stockfeed.pipeline.sending import Sending
from stockfeed.store import availability, listings, publications
from stockfeed.store.pieces import pieces

_ASK_AGAIN = timedelta(days=1)  # items that were missing, untracked or ambiguous
_PAGE = 1_000  # SKUs asked for at a time


def resolve_listings(run: Sending, *, retry: bool = False) -> int:
    """Resolve waiting SKUs without a listing, retry unlisted ones (all of them with `retry`), and return how many failed."""
    work = run.work
    now = work.now()
    retry_before = now if retry else now - _ASK_AGAIN
    after = ""
    while True:
        with work.read() as connection:
            skus = listings.unresolved(connection, work.code, retry_before=retry_before, limit=_PAGE, after=after)
        if not skus:
            break
        after = skus[-1]
        found = [one for one in run.door.resolve(skus) if one.location in work.locations]
        with work.write() as connection:
            for piece in pieces(found):
                usable = listings.save(connection, work.code, piece, now)
                _put_back(run, connection, usable)
    with work.write() as connection:
        failed = publications.fail_unlisted(connection, work.code, now)
    run.tally.failed += failed
    return failed


def _put_back(run: Sending, connection: Connection, keys: list[tuple[str, str]]) -> None:
    """Let the current quantity of listings that became usable wait for publication."""
    if not keys:
        return
    offered = availability.load_offered(connection, run.work.code, sorted({sku for sku, _ in keys}))
    rows = [(*key, offered[key].quantity, offered[key].version) for key in keys if key in offered]
    publications.put_again(connection, run.work.code, rows, cause="repair: listed again", at=run.work.now())
