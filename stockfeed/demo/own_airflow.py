"""`make airflow`: Airflow on this machine with the repository's config/ and .state/, on PORT (8080); Ctrl-C ends all of it.

Never shows Airflow's own log in the terminal, where the address and the password would be lost: it goes to .state/airflow.
"""

import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from schemas.errors import ConfigError
from stockfeed.bootstrap import open_app
from stockfeed.demo import standalone, telling
from stockfeed.demo.airflow_api import signed_in
from stockfeed.demo.airflow_site import USER, free_port, make_site, pools, repository
from stockfeed.demo.process_group import ProcessGroup
from stockfeed.demo.staying import ended_like_ctrl_c, run_as_program, stay
from stockfeed.settings import load_settings

_HIGHEST_PORT = 65535


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Return 0 after Ctrl-C, Airflow's exit code when it ended by itself. Raises ConfigError, TransientError, PermanentError."""
    root = repository()
    with _alone(root / ".state"):
        return _run(root, environ)


def _run(root: Path, environ: Mapping[str, str]) -> int:
    port = _port(environ.get("PORT", ""))
    places = {"STOCKFEED_CONFIG": str(root / "config"), "STOCKFEED_STATE": str(root / ".state"), **_given(environ)}
    _make_database(places)
    site = make_site(root / ".state" / "airflow", port=port, settings=places)
    log = site.home / "airflow.log"
    command, environment = standalone.command(site, free_port())
    with ExitStack() as life:
        life.enter_context(ended_like_ctrl_c())
        group = life.enter_context(ProcessGroup(command, environment=environment, log=log, folder=root))
        with telling.waiting(f"Airflow starts (about half a minute); its log is {log}"):
            life.enter_context(signed_in(site, lambda: group.ended)).make_pools(pools())
        telling.say(f"Airflow: {site.url}   user {USER}, password {site.password}")
        stay(group, str(log), "Ending Airflow")
        return group.ended or 0


def _port(text: str) -> int:
    """Return the port to listen on. Raises ConfigError when it is no number, or when somebody listens there."""
    if text and not text.isdecimal():
        raise ConfigError(f"PORT={text!r} is not a number", "Write for example PORT=8081 make airflow.")
    port = int(text or "8080")
    if not 0 < port <= _HIGHEST_PORT:
        raise ConfigError(f"port {port} cannot be used: it is not between 1 and 65535", "Name another: PORT=8081 make airflow.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(f"port {port} cannot be used: {error}", "Name another: PORT=8081 make airflow.") from error
    return port


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second Airflow out: both would write one database. Raises ConfigError while another one runs."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "airflow.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"this installation's Airflow is running already ({folder})", "Use it, or end it with Ctrl-C in its terminal first."
            ) from error
        yield


def _make_database(places: Mapping[str, str]) -> None:
    from stockfeed.store.upgrade import upgrade

    with open_app(load_settings(places, cwd=repository())) as app:
        app.settings.state_dir.mkdir(parents=True, exist_ok=True)
        upgrade(app.engine)


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(("STOCKFEED_", "AIRFLOW__")) and value}


if __name__ == "__main__":
    run_as_program(main)
