"""How events are logged: one line each on stderr, key=value or JSON, secrets masked, control characters escaped.

Never writes to stdout: that belongs to the answers of commands.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

if "rich" not in sys.modules:
    # structlog loads rich where it is installed, for tracebacks in colour that we never print: a tenth of a command's start
    sys.modules["rich"] = None  # type: ignore[assignment]  # Python's own way to say that a module cannot be imported
    import structlog

    del sys.modules["rich"]
import structlog

from stockfeed.redaction import KNOWN, one_line

_QUIET = ("alembic", "paramiko", "httpx", "great_expectations", "urllib3", "openpyxl")
_SILENT = "httpcore"  # shows headers, and so cookies and signed addresses


class _CurrentStderr:
    """The process's stderr of this moment: a log line at exit must not meet a stream that was replaced and closed."""

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure_logging(level: str = "INFO", form: str = "text", stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's events to `stream` (default stderr), as "text" or "json" lines.

    Events of client libraries below WARNING are dropped, unless `level` is DEBUG; those of the HTTP library always.
    """
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=True, default=str)
        if form == "json"
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        KNOWN,
        escape_control_characters,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or _CurrentStderr())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET if level == "DEBUG" else logging.WARNING)
    logging.getLogger(_SILENT).setLevel(logging.WARNING)


def escape_control_characters(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Return a log event whose texts hold no line break, colour code or text-direction mark: nobody can forge a line."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = one_line(value)
    return event
