"""An Airflow of one's own on this machine: its folder, ports, generated secrets and environment.

Never writes a secret into airflow.cfg or the repository: they are made at the first start and kept in the site's own folder,
readable by its user only, and reach Airflow through the environment.
"""

import base64
import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigError

USER = "admin"
BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class AirflowSite:
    """Where one Airflow lives. `environment` is everything its processes need, with secrets: never print it."""

    home: Path
    url: str
    password: str
    environment: Mapping[str, str]


def repository() -> Path:
    """Return the folder with airflow.cfg and dags. Raises ConfigError when stockfeed was installed without its repository."""
    root = Path(__file__).resolve().parent.parent.parent
    if not (root / "airflow.cfg").is_file() or not (root / "dags").is_dir():
        raise ConfigError(f"{root} has no airflow.cfg and dags", "Run this from a clone of the repository, with its own .venv.")
    return root


def make_site(home: Path, *, port: int, settings: Mapping[str, str]) -> AirflowSite:
    """Return a site in `home` (made when absent); `settings` are added to its environment.

    Airflow's secrets and the password of its user are generated at the first start and read again at the next ones.
    """
    root = repository()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = _secrets(home / "secrets.json")
    passwords = home / "passwords.json"
    _write_private(passwords, {USER: made["password"]})
    url = f"http://127.0.0.1:{port}"
    # the settings of the person who starts it belong to another database: only what a site is given reaches it
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("STOCKFEED_", "AIRFLOW__"))}
    environment = {
        **inherited,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",  # standalone starts `airflow` by name
        "STOCKFEED_ROOT": str(root),
        "STOCKFEED_AIRFLOW_POOLS": "1",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONFIG": str(root / "airflow.cfg"),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__SECRET_KEY": made["api_secret_key"],
        "AIRFLOW__API_AUTH__JWT_SECRET": made["jwt_secret"],
        "AIRFLOW__CORE__FERNET_KEY": made["fernet_key"],
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        **settings,
    }
    return AirflowSite(home, url, made["password"], environment)


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pools() -> list[dict[str, object]]:
    """Return the pools that the DAGs use: name, slots, description (dags/pools.json)."""
    listed = json.loads((repository() / "dags" / "pools.json").read_text("utf-8"))
    return [{"name": name, **pool} for name, pool in listed.items()]


def _secrets(path: Path) -> dict[str, str]:
    if not path.exists():
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        _write_private(
            path,
            {
                "fernet_key": key,  # Fernet: 32 bytes, base64 for URLs
                "jwt_secret": secrets.token_urlsafe(48),
                "api_secret_key": secrets.token_urlsafe(32),
                "password": secrets.token_urlsafe(9),
            },
        )
    made: dict[str, str] = json.loads(path.read_text("utf-8"))
    return made


def _write_private(path: Path, content: Mapping[str, str]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file)
