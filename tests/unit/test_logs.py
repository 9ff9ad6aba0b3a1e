import io
import json
import logging

import pytest
import structlog

from schemas.connections import Secret
from stockfeed.logs import configure_logging
from stockfeed.redaction import KNOWN


@pytest.fixture
def stream():
    root = logging.getLogger()
    before = root.handlers, root.level
    yield io.StringIO()
    root.handlers, level = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_an_event_is_one_line_of_keys_and_values(stream):
    configure_logging("INFO", "text", stream)
    structlog.get_logger().info("delivery_ended", feed="acme.stock", rows=5)
    line = stream.getvalue()
    assert line.endswith("level=info event=delivery_ended feed=acme.stock rows=5\n")
    assert line.startswith("timestamp=")


def test_json_lines_can_be_asked_for(stream):
    configure_logging("INFO", "json", stream)
    structlog.get_logger().info("x", name="é", n=5)
    told = json.loads(stream.getvalue())
    assert (told["event"], told["name"], told["n"], told["level"]) == ("x", "é", 5, "info")


@pytest.mark.parametrize("form", ["text", "json"])
def test_nobody_can_forge_a_line_or_colour_a_log(stream, form):
    configure_logging("INFO", form, stream)
    structlog.get_logger().info("x", name="a\nlevel=error event=forged\x1b[31m\u202e")
    logging.getLogger("client").warning("file %s", "b\r\nlevel=error")
    told = stream.getvalue()
    assert told.count("\n") == 2
    assert told.replace("\n", "").isprintable()


def test_secrets_are_masked_in_events_exceptions_and_client_libraries(stream):
    KNOWN.learn(Secret("canary-8812"))
    configure_logging("INFO", "text", stream)
    log = structlog.get_logger()
    log.info("login canary-8812", url="sftp://u:canary-8812@h", deep={"a": ["canary-8812"]})
    try:
        int("canary-8812")
    except ValueError:
        log.exception("failed")
        logging.getLogger("client").exception("failed with %s", "canary-8812")
    told = stream.getvalue()
    assert told.count("***") >= 5
    assert "canary-8812" not in told


def test_the_level_counts_and_client_libraries_stay_quiet(stream):
    configure_logging("INFO", "text", stream)
    structlog.get_logger().debug("fine detail")
    logging.getLogger("paramiko.transport").info("starting thread")
    assert stream.getvalue() == ""
    configure_logging("DEBUG", "text", stream)
    structlog.get_logger().debug("fine detail")
    logging.getLogger("paramiko.transport").info("starting thread")
    assert stream.getvalue().count("\n") == 2
