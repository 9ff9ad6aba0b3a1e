"""Airflow's services as docker-compose.yml runs them, each in a session of its own, and the sudden death of a worker."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from stockfeed.demo.airflow_site import BIN
from stockfeed.demo.process_group import ProcessGroup

SLOTS = 4  # tasks at a time in each worker
SINGLE = ("api-server", "scheduler", "dag-processor", "triggerer")
WORKERS = ("worker1", "worker2")


@contextmanager
def services(environment: Mapping[str, str], folder: Path) -> Iterator[dict[str, ProcessGroup]]:
    """Yield every service by name, running; afterwards none of their processes is left."""
    with ExitStack() as life:
        started = {}
        for name in (*SINGLE, *WORKERS):
            group = ProcessGroup(_command(name, folder), environment=environment, log=folder / f"{name}.log", folder=folder)
            started[name] = life.enter_context(group)
        yield started


def _command(name: str, folder: Path) -> list[str]:
    airflow = str(BIN / "airflow")
    if name in SINGLE:
        return [airflow, name]
    worker = [airflow, "celery", "worker", "--concurrency", str(SLOTS), "--celery-hostname", f"{name}@%h", "--skip-serve-logs"]
    worker += ["--pid", str(folder / f"{name}.pid")]
    return [*_on_a_machine_of_its_own(name), *worker]


def has_machines() -> bool:
    """Return whether each worker can have a host name of its own here, as in containers."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "--uts", "true"], capture_output=True, check=False).returncode == 0


def _on_a_machine_of_its_own(name: str) -> list[str]:
    # a lease of this host name's dead process would be taken over at once; elsewhere it has to end by itself
    return ["unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh"] if has_machines() else []


def freeze(group: ProcessGroup, *, frozen: bool) -> None:
    """Stop every process of a service where it stands, or let it go on."""
    _signal_all(group, signal.SIGSTOP if frozen else signal.SIGCONT)


def kill(group: ProcessGroup) -> int:
    """End every process of a service as a power cut does, and return how many there were."""
    return _signal_all(group, signal.SIGKILL)


def _signal_all(group: ProcessGroup, number: signal.Signals) -> int:
    members = group.alive()
    for pid in members:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue  # it ended between listing and signal
    return len(members)
