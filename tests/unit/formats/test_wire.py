import polars as pl
import pytest

from schemas.errors import ConfigError, DeliveryError
from schemas.records import CellProblem, RawBatch
from schemas.rejections import rejection
from transforms.formats.wire import LENGTHS, batch_message, end_message, error_message, parse_message


def parsed(message):
    header_size, payload_size = LENGTHS.unpack(message[: LENGTHS.size])
    header = message[LENGTHS.size :][:header_size]
    payload = message[LENGTHS.size + header_size :]
    assert len(payload) == payload_size
    return parse_message(header, payload)


def test_a_batch_comes_back_equal():
    frame = pl.DataFrame(
        {"row": [2, 3], "line": [None, None], "c0": ["NA", " \u00e9"], "c1": ["", "001"]},
        schema_overrides={"line": pl.Int64},
    )
    rejected = rejection("ROW-CONTROL", row=4, value="a\x00b")
    problem = CellProblem(2, None, 1, "QTY-CELL", "#REF!")
    batch = RawBatch(("sku", "q"), frame, (rejected,), (problem,), {"blank": 2}, {"sheet": "S"}, ("note",), ("a.b",))
    back = parsed(batch_message(batch))
    assert isinstance(back, RawBatch)
    assert back.frame.equals(frame, null_equal=True)
    assert back.frame.schema == frame.schema
    assert (back.header, back.rejections, back.cell_problems) == (batch.header, batch.rejections, batch.cell_problems)
    assert (back.skipped, back.reading) == (batch.skipped, batch.reading)
    assert (back.notes, back.members) == (batch.notes, batch.members)


def test_errors_come_back_with_every_field():
    error = parsed(error_message(DeliveryError("m", "h", "d", code="FILE-LIMIT", row=1, line=2, column="c", value="v")))
    assert isinstance(error, DeliveryError)
    assert (error.message, error.hint, error.detail, error.code) == ("m", "h", "d", "FILE-LIMIT")
    assert (error.row, error.line, error.column, error.value) == (1, 2, "c", "v")
    assert isinstance(parsed(error_message(ConfigError("m", "h", "d"))), ConfigError)


def test_the_end_is_no_batch():
    assert parsed(end_message()) is None


@pytest.mark.parametrize("header", [b"", b"{}", b"[1]", b'{"type":"batch"}', b'{"type":"delivery_error"}', b"\xff"])
def test_anything_else_is_no_message(header):
    with pytest.raises(ValueError):  # noqa: PT011 - JSON, text and our own: all of them are values that are wrong
        parse_message(header, b"")


def test_a_batch_with_a_broken_payload_is_no_message():
    message = batch_message(RawBatch(("a",), pl.DataFrame({"row": [1], "line": [1], "c0": ["x"]})))
    size, _ = LENGTHS.unpack(message[: LENGTHS.size])
    with pytest.raises(ValueError, match="no message"):
        parse_message(message[LENGTHS.size :][:size], b"broken")
