"""The parts of the demo that need no Airflow: deliveries, secrets, processes that do not want to end, whose folder is emptied."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from schemas.errors import ConfigError, TransientError
from stockfeed.demo import own_airflow, run, standalone, suppliers
from stockfeed.demo.airflow_api import AirflowApi
from stockfeed.demo.airflow_site import make_site, pools
from stockfeed.demo.certificates import Authority
from stockfeed.demo.mail_server import SIGNED_BY, MailServer
from stockfeed.demo.process_group import ProcessGroup, session_members
from stockfeed.settings import load_config, load_settings
from tests.servers import web_server


def test_the_demos_configuration_is_right(tmp_path: Path) -> None:
    suppliers.write_config(tmp_path / "config")
    config = load_config(load_settings({"STOCKFEED_CONFIG": str(tmp_path / "config")}))
    assert sorted(config.feeds) == [
        "alpenrad.stock",
        "harbour.sheet",
        "lumen.lamps",
        "midland.edi",
        "outlet.shelves",
        "pacific.inventory",
    ]
    assert config.feed("harbour.sheet").source.options["authserv_id"] == SIGNED_BY


def test_the_mailed_workbook_keeps_skus_as_text_and_numbers_as_numbers(tmp_path: Path) -> None:
    from openpyxl import load_workbook

    (tmp_path / "rows.csv").write_text('Item,Leith\n00815,7\n1E5,2.5\n=A1,see note\n"",0\n', encoding="utf-8")
    book = load_workbook(BytesIO(suppliers.workbook(tmp_path / "rows.csv")))
    rows = [list(row) for row in book["Stock"].iter_rows(min_row=3, values_only=True)]
    assert rows[:3] == [["Item", "Leith"], ["00815", 7], ["1E5", 2.5]]


def test_the_second_round_sends_the_same_bytes_a_change_and_zeros(tmp_path: Path) -> None:
    server = tmp_path / "sftp"
    with MailServer(Authority(tmp_path).issue("127.0.0.1"), "password") as mailbox, suppliers.new_outlet() as outlet:
        doors = suppliers.Doors(server, mailbox, suppliers.new_sheet(), outlet)
        two_rounds(doors)


def two_rounds(doors: suppliers.Doors) -> None:
    server = doors.sftp
    suppliers.first_round(doors)
    lamps = doors.sheet.cells["Stock"]
    first = (server / "alpenrad" / "bestand.csv").read_bytes()
    sent = (server / "alpenrad" / "bestand.csv").stat().st_mtime
    suppliers.second_round(doors)
    assert (len(lamps), lamps[1][:2]) == (8, ["0471", "Koplamp Ster 30 lux"])
    assert doors.sheet.cells["Stock"] != lamps
    assert (server / "alpenrad" / "bestand.csv").read_bytes() == first
    assert (server / "alpenrad" / "bestand.csv").stat().st_mtime > sent
    zeros = (server / "pacific" / "inventory_2.csv").read_text("utf-8").splitlines()[1:]
    assert len(zeros) == 60
    assert all('",0,' in line for line in zeros)


def test_the_shop_lists_every_sku_once_also_those_that_spreadsheets_destroy() -> None:
    skus = suppliers.listed_skus()
    assert {"1E5", "0815", suppliers.SOLD_SKU, "HH00200", "PCS-0001", "1E7", "MD-10001"} <= set(skus)
    assert "" not in skus


def test_a_sites_secrets_are_private_and_stay_the_same_at_the_next_start(tmp_path: Path) -> None:
    first = make_site(tmp_path / "home", port=8080, settings={})
    again = make_site(tmp_path / "home", port=8081, settings={})
    for name in ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY"):
        assert first.environment[name] == again.environment[name]
        assert len(first.environment[name]) >= 32
    assert again.environment["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8081"
    for file in (tmp_path / "home").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_site_never_sees_the_database_of_the_person_who_starts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKFEED_DATABASE_URL", "postgresql://production/stock")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production/airflow")
    site = make_site(tmp_path, port=8080, settings={"STOCKFEED_STATE": "here"})
    assert "STOCKFEED_DATABASE_URL" not in site.environment
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in site.environment
    assert site.environment["STOCKFEED_STATE"] == "here"


def test_every_pool_has_a_name_and_slots() -> None:
    assert all(pool["name"] and pool["slots"] for pool in pools())


STUBBORN = """
    import os, signal, subprocess, sys, time
    if sys.argv[1] == "child":
        os.setpgid(0, 0)  # a process group of its own, as Airflow's tasks have
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        subprocess.Popen([sys.executable, __file__, "child"])
    print("up", flush=True)
    time.sleep(600)
"""


@contextmanager
def stubborn(folder: Path) -> Iterator[ProcessGroup]:
    """Give a running program and its child, which does not end at SIGTERM."""
    program = folder / "stubborn.py"
    program.write_text(textwrap.dedent(STUBBORN))
    command = [sys.executable, str(program), "parent"]
    with ProcessGroup(command, environment=os.environ, log=folder / "log", folder=folder) as group:
        while (folder / "log").read_text().count("up") < 2:
            assert group.ended is None
        yield group


def test_stopping_ends_children_that_left_the_process_group_and_ignore_sigterm(tmp_path: Path) -> None:
    with stubborn(tmp_path) as group:
        members = group.alive()
        assert len(members) == 2
        assert group.stop(patience=0.5) == []
    assert group.ended == -signal.SIGTERM
    assert session_members(members[0]) == []


def test_a_second_ctrl_c_while_everything_ends_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stubborn(tmp_path) as group:
        members = group.alive()
        real, presses = time.sleep, iter([KeyboardInterrupt])

        def pressed_once(seconds: float) -> None:
            for press in presses:
                raise press
            real(seconds)

        monkeypatch.setattr("stockfeed.demo.process_group.time.sleep", pressed_once)
        assert group.stop(patience=600) == []
    assert session_members(members[0]) == []


def test_a_second_airflow_of_one_installation_is_refused(tmp_path: Path) -> None:
    with own_airflow._alone(tmp_path), pytest.raises(ConfigError, match="running already"), own_airflow._alone(tmp_path):
        pass


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(ConfigError, match="PORT"):
        own_airflow._port(port)


def test_a_program_that_ended_by_itself_is_no_error(tmp_path: Path) -> None:
    with ProcessGroup([sys.executable, "-c", ""], environment=os.environ, log=tmp_path / "log", folder=tmp_path) as group:
        while group.ended is None:
            continue
    assert group.ended == 0


def test_a_folder_that_the_demo_did_not_make_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="was not made by the demo"):
        run.main(["--once", "--folder", str(tmp_path / "mine")])
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_port_that_is_taken_is_told_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} cannot be used"):
            own_airflow.main({"PORT": str(port)})
    with pytest.raises(ConfigError, match="is not a number"):
        own_airflow.main({"PORT": "http"})
    with pytest.raises(ConfigError, match="port 70000 cannot be used"):
        own_airflow.main({"PORT": "70000"})


def test_tasks_have_an_api_server_of_their_own(tmp_path: Path) -> None:
    site = make_site(tmp_path, port=8080, settings={})
    command, environment = standalone.command(site, 8081)
    assert command[-1] == "8081"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8081/execution/"
    assert environment["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8080"


@pytest.mark.slow
def test_the_whole_demo_ends_as_told_and_leaves_no_process_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stockfeed.demo.run", "--once", "--folder", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("held", "unchanged", "QTY-NEGATIVE", "SKU-DUPLICATE", "All as told", "http://127.0.0.1:"):
        assert words in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert processes_with(str(tmp_path / "demo")) == []
    passwords = json.loads((tmp_path / "demo" / "airflow" / "passwords.json").read_text())
    assert stat.S_IMODE((tmp_path / "demo").stat().st_mode) == 0o700
    assert passwords["admin"] in done.stdout


def processes_with(text: str) -> list[str]:
    """The environments of living processes that name the demo's folder; a zombie's is empty."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            if text in file.read_bytes().decode(errors="replace"):
                found.append(file.parent.name)
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_an_airflow_that_does_not_answer_is_a_try_again_and_no_fault() -> None:
    with web_server.running(lambda _request, line: line.silence()) as server:
        client = httpx.Client(base_url=server.url(""), timeout=0.1)
        with client, pytest.raises(TransientError, match="does not answer"):
            AirflowApi(client).runs("feed.acme.stock")
