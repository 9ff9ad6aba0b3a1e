"""How a delivery ends without being read, where its identity, its place or its bytes already decide. Reads no content."""

from datetime import timedelta

from schemas.errors import DeliveryError
from schemas.findings import Finding
from stockfeed.pipeline import ending
from stockfeed.pipeline.job import Job
from stockfeed.pipeline.ordering import came_late, is_older, overlap
from stockfeed.pipeline.results import IngestResult
from stockfeed.settings import feed_config_version
from stockfeed.store import deliveries
from stockfeed.store.deliveries import Delivery
from stockfeed.store.engine import read

_TRIES = 3  # a delivery that stops the worker this often is parked (F36)
_AHEAD = timedelta(minutes=10)  # I3: an as-of further in the future than this is held


def decide_unread(job: Job) -> IngestResult | None:
    """Return how the delivery ended, None when it has to be read."""
    if job.delivery.attempts >= _TRIES and not job.forced:
        words = f"{job.delivery.source_name} stopped the worker {_TRIES} times"
        return ending.reject(job, DeliveryError(words, "Look at the log, then replay or reject it.", code="FILE-CRASH"))
    return _refused_at_the_door(job) or _as_twin(job) or _behind_another_delta(job) or _by_its_place(job)


def future(job: Job) -> list[Finding]:
    """Return the finding about stock of a time that has not come yet, if it is so (I3)."""
    if job.as_of <= job.app.clock() + _AHEAD:
        return []
    return [
        Finding(
            "AS-OF-FUTURE",
            "hold",
            f"the stock is of {job.as_of:%Y-%m-%d %H:%M} UTC, which is in the future",
            "Check the feed's timezone and the supplier's clock.",
        )
    ]


def _refused_at_the_door(job: Job) -> IngestResult | None:
    """The source found what nobody can use (a mail that is too deep, an empty attachment): its content is not looked at."""
    first = next((found for found in job.arrived_with if found.severity == "reject"), None)
    if first is None:
        return None
    return ending.reject(job, DeliveryError(first.message, first.remedy, code=first.code))


def _as_twin(job: Job) -> IngestResult | None:
    """I2: the same arrival was read with this very configuration before."""
    version = feed_config_version(job.config)
    if version == job.delivery.config_version:
        return None
    with read(job.app.engine) as connection:
        twin = deliveries.twin(connection, job.delivery, version)
    return None if twin is None else ending.duplicate(job, twin)


def _behind_another_delta(job: Job) -> IngestResult | None:
    if job.config.mode != "delta" or job.forced:
        return None
    with read(job.app.engine) as connection:
        blocker = deliveries.blocking(connection, job.delivery)
        other = deliveries.load(connection, blocker) if blocker else None
    if other is None:
        return None
    decision = "which is not read yet" if other.state == "received" else "which must be released or rejected first"
    return ending.wait(job, f"waits for delivery {other.id}, {decision}")


def _by_its_place(job: Job) -> IngestResult | None:
    same = _same_bytes(job)
    known = next((one for one in same if one.config_version == feed_config_version(job.config)), None)
    if job.config.order_by == "own":
        if known is None:
            return None
        job = job.at(as_of=known.as_of, order_key=known.order_key)
    if job.config.scope == "location":
        if known is None:
            return None
        job = job.covering(known.locations)
    if is_older(job) and not (job.config.mode == "delta" and not any(_is_in_force(job, one) for one in same)):
        return ending.supersede(job)
    return None if job.forced or not same else _by_its_bytes(job, same)


def _same_bytes(job: Job) -> list[Delivery]:
    """Return the other applied and undone deliveries with these bytes, newest first."""
    with read(job.app.engine) as connection:
        same = deliveries.same_bytes(connection, job.row.id, job.delivery.sha256)
    return [one for one in same if one.id != job.delivery.id]


def _by_its_bytes(job: Job, same: list[Delivery]) -> IngestResult | None:
    current = next((one for one in same if _is_in_force(job, one)), None)
    if current is not None and current.config_version == feed_config_version(job.config):
        found = [*job.arrived_with, *future(job)]
        if any(f.severity == "reject" for f in found):
            return None  # the judgement after reading says so
        held = any(f.severity == "hold" for f in found)
        return ending.hold_unread(job, future(job)) if held else ending.unchanged(job, current)
    found = _known_bytes(job, same)
    if not found or job.config.while_held == "lower":
        return None  # the levels of a held delivery are wanted: it is read, and held for these findings then
    return ending.hold_unread(job, found)


def found_in_bytes(job: Job) -> list[Finding]:
    """Return the finding about content that was in force before, or was undone, for a delivery that was read all the same."""
    same = [] if job.forced or job.config.while_held != "lower" else _same_bytes(job)
    return _known_bytes(job, same) if same else []


def _known_bytes(job: Job, same: list[Delivery]) -> list[Finding]:
    if any(_is_in_force(job, one) for one in same):
        return []
    if same[0].state == "undone":
        words = f"delivery {same[0].id} with the same content was undone"
        return [Finding("UNDONE-BYTES", "hold", words, "Release it only if undoing was the mistake.")]
    if job.config.repeats or job.config.mode == "delta":
        return []
    when = same[0].ended_at
    words = f"the content is the same as delivery {same[0].id}" + (f" of {when:%Y-%m-%d %H:%M} UTC" if when else "")
    return [Finding("OLD-BYTES", "hold", words, "Ask the supplier for a new export; set repeats = true if this is normal.")]


def _is_in_force(job: Job, one: Delivery) -> bool:
    """Whether the present levels of everything it covers are still those of an applied delivery."""
    if one.state != "applied":
        return False
    if came_late(one):
        return False  # only part of it was applied
    if job.config.scope != "location" or job.row.last_applied_id == one.id:
        return job.row.last_applied_id == one.id
    with read(job.app.engine) as connection:
        later = deliveries.applied_after(connection, job.row.id, one.id)
    return not any(overlap(locations, one.locations) for locations in later)
