"""The publish gate on the database: what is held before anything is sent, and the canary of a large publish.

Never sends anything; the rule itself is transforms.publish_gate.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from schemas.channel_config import Channel
from schemas.findings import Finding
from stockfeed.pipeline.channel_work import ChannelWork
from stockfeed.store import publications, publish_holds
from stockfeed.store.publications import Waiting
from transforms.publish_gate import Verdict, judge


def hold_offending(work: ChannelWork) -> int | None:
    """Hold the waiting rows of causes that move too much, and return the newest open hold's id (None: nothing is held).

    Later rows of a cause that waits for a person wait with it.
    """
    now = work.now()
    with work.write() as connection:
        hold_for_open_holds(connection, work.code)
        verdict, findings = judge_waiting(connection, work.channel, work.now())
        if verdict.held:
            hold_id = publish_holds.open_hold(connection, work.code, findings, now)
            for cause in verdict.held:
                publish_holds.hold_rows(connection, work.code, cause, hold_id, zeros=cause in verdict.zeros_held)
        publish_holds.close_empty(connection, work.code, now)
        ids = [hold_id for hold_id, _ in publish_holds.open_holds(connection, work.code).values()]
    return max(ids, default=None)


def hold_for_open_holds(connection: Connection, channel: str) -> None:
    """Hold the waiting rows of causes that wait for a person already."""
    for cause, (hold_id, zeros) in publish_holds.open_holds(connection, channel).items():
        publish_holds.hold_rows(connection, channel, cause, hold_id, zeros=zeros)


def judge_waiting(connection: Connection, channel: Channel, now: datetime) -> tuple[Verdict, list[dict[str, Any]]]:
    """Return the gate's verdict on what waits now, and its findings as JSON values with the `causes` of each."""
    ours = [location.id for location in channel.locations]
    changes = publish_holds.load_changes(connection, channel.code, ours, now)
    if not changes:
        return Verdict(), []
    listings, units = publish_holds.offered_total(connection, channel.code, ours)
    verdict = judge(changes, listings=listings, units=units, gate=channel.gate)
    return verdict, [finding.as_dict() | {"causes": sorted(causes)} for finding, causes in verdict.findings]


def needs_canary(work: ChannelWork) -> bool:
    """Return whether so many rows wait that a few are sent and read back first; zeros do not count."""
    gate = work.channel.gate
    if not gate.enabled:
        return False
    with work.read() as connection:
        waiting = publications.pending(connection, work.code, work.locations, zeros=False, limit=gate.canary_above + 1)
    return len(waiting) > gate.canary_above


def canary_problem(sent: Sequence[Waiting], shown: Sequence[tuple[Waiting, int | None]]) -> Finding | None:
    """Return what is wrong with the canary, None when the channel shows what it confirmed (or less: it may have sold).

    Wrong: a listing shows more than it was set to; or most of those with a new value still show the old one.
    """
    high = [row for row, observed in shown if observed is not None and observed > row.quantity]
    moved = [(row, observed) for row, observed in shown if row.confirmed is not None and row.confirmed != row.quantity]
    still = [row for row, observed in moved if observed == row.confirmed]
    if not high and 2 * len(still) <= len(moved):
        return None
    count = len(high) or len(still)
    what = "more than was set" if high else "the old value"
    first = (high or still)[0].listing.sku
    return Finding(
        code="CANARY",
        severity="hold",
        message=f"{count} of the first {len(sent)} listings show {what} after the channel confirmed them, e.g. {first}",
        remedy="Compare the channel with `stockfeed channels preview`; release the publish when the channel is right.",
        measured=str(count),
    )


def hold_rest(work: ChannelWork, finding: Finding) -> int:
    """Hold everything that still waits, zeros excepted, for what the canary showed; return the hold's id."""
    with work.write() as connection:
        causes = publications.waiting_causes(connection, work.code)
        hold_id = publish_holds.open_hold(connection, work.code, [finding.as_dict() | {"causes": sorted(causes)}], work.now())
        for cause in causes:
            publish_holds.hold_rows(connection, work.code, cause, hold_id, zeros=False)
    return hold_id
