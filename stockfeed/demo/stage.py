"""Sets the demo's stage in a folder of its own: the suppliers' servers, shop, configuration, database, Airflow.

Never touches a configuration, database or Airflow of yours, and never empties a folder that it did not make.
"""

import fcntl
import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from schemas.errors import ConfigError
from stockfeed.bootstrap import App, open_app
from stockfeed.demo import standalone, suppliers, telling
from stockfeed.demo.airflow_api import AirflowApi, signed_in, wait_until
from stockfeed.demo.airflow_site import AirflowSite, free_port, make_site, pools
from stockfeed.demo.certificates import Authority
from stockfeed.demo.google_server import GoogleServer
from stockfeed.demo.mail_server import USER, MailServer
from stockfeed.demo.process_group import ProcessGroup
from stockfeed.demo.sftp_server import Login, SftpServer
from stockfeed.demo.shop import Shop
from stockfeed.logs import configure_logging
from stockfeed.settings import load_settings

CHANNEL = "channel.demo_shop"  # its DAG
_OURS = ".made-by-stockfeed-demo"  # only a folder with this file is ever emptied
_PARSE_PATIENCE = 300.0  # seconds until Airflow has read the DAG files


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything the demo has running, and where it is."""

    folder: Path
    group: ProcessGroup
    site: AirflowSite
    airflow: AirflowApi
    app: App
    shop: Shop
    doors: suppliers.Doors


def set_up(life: ExitStack, home: Path) -> Stage:
    """Return the stage with everything on it running; `life` ends it all in reverse order. Raises ConfigError, TransientError."""
    folder = life.enter_context(_fresh_folder(home))
    configure_logging("ERROR", "text")
    doors, places = _open_doors(life, folder)
    shop = life.enter_context(Shop(suppliers.listed_skus()))
    places["AIRFLOW_CONN_DEMO_SHOP"] = f"shopify://:{quote(shop.token)}@127.0.0.1/?base_url={quote(shop.url, safe='')}"
    where = "An SFTP server, a mailbox, a Google spreadsheet and our outlet's own shop have stock"
    telling.say(f"{where}; a shop sells it at {shop.url}.")
    app = life.enter_context(open_app(load_settings(places, cwd=folder)))
    _make_database(app)
    site = make_site(folder / "airflow", port=free_port(), settings=places)
    command, environment = standalone.command(site, free_port())
    group = life.enter_context(ProcessGroup(command, environment=environment, log=folder / "airflow.log", folder=folder))
    with telling.waiting("Airflow starts (about half a minute)"):
        airflow = life.enter_context(signed_in(site, lambda: group.ended))
        airflow.make_pools(pools())
        wanted = {f"feed.{feed}" for feed in app.config.feeds} | {CHANNEL}
        wait_until(lambda: wanted <= airflow.dag_ids(), "Airflow has not parsed the DAGs", _PARSE_PATIENCE)
    return Stage(folder, group, site, airflow, app, shop, doors)


def _open_doors(life: ExitStack, folder: Path) -> tuple[suppliers.Doors, dict[str, str]]:
    """Return the suppliers' doors, open from here on, and the environment that names them, the configuration and the state."""
    (folder / "sftp").mkdir()
    suppliers.write_config(folder / "config")
    authority = Authority(folder)
    certificate = authority.issue("127.0.0.1")
    password = secrets.token_urlsafe(12)
    server = life.enter_context(SftpServer(folder / "sftp", Login("demo", password)))
    mailbox = life.enter_context(MailServer(certificate, password))
    google = life.enter_context(GoogleServer(suppliers.new_sheet(), certificate))
    outlet = life.enter_context(suppliers.new_outlet())
    pinned, trusted = quote(server.host_key, safe=""), quote(str(authority.ca_file), safe="")
    extra = {"keyfile": google.service_key(), "endpoint": google.url, "ca_file": str(authority.ca_file)}
    environment = {
        "STOCKFEED_CONFIG": str(folder / "config"),
        "STOCKFEED_STATE": str(folder / "state"),
        "AIRFLOW_CONN_DEMO_SFTP": f"sftp://demo:{quote(password)}@127.0.0.1:{server.port}/?host_key={pinned}",
        "AIRFLOW_CONN_DEMO_MAIL": f"imap://{quote(USER)}:{quote(password)}@127.0.0.1:{mailbox.port}/?ca_file={trusted}",
        "AIRFLOW_CONN_DEMO_OUTLET": f"http://:{quote(outlet.token)}@127.0.0.1/?base_url={quote(outlet.url, safe='')}",
        "AIRFLOW_CONN_DEMO_SHEETS": json.dumps({"conn_type": "google_cloud_platform", "extra": extra}),
    }
    return suppliers.Doors(folder / "sftp", mailbox, google.sheet, outlet), environment


def _make_database(app: App) -> None:
    from stockfeed.store.upgrade import upgrade

    app.settings.state_dir.mkdir(parents=True, exist_ok=True)
    upgrade(app.engine)


@contextmanager
def _fresh_folder(folder: Path) -> Iterator[Path]:
    """Yield the demo's empty folder, used by no other demo until the end.

    Raises ConfigError when another demo uses it, or when it is somebody's own folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        _take(lock)
        if folder.exists() and any(folder.iterdir()) and not (folder / _OURS).exists():
            raise ConfigError(
                f"{folder} is not empty and was not made by the demo", "Name another folder; this one would be emptied."
            )
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        (folder / _OURS).touch()
        yield folder


def _take(lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError("the demo is already running in this folder", "End it with Ctrl-C, or use another clone.") from error
