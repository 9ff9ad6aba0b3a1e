"""A spreadsheet as a source: cells as they were meant, quotas and refusals, edits while it is read, the official contract."""

import csv
import json
import logging
import socket
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from connectors.google_sheets import GoogleSheetsOptions
from connectors.registry import load_source
from connectors.sheet_cells import area_of, letters
from connectors.sheet_session import SheetSession
from schemas.connections import Secret
from schemas.errors import ConfigError, CredentialsError, PermanentError, TransientError
from schemas.transfer import Seen
from tests.servers import sheets
from tests.servers.feeds import CANARY, Clock, feed, fetch
from tests.servers.sheets import Number

ROWS = [["SKU", "Qty", "EAN"], ["0042", Number(5, "5"), Number(4006381333931, "4.00638E+12")], ["A,1", Number(1204, "1,204")]]


class World:
    def __init__(self, services, tmp_path) -> None:
        self.services, self.spool, self.seen, self.clock = services, tmp_path / "spool", Seen(), Clock()
        self.connection = services.connection()
        services.cells = {"Stock": [list(row) for row in ROWS], "It's 2": [["SKU"], ["B"]]}

    def fetch(self, **options):
        of = feed({"type": "google_sheets", "key": sheets.KEY, **options})
        source = load_source(of, self.connection, now=self.clock, sleep=self.clock.sleep)
        found = fetch(source, of, self.spool, self.seen)
        self.seen.identities |= {one.identity for one in found}
        return found

    def rows(self, **options):
        [got] = self.fetch(**options)
        return list(csv.reader(got.path.read_text("utf-8").splitlines()))


@pytest.fixture
def world(tmp_path):
    with sheets.running(tmp_path) as services:
        yield World(services, tmp_path)


@pytest.mark.needs_shared
def test_every_request_is_one_of_the_official_contract(tmp_path, shared):
    contract = json.loads((shared / "contracts/google/sheets.v4.values-subset.json").read_text())
    with sheets.running(tmp_path, contract) as services:
        world = World(services, tmp_path)
        assert len(world.fetch()) == 1
        assert len(world.fetch(worksheet="It's 2", range="A1:B")) == 1


@pytest.mark.parametrize("login", ["google_service_account", "google_user"])
def test_a_worksheet_arrives_as_a_table_with_the_time_of_its_last_edit(world, login, caplog):
    with caplog.at_level(logging.DEBUG):
        [got] = world.fetch(login=login)
    assert got.path.read_bytes() == b'SKU,Qty,EAN\r\n0042,5,4006381333931\r\n"A,1",1204,\r\n'
    assert got.source_time == datetime(2026, 11, 1, 6, tzinfo=UTC)
    assert got.name == "Stock - Stock.csv"
    assert got.identity.startswith(f"{sheets.KEY}|0||2026-11-01T06:00:00+00:00|")
    assert CANARY not in caplog.text
    scope = world.services.account.asked[0].get("scope", "")
    assert "spreadsheets " not in scope


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("001", "001"), (Number(1, "001"), "001"), (Number(0, "000"), "000"), (Number(1234.5, "1.234,50 €"), "1234.5"),
        (Number(123456789012345, "1.23457E+14"), "123456789012345"), (Number(0.1, "10%"), "0.1"), (Number(1e-7, "0"), "0.0000001"),
        (Number(-3, "(3)"), "-3"), (Number(5.0, "5"), "5"), (Number(1e20, "1E+20"), "1" + "0" * 20), (True, "TRUE"),
        ("#REF!", "#REF!"),
        ("1E5", "1E5"), ("NA", "NA"), ("=cmd", "=cmd"), (" x ", " x "), ("Größe \u200b", "Größe \u200b"),
        (Number(42, "2026-11-01"), "42"),
    ],
)  # fmt: skip
def test_a_cell_is_what_was_meant(world, cell, text):
    world.services.cells["Stock"] = [["SKU", "Qty"], [cell, "x"]]
    assert world.rows()[1] == [text, "x"]


def test_numbers_whose_last_digits_the_sheet_has_lost_are_told_with_their_place(world):
    world.services.cells["Stock"] = [["SKU", "Qty"], ["A", Number(1234567890123456000, "1.23457E+18")]]
    [got] = world.fetch(range="A1:B")
    assert [(f.code, f.severity) for f in got.findings] == [("SHEET-DIGITS", "warn")]
    assert "B2" in got.findings[0].message


@pytest.mark.parametrize(
    "marks", [{"thousands": "."}, {"columns": {"supplier_sku": "SKU", "on_hand": {"column": "Qty", "thousands": "."}}}]
)
def test_a_number_that_the_thousands_mark_would_change_is_held_with_its_place(world, marks):
    """The worksheet arrives as CSV: its reader cannot tell the number 1.125 from a text that means 1125."""
    world.services.cells["Stock"] = [["SKU", "Qty"], ["A", Number(1.125, "1,125")], ["B", "1.250"], ["C", Number(1250, "1.250")]]
    of = feed({"type": "google_sheets", "key": sheets.KEY}, decimal=",", **marks)
    [got] = fetch(load_source(of, world.connection, now=world.clock), of, world.spool)
    [finding] = got.findings
    assert (finding.code, finding.severity) == ("SHEET-POINT", "hold")
    assert "in B2, which" in finding.message
    [got] = world.fetch()
    assert got.findings == ()


def test_ragged_and_blank_rows_keep_their_place_and_width(world):
    world.services.cells["Stock"] = [["SKU", "Qty", "Note"], ["A", "1"], [], ["", ""], ["B"], ["C", "3", "x", "y"], [], []]
    blank = [""] * 4
    assert world.rows() == [["SKU", "Qty", "Note", ""], ["A", "1", "", ""], blank, blank, ["B", "", "", ""], ["C", "3", "x", "y"]]


def test_blank_rows_across_two_answers_keep_their_place(world, monkeypatch):
    monkeypatch.setattr("connectors.google_sheets.ROWS", 2)
    world.services.cells["Stock"] = [["SKU", "Qty"], ["A", "1"], [], [], [], ["B", "2"], []]
    assert world.rows() == [["SKU", "Qty"], ["A", "1"], ["", ""], ["", ""], ["", ""], ["B", "2"]]


def test_a_cell_with_line_breaks_and_quotes_survives(world):
    world.services.cells["Stock"] = [["SKU", "Qty"], ['a"b\nc', "1"]]
    [got] = world.fetch()
    assert got.path.read_bytes() == b'SKU,Qty\r\n"a""b\nc",1\r\n'


def test_worksheet_and_range_choose(world):
    assert world.rows(worksheet="It's 2") == [["SKU"], ["B"]]
    assert world.rows(worksheet="Stock", range="A2:B") == [["0042", "5"], ["A,1", "1204"]]
    assert world.rows(worksheet="Stock", range="B1:B2") == [["Qty"], ["5"]]


def test_an_empty_worksheet_is_an_empty_file(world):
    world.services.cells["Stock"] = []
    [got] = world.fetch()
    assert got.size == 0


def test_what_was_not_modified_is_not_read_again_and_what_was_is(world):
    assert len(world.fetch()) == 1
    world.services.asked.clear()
    assert world.fetch() == []
    assert world.services.asked == [f"/drive/v3/files/{sheets.KEY}"]
    world.services.modified = "2026-11-01T07:00:00.000Z"
    world.services.cells["Stock"][1][1] = Number(6, "6")
    [got] = world.fetch()
    assert b"0042,6," in got.path.read_bytes()


def test_an_edit_while_it_is_read_records_nothing(world):
    def edit() -> None:
        world.services.modified = "2026-11-01T06:00:01.000Z"

    world.services.on_values = edit
    with pytest.raises(TransientError, match="edited while it was read"):
        world.fetch()
    assert list(world.spool.iterdir()) == []
    assert world.seen.listing == {}
    assert len(world.fetch()) == 1


def test_a_used_up_quota_is_waited_for_and_then_left_to_a_later_run(world):
    world.services.quota = 0
    with pytest.raises(TransientError, match="429"):
        world.fetch()
    assert world.clock.slept == [2.0, 4.0, 8.0]
    world.services.quota = None
    assert len(world.fetch()) == 1


def test_the_services_own_wait_is_obeyed_up_to_a_minute(world):
    world.services.quota, world.services.retry_after = 0, "7"
    with pytest.raises(TransientError):
        world.fetch(tries=2)
    world.services.retry_after = "100000"
    with pytest.raises(TransientError) as caught:
        world.fetch(tries=2)
    assert world.clock.slept == [7, 64.0]
    assert caught.value.retry_after == 100000


RATE = {
    "error": {
        "code": 403,
        "message": "Rate Limit Exceeded",
        "errors": [{"domain": "usageLimits", "reason": "userRateLimitExceeded"}],
    }
}


@pytest.mark.parametrize("fault", [(500, b"<html>"), (503, {"error": {}}), (408, {}), (403, RATE), (429, {})])
def test_a_fault_that_passes_is_tried_again_at_once(world, fault):
    world.services.faults = [fault]
    assert len(world.fetch()) == 1
    assert len(world.clock.slept) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ((403, {"error": {"code": 403, "message": "x", "status": "PERMISSION_DENIED"}}), CredentialsError, "not shared with us"),
        (
            (403, {"error": {"code": 403, "errors": [{"reason": "accessNotConfigured"}], "message": "x"}}),
            CredentialsError,
            "not enabled",
        ),
        ((404, {"error": {"code": 404, "message": "x"}}), ConfigError, "no such spreadsheet"),
        ((400, {"error": {"code": 400, "message": "x"}}), PermanentError, "refused the request"),
        ((200, b"<html>Sign in</html>"), PermanentError, "web page"),
        ((200, {"no": "time"}), PermanentError, "no modified time"),
    ],
)
def test_each_refusal_is_one_clear_outcome(world, fault, kind, words):
    world.services.faults = [fault]
    with pytest.raises(kind, match=words) as caught:
        world.fetch()
    if kind is CredentialsError and "shared" in words:
        assert "stock@p.iam.example" in caught.value.hint
    assert world.clock.slept == []


def test_an_answer_without_its_range_is_no_table(world):
    assert len(world.fetch()) == 1
    world.services.modified = "2026-11-02T06:00:00Z"
    world.services.on_values = lambda: world.services.faults.append((200, {"values": [["x"]]}))
    with pytest.raises(PermanentError, match="cannot be understood"):
        world.fetch()


@pytest.mark.parametrize(
    "found", [[], {"sheets": [{}]}, {"sheets": None}, {"sheets": [{"properties": {"title": "x", "sheetId": 1}}]}]
)
def test_a_description_that_is_none_is_told(found):
    client = SimpleNamespace(http_client=SimpleNamespace(fetch_sheet_metadata=lambda _key: found))
    with pytest.raises(PermanentError, match="cannot be understood"):
        SheetSession(client, "us", 1, lambda _: None).worksheet("k", None)


def test_a_worksheet_that_is_not_there_is_told_with_those_that_are(world):
    with pytest.raises(ConfigError, match="no worksheet 'stock'") as caught:
        world.fetch(worksheet="stock")
    assert "'Stock'" in caught.value.hint


@pytest.mark.parametrize("login", ["google_service_account", "google_user"])
def test_revoked_consent_and_an_expired_token_are_told(world, login):
    world.services.account.lifetime = -1
    with pytest.raises(CredentialsError, match=r"refused the token|401"):
        world.fetch(login=login)
    world.services.account.refusal = "invalid_grant"
    with pytest.raises(CredentialsError, match="expired or was revoked") as caught:
        world.fetch(login=login)
    assert CANARY not in f"{caught.value} {caught.value.hint} {caught.value.detail} {caught.value!r}"


def test_a_wrong_client_secret_is_told_and_not_shown(world):
    world.connection = world.services.connection(client_secret=Secret("wrong-secret-value"))
    with pytest.raises(CredentialsError, match="secret is wrong") as caught:
        world.fetch(login="google_user")
    assert "wrong-secret-value" not in f"{caught.value} {caught.value.hint} {caught.value.detail}"


def test_a_dead_service_is_worth_another_try(world):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    world.connection = replace(world.connection, extra={**world.connection.extra, "endpoint": f"https://127.0.0.1:{port}"})
    with pytest.raises(TransientError, match="cannot be reached"):
        world.fetch()


def test_a_large_worksheet_is_read_in_pieces(world, monkeypatch):
    monkeypatch.setattr("connectors.google_sheets.ROWS", 1000)
    world.services.cells["Stock"] = [["SKU", "Qty"], *([f"A{n}", Number(n, str(n))] for n in range(5000))]
    assert world.rows()[5000] == ["A4999", "4999"]
    assert sum("/values/" in path for path in world.services.asked) == 12


@pytest.mark.parametrize("text", ["A", "1:2", "a1:b2", "B1:A1", "A3:B2", "A0:B", "Stock!A1:B2", "A1:B2:C3"])
def test_a_range_that_is_none_is_a_mistake_of_the_file(text):
    with pytest.raises(ConfigError, match="range"):
        load_source(feed({"type": "google_sheets", "key": sheets.KEY, "range": text}), sheets.Connection("x"))


def test_an_address_instead_of_the_key_is_a_mistake_that_says_which_part_is_meant():
    with pytest.raises(ValueError, match="between /d/ and /edit"):
        GoogleSheetsOptions(key=f"https://docs.google.com/spreadsheets/d/{sheets.KEY}/edit")


def test_ranges_and_letters_count_as_people_do():
    assert [letters(n) for n in (1, 26, 27, 52, 703)] == ["A", "Z", "AA", "AZ", "AAA"]
    assert area_of("B2:AA", 10, 5).name == "B2:AA10"
    assert area_of(None, 10, 3).name == "A1:C10"
    assert [one.name for one in area_of("A1:A5", 9, 9).pieces(2)] == ["A1:A2", "A3:A4", "A5:A5"]
