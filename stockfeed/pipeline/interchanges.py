"""What an EDI interchange says of its whole delivery: nothing for us, changes only, or a control number that was used before.

Judges by what the reader left in what was staged; only acknowledgements are made from the archived bytes, after the end.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from schemas.errors import DeliveryError, PermanentError
from schemas.feed_config import Feed
from schemas.findings import Finding
from stockfeed.bootstrap import App
from stockfeed.pipeline.batches import plain, reader_options
from stockfeed.pipeline.job import Job
from stockfeed.store import deliveries
from stockfeed.store.engine import read
from transforms.formats.registry import load_examiner

if TYPE_CHECKING:
    from stockfeed.pipeline.stage import Staged
    from transforms.formats.edi_answers import Answer

log = structlog.get_logger()


def why_ignored(staged: "Staged") -> str | None:
    """Return why a delivery that is whole holds nothing for this feed (an inquiry, an order …); None when it holds stock."""
    return staged.reading.get("ignored")


def is_partial(staged: "Staged") -> bool:
    """Return whether the message itself says that it lists changes only, so that what is absent is not missing."""
    return bool(staged.reading.get("partial"))


def answers_to(app: App, config: Feed, delivery: deliveries.Delivery) -> "list[Answer]":
    """Return the acknowledgements of an ended EDI delivery, from its archived bytes; none of other formats or without envelope.

    Raises PermanentError when the bytes are missing from the archive.
    """
    examine = load_examiner(config.format.type)
    if examine is None or delivery.ended_at is None:
        return []
    from transforms.formats.edi_answers import answers

    options: Any = reader_options(config)
    path = app.archive.verified(delivery.sha256)
    try:
        with plain(config, path) as (file, inside):
            report = examine(lambda: file.open("rb"), inside)
            sha256 = _sha256(file) if file != path else delivery.sha256  # packed or not, it is the same interchange
    except DeliveryError as error:  # without an envelope there is nobody to answer; the rejection says the same to people
        log.info("not_answered", feed=delivery.feed, delivery=delivery.id, why=error.message)
        return []
    repeated = any(found["code"] == "EDI-REPLAY" for found in delivery.findings or ())
    return answers(report, options.acknowledge, sha256, delivery.ended_at, repeated=repeated)


def delivery_answers(app: App, delivery_id: int) -> tuple[str, "list[Answer]"]:
    """Return "sent", "pending", "failed", "none" or "unsent" (no place for answers) and the answers to a delivery, made anew.

    By today's configuration: what was sent under another may be different. Raises PermanentError when there is no such
    delivery or its bytes are missing from the archive, ConfigError when its feed is not configured.
    """
    with read(app.engine) as connection:
        delivery = deliveries.load(connection, delivery_id)
    if delivery is None:
        raise PermanentError(f"there is no delivery {delivery_id}", "See `stockfeed deliveries list`.")
    config = app.config.feed(delivery.feed)
    is_asked = bool(config.source.options.get("answers_to"))
    state = {"done": "sent"}.get(delivery.acknowledgement, delivery.acknowledgement) if is_asked else "unsent"
    return state, answers_to(app, config, delivery)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def replayed(job: Job, staged: "Staged") -> list[Finding]:
    """Return the finding about an interchange whose control number came before with other content, for a person to decide."""
    keys = list(staged.reading.get("interchanges", ()))
    if not keys or job.forced:
        return []
    with read(job.app.engine) as connection:
        found = [(key, deliveries.with_interchange(connection, job.delivery, key)) for key in keys]
    name = "ISA13" if staged.reading.get("syntax") == "X12" else "UNB 0020"
    return [
        Finding(
            "EDI-REPLAY",
            "hold",
            f"{name} {key.rpartition(' ')[2]} seen before: delivery {earlier} has the same sender, receiver and number, "
            "and other content",
            "Ask the supplier for an interchange under a new control number; release this one only if the number was reset.",
        )
        for key, earlier in found
        if earlier is not None
    ]
