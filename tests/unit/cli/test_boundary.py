import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from schemas.connections import Secret
from schemas.errors import ConfigError, CredentialsError, DeliveryError, HeldError, TransientError
from stockfeed.cli import boundary
from stockfeed.cli.app import COMMANDS, stockfeed
from stockfeed.redaction import KNOWN


@pytest.fixture
def failing(monkeypatch, tmp_path):
    """Runs the whole command line with one command that raises."""
    monkeypatch.setenv("STOCKFEED_STATE", str(tmp_path / "state"))

    def run(error: BaseException, *options: str) -> int:
        @click.command()
        def broken() -> None:
            raise error

        monkeypatch.setattr(type(stockfeed), "get_command", lambda _self, _ctx, _name: broken)
        return boundary.run([*options, "broken"])

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("wrong", "Do this."), 3),
        (CredentialsError("wrong", "Do this."), 3),
        (TransientError("wrong", "Do this.", retry_after=5), 75),
        (DeliveryError("wrong", "Do this."), 4),
        (HeldError("wrong", "Do this."), 2),
    ],
)
def test_an_error_is_one_line_a_remedy_and_its_exit_code(failing, capsys, error, code):
    assert failing(error) == code
    told = capsys.readouterr()
    assert told.err == "Error: wrong\n→ Do this.\n"
    assert told.out == ""


def test_many_mistakes_are_told_one_a_line(failing, capsys):
    assert failing(ConfigError("2 mistakes in 1 file", "a.toml:1: x\na.toml:2: y")) == 3
    assert capsys.readouterr().err == "Error: 2 mistakes in 1 file\n→ a.toml:1: x\n→ a.toml:2: y\n"


def test_a_message_cannot_forge_a_line_or_a_colour(failing, capsys):
    failing(DeliveryError("file \x1b[31m\u202eevil\nError: all is well", "Do\x00 this."))
    assert capsys.readouterr().err == "Error: file \\x1b[31m\\u202eevil Error: all is well\n→ Do\\x00 this.\n"


def test_a_traceback_is_shown_only_with_debug(failing, capsys):
    failing(ConfigError("wrong", "Do this.", detail="the long story"))
    assert "Traceback" not in capsys.readouterr().err
    failing(ConfigError("wrong", "Do this.", detail="the long story"), "--debug")
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "the long story" in told
    assert told.endswith("Error: wrong\n→ Do this.\n")


def test_a_fault_of_ours_is_one_line_and_its_traceback_is_kept_for_us_only(failing, capsys, tmp_path):
    assert failing(KeyError("x")) == 1
    told = capsys.readouterr().err
    [log] = (tmp_path / "state" / "logs").iterdir()
    assert told.splitlines()[0] == "Error: unexpected fault: KeyError: 'x'"
    assert str(log) in told
    assert "Traceback" not in told
    assert "KeyError: 'x'" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_known_secrets_are_in_no_message_and_no_crash_report(failing, capsys, tmp_path):
    KNOWN.learn(Secret("canary-5521"))
    failing(ValueError("login canary-5521 refused"))
    failing(CredentialsError("login canary-5521 refused", "canary-5521", "canary-5521"), "--debug")
    [log] = (tmp_path / "state" / "logs").iterdir()
    assert "canary-5521" not in capsys.readouterr().err + log.read_text()


def test_a_full_disk_is_a_try_again(failing, capsys):
    assert failing(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/x")) == 75
    assert capsys.readouterr().err.startswith("Error: the disk is full (/data/x)\n→ Free some space")


def test_a_failing_disk_is_no_fault_of_ours(failing, capsys):
    assert failing(OSError(errno.EIO, os.strerror(errno.EIO), "/data/x")) == 75
    assert capsys.readouterr().err.startswith("Error: a disk could not be read or written (/data/x)\n→ Check the disk")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_ends_with_130(failing, error):
    assert failing(error) == 130


def test_an_unknown_command_is_a_usage_error_with_the_nearest_name(capsys):
    assert boundary.run(["feds"]) == 3
    assert capsys.readouterr().err == "Error: No such command 'feds'. Did you mean 'feeds'?\n→ See `stockfeed --help`.\n"
    assert boundary.run(["deliveries", "show", "x"]) == 3
    assert capsys.readouterr().err.endswith("→ See `stockfeed deliveries show --help`.\n")


def every_command(command: click.Command, path: tuple[str, ...] = ()):
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from every_command(command.get_command(context, name), (*path, name))


@pytest.mark.parametrize(
    ("path", "command"), list(every_command(stockfeed)), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_explains_itself_in_80_columns_with_an_example(path, command, capsys):
    assert boundary.run([*path, "--help"]) == 0
    told = capsys.readouterr().out
    example = told.split("Example:")[1].split("Options:")[0]
    assert f"stockfeed {' '.join(path)}".strip() in " ".join(example.split())
    assert max(map(len, told.splitlines())) <= 80
    assert not any(line.rstrip().endswith("...") and line.startswith("  ") for line in told.split("Commands:")[1:])


def test_every_promised_command_is_there():
    promised = (
        "init, demo, feeds list, feeds check, feeds try, feeds release, feeds audit, feeds template, feeds token, sync, "
        "allocate, publish, reconcile, deliveries list, deliveries show, deliveries release, deliveries reject, "
        "deliveries undo, deliveries replay, deliveries add, deliveries answers, rejections list, rejections export, "
        "inventory show, inventory export, channels list, channels preview, channels approve, channels pause, channels resume, "
        "channels rollback, why, db upgrade, db check, db roles, sweep, serve-uploads"
    )
    there = {" ".join(path) for path, command in every_command(stockfeed) if not isinstance(command, click.Group)}
    assert there == set(promised.split(", "))
    assert {name.split()[0] for name in there} == set(COMMANDS)


def test_every_read_can_answer_in_json():
    silent = {"demo", "serve-uploads", "feeds template", "rejections export", "inventory export"}
    for path, command in every_command(stockfeed):
        if not isinstance(command, click.Group) and " ".join(path) not in silent:
            assert "as_json" in {p.name for p in command.params}, path


def test_importing_the_command_line_is_quick_and_loads_no_client_library():
    script = (
        "import sys, time; t = time.process_time(); import stockfeed.cli; t = time.process_time() - t;"
        "print(t, [m for m in ('polars', 'pandas', 'sqlalchemy', 'pydantic', 'rich', 'httpx', 'paramiko') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path("/")).stdout
    seconds, loaded = told.strip().split(" ", 1)
    assert float(seconds) < 0.3
    assert loaded == "[]"


def test_the_verbs_load_no_frame_library_before_there_is_a_file_to_read():
    verbs = "acknowledge, acts, allocate, channel_acts, collect, ingest, preview, publish, receive, reconcile, retention, sweep"
    script = (
        f"import sys; from stockfeed.pipeline import {verbs};print([m for m in ('polars', 'pandas', 'numpy') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path("/")).stdout
    assert told.strip() == "[]"


@pytest.mark.parametrize("words", [[], ["feeds"]])
def test_a_group_alone_shows_its_page_as_help_does(words, capsys):
    assert boundary.run([*words, "--help"]) == 0
    page = capsys.readouterr().out
    assert boundary.run(words) == 3
    assert capsys.readouterr().err == page
