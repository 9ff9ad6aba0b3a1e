"""`airflow standalone`, and beside it an API server for the tasks alone: one program, which ends when either of them ends.

Why two servers: Airflow's audit log commits on the event loop of the server that a person or the demo talks to. When a task's
request has SQLite's write lock at that moment, and needs the same event loop to commit, both wait for each other until the busy
timeout, and everything that writes waits with them. In two processes the lock's owner goes on.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import NoReturn

from stockfeed.demo.airflow_site import BIN, AirflowSite

TASK_SERVER = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
_PAUSE = 0.2


def command(site: AirflowSite, port: int) -> tuple[list[str], Mapping[str, str]]:
    """Return the program and the environment that run `site`, the tasks' API server on `port`."""
    return [sys.executable, "-m", __name__, str(port)], {
        **site.environment,
        TASK_SERVER: f"http://127.0.0.1:{port}/execution/",
    }


def main(arguments: Sequence[str]) -> int:
    """Run both until one ends or SIGTERM or SIGINT comes; return the exit code of what ended first, 0 after a signal.

    Raises CalledProcessError when Airflow's database cannot be made.
    """
    airflow = str(BIN / "airflow")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    subprocess.run([airflow, "db", "migrate"], check=True)  # the second server does not wait for the first to do it
    programs = [[airflow, "standalone"], [airflow, "api-server", "--apps", "execution", "--port", arguments[0]]]
    running = [subprocess.Popen(program) for program in programs]
    try:
        while not (ended := [one.returncode for one in running if one.poll() is not None]):
            time.sleep(_PAUSE)
        return ended[0]
    finally:
        for one in running:
            one.terminate()
        for one in running:
            one.wait()


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
