"""reconcile: a channel read back page by page, each difference classified, and repaired through the outbox.

Never writes to the channel itself: what is to be corrected waits in the outbox for the next publish. At the end, rows that say
nothing any more leave the outbox.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

import structlog
from sqlalchemy import Connection

from connectors.protocols import Channel as Door
from stockfeed.bootstrap import App
from stockfeed.pipeline.accounting import Finding, account
from stockfeed.pipeline.allocate import allocate_leased, register_channels
from stockfeed.pipeline.channel_work import ChannelWork, channel_lease, open_door
from stockfeed.pipeline.sending import Sending, settle_open
from stockfeed.store import channels, listings, publications
from stockfeed.store.listings import Shown
from transforms.sales import classify

log = structlog.get_logger()

_PAGE = 500
_REMOVED, _MOST_REMOVED = 5_000, 200_000  # rows that leave the outbox in one transaction, and in one reconcile


@dataclass(frozen=True, slots=True)
class ReconcileResult:
    """What the channel showed: listings checked and equal; units sold; listings edited there; values put in the outbox again.

    `outbox_removed`: rows of the outbox that were past their days.
    """

    channel: str
    checked: int
    equal: int
    sales_seen: int
    edited: int
    repaired: int
    outbox_removed: int


def reconcile(app: App, channel_code: str, *, door: Door | None = None) -> ReconcileResult:
    """Return how the channel's listings compare with what it last confirmed and with what it should show.

    A fall is a sale and becomes a reservation; a rise is an edit; an offered value that neither stands at the channel nor
    waits in the outbox was lost. The last two are repaired by the next publish. A paused channel is only read. Raises as
    `publish` does.
    """
    register_channels(app)
    with channel_lease(app, channel_code) as work:
        run = Sending(work, door if door is not None else open_door(app, work.channel))
        allocate_leased(work)
        with work.read() as connection:
            is_paused = channels.load(connection, work.code).paused_at is not None
        settle_open(run, may_write=not is_paused)
        checked = equal = repaired = 0
        after = ("", "")
        while True:
            with work.read() as connection:
                page = listings.pages(connection, work.code, work.locations, after, _PAGE)
            if not page:
                break
            after = (page[-1].listing.sku, page[-1].listing.location)
            same, mended = _reconcile_page(run, page)
            checked, equal, repaired = checked + len(page), equal + same, repaired + mended
        allocate_leased(work)
        with work.write() as connection:
            channels.change(connection, work.code, reconciled_at=work.now())
        removed = _remove_spent(work)
    result = ReconcileResult(channel_code, checked, equal, run.tally.sales_seen, run.tally.edited, repaired, removed)
    log.info("reconciled", **asdict(result))
    return result


def _remove_spent(work: ChannelWork) -> int:
    """Remove what is past its days from the channel's outbox and return how many rows; the next reconcile goes on with the rest.

    They are looked for without the right to write, and removed a bounded number at a time.
    """
    limit = work.now() - timedelta(days=work.app.settings.outbox_days)
    removed = 0
    for state in publications.ENDED:
        ids = [0]
        while ids and removed < _MOST_REMOVED:
            with work.read() as connection:
                ids = publications.spent(connection, work.code, state, limit, after=ids[-1], limit=_REMOVED)
            if ids:
                with work.write() as connection:
                    publications.remove(connection, ids)
            removed += len(ids)
    return removed


def _reconcile_page(run: Sending, page: Sequence[Shown]) -> tuple[int, int]:
    """Account for one page's differences; return how many listings were equal and how many were put in the outbox again.

    A listing whose accepted value is not visible yet is left to the attempt's own settling: measured against the value before,
    it would pass for an edit, and what it sold since would be given back.
    """
    work = run.work
    with work.read() as connection:
        under_way = {row.key for row in publications.in_flight(connection, work.code)}
    page = [shown for shown in page if (shown.listing.sku, shown.listing.location) not in under_way]
    observed = run.observe([shown.listing for shown in page])
    known = [(s, seen) for s in page if (seen := observed.get((s.listing.sku, s.listing.location))) is not None]
    gone = [s for s in page if observed.get((s.listing.sku, s.listing.location)) is None and s.confirmed is not None]
    with work.write() as connection:
        findings = [Finding(shown.listing, seen, classify(shown.confirmed, seen)) for shown, seen in known]
        # also equal ones: a first reading becomes what later falls are measured against
        account(work, connection, findings, run.tally)
        for shown in gone:
            listings.mark_gone(connection, work.code, shown.listing, "the channel no longer shows this listing")
        sold = {f.listing.sku for f in findings if f.difference.kind == "sale"}
        repaired = _repair(run, connection, [(s, seen) for s, seen in known if s.listing.sku not in sold])
    equal = {(f.listing.sku, f.listing.location) for f in findings if f.difference.kind == "equal"} - set(repaired)
    return len(equal), len(repaired)


def _repair(run: Sending, connection: Connection, known: Sequence[tuple[Shown, int]]) -> list[tuple[str, str]]:
    """Put the offered values in the outbox that the channel does not show and that do not wait there already."""
    rows = [
        (shown.listing.sku, shown.listing.location, shown.offered, shown.version)
        for shown, seen in known
        if shown.offered is not None and shown.version is not None and shown.offered != seen
    ]
    return publications.put_again(connection, run.work.code, rows, cause="repair", at=run.work.now())
