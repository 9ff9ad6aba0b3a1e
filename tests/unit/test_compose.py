"""docker-compose.yml and Dockerfile: every command, path, service and variable they use exists. Runs no container."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from stockfeed.settings import VARIABLES
from tests.airflow_celery.servers import Databases

REPOSITORY = Path(__file__).parent.parent.parent
TEXT = (REPOSITORY / "docker-compose.yml").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text("utf-8")
BIN = Path(sys.executable).parent
#: Programs that come with the foreign images or every Linux.
FOREIGN = {"pg_isready", "redis-server", "redis-cli", "sh"}
#: Variables with our prefix that no setting of the program is: the DAGs' place and pools, the image's tag.
BESIDES = {"STOCKFEED_ROOT", "STOCKFEED_AIRFLOW_POOLS"}

# What Airflow itself says of command lines and of configuration keys; one process, because importing it takes seconds.
ASK_AIRFLOW = """
import json, sys
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf
asked = json.load(sys.stdin)
parser = get_parser()
for words in asked["commands"]:
    parser.parse_args(words)
known = conf.configuration_description
print("ANSWER", json.dumps([[s, k] for s, k in asked["keys"] if k not in known.get(s, {}).get("options", {})]))
"""


def commands() -> list[list[str]]:
    """Every command line of our own services: commands, health checks, and what a shell is given."""
    found = []
    for service in OURS.values():
        for words in (service["command"], service.get("healthcheck", {}).get("test", ["NONE"])):
            if words[0] == "CMD-SHELL":
                found.append(shlex.split(words[1]))
            elif words[:2] == ["sh", "-ec"]:
                found += [shlex.split(part) for part in words[2].split(";")]
            elif words[0] != "NONE":
                found.append(words[1:] if words[0] == "CMD" else words)
    return found


def variables() -> dict[str, str]:
    """Every variable that our containers get, from both files."""
    given = {name: str(value) for service in OURS.values() for name, value in service["environment"].items()}
    return given | dict(re.findall(r"([A-Z_]+)=(\S+)", "\n".join(re.findall(r"^ENV ((?:.*\\\n)*.*)", DOCKERFILE, re.MULTILINE))))


def test_the_services_of_the_production_shape_are_all_there() -> None:
    wanted = {"postgres", "redis", "migrate", "api-server", "scheduler", "dag-processor", "triggerer", "worker", "uploads"}
    assert set(SERVICES) == wanted
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == {"migrate"}  # it ends


def test_every_airflow_command_and_key_is_known_to_airflow(tmp_path: Path) -> None:
    keys = [name.lower().split("__")[1:] for name in variables() if name.startswith("AIRFLOW__")]
    asked = {"commands": [words[1:] for words in commands() if words[0] == "airflow"], "keys": keys}
    assert len(asked["commands"]) == 10
    done = subprocess.run(
        [sys.executable, "-c", ASK_AIRFLOW], input=json.dumps(asked), capture_output=True, text=True, timeout=900, check=False,
        env={"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "ANSWER []"


@pytest.mark.parametrize("words", [words for words in commands() if words[0] == "stockfeed"], ids=" ".join)
def test_every_stockfeed_command_exists(words: list[str]) -> None:
    done = subprocess.run([str(BIN / words[0]), *words[1:], "--help"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    named = [word for word in words if word.startswith("--")]
    verb = words[: words.index(named[0])] if named else words
    assert done.stdout.startswith(f"Usage: {' '.join(verb)} [")
    assert all(re.search(rf"^  {option}\b", done.stdout, re.MULTILINE) for option in named)


def test_every_program_is_in_the_environment_or_in_the_foreign_image() -> None:
    absent = {words[0] for words in commands() if not (BIN / words[0]).exists()}
    assert absent <= FOREIGN
    for service in (SERVICES["postgres"], SERVICES["redis"]):
        checks = service["healthcheck"]["test"]
        assert {name for name in FOREIGN if name in " ".join(checks)}, checks


def test_the_workers_health_check_names_an_app_that_is_there() -> None:
    (app,) = re.findall(r"--app (\S+)", TEXT)
    module, _, name = app.rpartition(".")
    source = (BIN.parent / "lib" / f"python3.{sys.version_info[1]}" / "site-packages" / Path(*module.split("."))).with_suffix(".py")
    assert re.search(rf"\b{name}\b", source.read_text("utf-8"))
    done = subprocess.run(
        [str(BIN / "celery"), "inspect", "ping", "--help"], capture_output=True, text=True, check=True, timeout=120
    )
    assert "--destination" in done.stdout


def test_every_variable_of_ours_is_a_setting() -> None:
    ours = {name for name in variables() if name.startswith("STOCKFEED_")}
    assert ours - set(VARIABLES) <= BESIDES


def test_a_missing_secret_stops_everything_with_its_name_and_the_runbook_tells_of_each() -> None:
    used = dict.fromkeys(re.findall(r"(?<!\$)\$\{([A-Z_]+)", TEXT))
    asked = set(re.findall(r"(?<!\$)\$\{([A-Z_]+):\?[^}]+\}", TEXT))
    with_default = set(re.findall(r"(?<!\$)\$\{([A-Z_]+):-[^}]+\}", TEXT))
    assert set(used) == asked | with_default
    runbook = (REPOSITORY / "docs" / "runbook.md").read_text("utf-8")
    assert [name for name in used if f"`{name}`" not in runbook] == []
    secret = re.compile("PASSWORD|KEY|SECRET|TOKEN")
    assert [name for name in with_default if secret.search(name)] == []
    assert [
        name for name, value in variables().items() if secret.search(name) and not value.startswith(("${", "/run/secrets/"))
    ] == []


def test_every_name_that_a_service_refers_to_is_declared() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", ())) <= set(SERVICES), name
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"]), name
        assert {config["source"] for config in service.get("configs", ())} <= set(COMPOSE["configs"]), name
        volumes = [volume.split(":")[0] for volume in service.get("volumes", ())]
        assert {v for v in volumes if not v.startswith(".")} <= set(COMPOSE["volumes"]), name
        assert all((REPOSITORY / v).exists() for v in volumes if v.startswith(".")), name
    hosts = {host for value in variables().values() for host in re.findall(r"(?:@|http://)([a-z-]+)(?=[:/])", value)}
    assert hosts - {"localhost"} == {"postgres", "redis", "api-server"}  # AIRFLOW_PUBLIC_URL is for people


def test_the_programs_use_a_login_that_owns_nothing_and_only_the_migration_the_owner() -> None:
    logins = {name: re.match(r"postgresql://(\w+):", s["environment"]["STOCKFEED_DATABASE_URL"])[1] for name, s in OURS.items()}  # type: ignore[index]
    assert logins.pop("migrate") == "stockfeed"
    assert set(logins.values()) == {"stockfeed_app"}
    sql = COMPOSE["configs"]["second_database"]["content"]
    assert re.search(r"CREATE ROLE stockfeed_app LOGIN .* IN ROLE stockfeed_ingest, stockfeed_publisher;", sql)


def test_every_path_of_the_dockerfile_exists() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text("utf-8").split()
    copied = [source for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for source in _sources(line)]
    assert copied
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        assert not any(fnmatch(source, pattern) for pattern in ignored), source
    inside = {volume.split(":")[1] for service in OURS.values() for volume in service["volumes"]}
    assert [path for path in inside if path not in DOCKERFILE] == []


def _sources(line: str) -> list[str]:
    words = [word for word in line.split() if not word.startswith("--")]
    return words[:-1]


def test_the_extras_of_the_dockerfile_are_in_the_lock() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    asked = set(re.findall(r"--extra (\S+)", DOCKERFILE))
    assert asked == {"celery"}
    assert asked <= set(project["optional-dependencies"])
    locked = {package["name"] for package in tomllib.loads((REPOSITORY / "uv.lock").read_text("utf-8"))["package"]}
    assert {"apache-airflow-providers-celery", "redis", "psycopg2-binary", "asyncpg"} <= locked


def test_the_native_run_sets_what_the_compose_file_sets(tmp_path: Path) -> None:
    from tests.airflow_celery.prove import settings

    native = settings(tmp_path, Databases("o", "p", "postgresql+psycopg2://a"), "redis://")
    compose = variables()
    faster = {"STOCKFEED_LEASE_SECONDS", "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"}  # so that it ends sooner
    assert set(native) - set(compose) == faster
    same = ("AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__PARALLELISM")
    assert [native[name] for name in same] == [compose[name] for name in same]
