"""What an EDI interchange says of its whole delivery: nothing for us, changes only, or a control number that was used before.

Never reads the file: the reader left what it found in what was staged.
"""

from typing import TYPE_CHECKING

from schemas.findings import Finding
from stockfeed.pipeline.job import Job
from stockfeed.store import deliveries
from stockfeed.store.engine import read

if TYPE_CHECKING:
    from stockfeed.pipeline.stage import Staged


def why_ignored(staged: "Staged") -> str | None:
    """Return why a delivery that is whole holds nothing for this feed (an inquiry, an order …); None when it holds stock."""
    return staged.reading.get("ignored")


def is_partial(staged: "Staged") -> bool:
    """Return whether the message itself says that it lists changes only, so that what is absent is not missing."""
    return bool(staged.reading.get("partial"))


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
            f"{name} {key.rpartition(' ')[2]} seen before: delivery {earlier} has the same sender, receiver and number, and other content",
            "Ask the supplier for an interchange under a new control number; release this one only if the number was reset.",
        )
        for key, earlier in found
        if earlier is not None
    ]
