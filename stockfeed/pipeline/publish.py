"""publish: the outbox of one channel sent in batches, each item's own result recorded, sales at the channel taken into account.

Never overwrites a sale blindly, never sends what the gate holds, never sends for a paused or unapproved channel.
"""

from dataclasses import dataclass
from typing import Literal

import structlog

from connectors.protocols import Channel as Door
from schemas.errors import StockfeedError
from stockfeed.bootstrap import App
from stockfeed.pipeline.accounting import Finding, account
from stockfeed.pipeline.allocate import allocate_leased, register_channels
from stockfeed.pipeline.channel_work import ChannelWork, channel_lease, open_door
from stockfeed.pipeline.gating import canary_problem, hold_offending, hold_rest, needs_canary
from stockfeed.pipeline.resolving import resolve_listings
from stockfeed.pipeline.sending import Sending, send_waiting, settle_open
from stockfeed.store import channels, publications
from stockfeed.store.publications import Waiting
from transforms.sales import classify

log = structlog.get_logger()

SENDING_ROUNDS = 4  # a listing that keeps selling while it is written is left for the next run after this many tries


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What one publish did. `state` "held": nothing was sent, `reason` says why and what to do.

    `sent` counts attempts, `stale` those that met another number than expected, `sales_seen` units sold at the channel;
    `held` and `pending` are the rows that wait now, `hold_id` the newest open hold.
    """

    channel: str
    sent: int = 0
    confirmed: int = 0
    failed: int = 0
    stale: int = 0
    held: int = 0
    pending: int = 0
    sales_seen: int = 0
    hold_id: int | None = None
    state: Literal["published", "held"] = "published"
    reason: str = ""


def publish(app: App, channel_code: str, *, door: Door | None = None) -> PublishResult:
    """Return what was sent and what came of it; allocates first, so that what is sent is available to sell now.

    `door` is the channel's connector, by default the configured one. Raises ConfigError, CredentialsError, TransientError
    (channel unreachable, or another worker has it) after recording what was answered.
    """
    register_channels(app)
    with channel_lease(app, channel_code) as work:
        with work.read() as connection:
            row = channels.load(connection, channel_code)
        blocked = _why_blocked(row)
        if blocked:
            return _result(work, None, hold_id=None, reason=blocked)
        run = Sending(work, door if door is not None else open_door(app, work.channel))
        hold_id = _publish_noting_errors(run)
        result = _result(work, run, hold_id=hold_id)
    log.info(
        "published", channel=channel_code, sent=result.sent, confirmed=result.confirmed, failed=result.failed, held=result.held
    )
    return result


def _why_blocked(row: channels.ChannelRow) -> str:
    if row.paused_at is not None:
        return f"channel {row.code} is paused; run `stockfeed channels resume {row.code}` to publish again"
    if row.approved_at is None:
        return (
            f"channel {row.code} was never approved; look at `stockfeed channels preview {row.code}`,"
            f" then run `stockfeed channels approve {row.code}`"
        )
    return ""


def _publish_noting_errors(run: Sending) -> int | None:
    """Publish, keep a channel's error with its row, and return the newest open hold's id."""
    try:
        hold_id = _publish(run)
    except StockfeedError as error:
        with run.work.write() as connection:
            channels.change(connection, run.work.code, last_error=str(error))
        raise
    with run.work.write() as connection:
        channels.change(connection, run.work.code, last_error=None)
    return hold_id


def _publish(run: Sending) -> int | None:
    allocate_leased(run.work)  # first: an open raise is not repeated when the stock has fallen meanwhile
    settle_open(run)
    hold_id: int | None = None
    for _ in range(SENDING_ROUNDS):
        stale = run.tally.stale
        allocate_leased(run.work)
        resolve_listings(run)
        hold_id = hold_offending(run.work)
        send_waiting(run, zeros=True)
        canary_hold = _send_canary(run)
        if canary_hold is not None:
            return canary_hold
        send_waiting(run, zeros=False)
        if run.tally.stale == stale:
            break
    return hold_id


def _send_canary(run: Sending) -> int | None:
    """Send the first few of a large publish and read them back; return the hold's id when the channel shows something else."""
    if not needs_canary(run.work):
        return None
    sent = send_waiting(run, zeros=False, limit=run.work.channel.gate.canary_size)
    with run.work.read() as connection:
        states = publications.states(connection, run.work.code, {row.id for row in sent})
    rows = [row for row in sent if states[row.id] == "confirmed"]
    observed = run.observe([row.listing for row in rows])
    problem = canary_problem(sent, [(row, observed.get(row.key)) for row in rows])
    if problem is not None:
        return hold_rest(run.work, problem)
    _account_canary(run, rows, observed)
    return None


def _account_canary(run: Sending, rows: list[Waiting], observed: dict[tuple[str, str], int | None]) -> None:
    findings = [
        Finding(row.listing, seen, difference)
        for row in rows
        if (seen := observed.get(row.key)) is not None and (difference := classify(row.quantity, seen)).kind != "equal"
    ]
    with run.work.write() as connection:
        account(run.work, connection, findings, run.tally)
    run.tally.stale += len(findings)


def _result(work: ChannelWork, run: Sending | None, *, hold_id: int | None, reason: str = "") -> PublishResult:
    with work.read() as connection:
        waiting = publications.count_states(connection, work.code)
    tally = run.tally if run is not None else None
    return PublishResult(
        channel=work.code,
        sent=tally.sent if tally else 0,
        confirmed=tally.confirmed if tally else 0,
        failed=tally.failed if tally else 0,
        stale=tally.stale if tally else 0,
        held=waiting.get("held", 0),
        pending=waiting.get("pending", 0) + waiting.get("sent", 0),
        sales_seen=tally.sales_seen if tally else 0,
        hold_id=hold_id,
        state="held" if reason else "published",
        reason=reason,
    )
