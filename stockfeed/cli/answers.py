"""What `stockfeed deliveries answers` tells: the acknowledgements of an EDI delivery, and whether they were sent.

Never sends one: that is done after the delivery has ended, by the door it came through.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from stockfeed.cli.output import emit, emit_json
from stockfeed.pipeline.interchanges import delivery_answers
from stockfeed.redaction import one_line

if TYPE_CHECKING:
    from stockfeed.bootstrap import App

_STATES = {
    "sent": "sent",
    "pending": "not sent yet: the next sync does",
    "failed": "not sent: the feed has another source now",
    "none": "not sent: the delivery came by hand or by upload",
    "unsent": "not sent: the feed's source has no `answers_to`",
}


def tell_answers(app: "App", delivery_id: int, folder: Path | None, *, as_json: bool) -> None:
    """Tell every answer with its text, or write each into `folder`, made when absent. Raises PermanentError."""
    state, answers = delivery_answers(app, delivery_id)
    if not answers and not as_json:
        emit(f"Delivery {delivery_id} has no answers: it is no EDI interchange, has not ended, or `acknowledge` is none.")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    for answer in answers:
        text = answer.content.decode("utf-8")
        if folder is not None:
            (folder / answer.name).write_bytes(answer.content)
        if as_json:
            emit_json({"type": "answer", "delivery_id": delivery_id, "name": answer.name, "state": state, "content": text})
            continue
        emit(f"{one_line(answer.name)} ({_STATES.get(state, state)})")
        for line in text.splitlines() if folder is None else ():
            emit(f"  {one_line(line)}")
