"""The DAGs, loaded for real in a process of their own; Airflow's import is slow and warns, so it never enters this one."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
DAGS = sorted((REPOSITORY / "dags").glob("*.py"))
FEEDS = 200
HOSTILE = "{{ 7*7 }} `rm` {% raw %} | Söhne"

SUPPLIER = """
[supplier]
code = "s{number:03}"
name = {name}
[[feed]]
code = "stock"
source = {{ type = "sftp", connection = "s{number:03}_sftp", path = "/out" }}
format = {{ type = "delimited" }}
schedule = "*/15 * * * *"
timezone = "Europe/London"
quantities = "net"
stale_after = "24h"
owner = "ann"
tags = ["bikes"]
columns = {{ supplier_sku = "SKU", available = "Qty" }}
"""
CHANNEL = '[channel]\ncode = "shop"\nname = "Shop"\nkind = "shopify"\nconnection = "shop"\nlocations = ["1"]\nowner = "bob"\n'


def write_config(folder: Path) -> None:
    (folder / "suppliers").mkdir()
    (folder / "channels").mkdir()
    for number in range(FEEDS):
        text = SUPPLIER.format(number=number, name=json.dumps(HOSTILE))
        (folder / "suppliers" / f"s{number:03}.toml").write_text(text, encoding="utf-8")
    (folder / "suppliers" / "_template.toml").write_text("not = toml = at all")
    (folder / "suppliers" / "broken.toml").write_text("[supplier\n")
    (folder / "suppliers" / "cron.toml").write_text(
        '[supplier]\ncode = "cron"\nname = "C"\n[[feed]]\ncode = "a"\ntimezone = "UTC"\nschedule = "each day"\n'
    )
    (folder / "suppliers" / "spelt.toml").write_text(
        '[supplier]\ncode = "{{ 7*7 }}"\nname = "C"\n[[feed]]\ncode = "a"\ntimezone = "UTC"\n'
    )
    (folder / "channels" / "shop.toml").write_text(CHANNEL)
    (folder / "channels" / "half.toml").write_text('[channel]\nname = "no code"\n')


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict:
    config = tmp_path_factory.mktemp("config")
    write_config(config)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "STOCKFEED"))}
    environment = {
        **clean,
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "STOCKFEED_CONFIG": str(config),
    }
    command = [sys.executable, str(Path(__file__).parent / "probe.py"), str(REPOSITORY / "dags")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_each_feed_and_channel_has_one_dag_and_templates_have_none(loaded: dict) -> None:
    ids = set(loaded["dags"])
    assert {i for i in ids if i.startswith("feed.")} == {f"feed.s{n:03}.stock" for n in range(FEEDS)}
    assert {i for i in ids if i.startswith("channel.")} == {"channel.shop"}
    assert {i for i in ids if i.startswith("housekeeping.")} == {
        "housekeeping.sweep",
        "housekeeping.alarm",
        "housekeeping.retention",
    }


def test_a_broken_file_gives_a_dag_that_says_so_and_takes_no_other_dag_with_it(loaded: dict) -> None:
    assert loaded["errors"] == {}
    broken = {i for i in loaded["dags"] if i.startswith("config_error.")}
    assert broken == {"config_error.broken", "config_error.cron", "config_error.spelt", "config_error.channel.half"}
    assert "stockfeed feeds check" in loaded["dags"]["config_error.broken"]["doc_md"]


def test_two_hundred_feeds_parse_in_less_than_a_second(loaded: dict) -> None:
    assert sum(loaded["seconds"].values()) < 1.0


def test_parsing_imports_nothing_of_ours(loaded: dict) -> None:
    assert loaded["imported"] == []


def test_every_dag_can_be_stored_runs_once_at_a_time_and_never_catches_up(loaded: dict) -> None:
    for dag_id, dag in loaded["dags"].items():
        assert dag["serializes"], dag_id
        assert dag["max_active_runs"] == 1, dag_id
        assert dag["catchup"] is False, dag_id
        assert dag["tags"], dag_id
        assert dag["doc_md"], dag_id


def test_every_task_has_a_time_limit_and_waits_for_no_pool_that_may_be_missing(loaded: dict) -> None:
    for dag_id, dag in loaded["dags"].items():
        for task_id, task in dag["tasks"].items():
            assert task["timeout"], (dag_id, task_id)
            assert task["pool"] == "default_pool", (dag_id, task_id)


def test_a_feeds_tasks_retry_with_back_off_and_belong_to_the_feeds_owner(loaded: dict) -> None:
    tasks = loaded["dags"]["feed.s007.stock"]["tasks"]
    assert {task["owner"] for task in tasks.values()} == {"ann"}
    for name in ("collect", "ingest", "acknowledge"):
        assert tasks[name]["retries"] >= 3
        assert tasks[name]["backoff"] >= 2
    assert tasks["review"]["retries"] == 0


def test_the_retries_of_a_feed_outlast_the_lease_of_a_worker_that_died_on_another_machine(loaded: dict) -> None:
    from stockfeed.settings import load_settings

    tasks = loaded["dags"]["feed.s007.stock"]["tasks"]
    for name in ("collect", "ingest"):
        waits = [tasks[name]["retry_delay"] * tasks[name]["backoff"] ** n for n in range(tasks[name]["retries"])]
        assert sum(waits) >= load_settings({}).lease_seconds, name


def test_a_feed_collects_then_ingests_in_order_then_acknowledges_and_announces(loaded: dict) -> None:
    tasks = loaded["dags"]["feed.s007.stock"]["tasks"]
    assert tasks["ingest"]["upstream"] == ["collect"]
    assert tasks["ingest"]["one_at_a_time"] == 1
    assert tasks["acknowledge"]["upstream"] == ["ingest"]
    assert tasks["announce"]["upstream"] == ["ingest"]
    assert tasks["announce"]["outlets"] == ["stockfeed/inventory"]
    assert {tasks[name]["rule"] for name in ("acknowledge", "announce", "review")} == {"all_done_min_one_success"}


def test_a_channel_runs_on_the_asset_and_on_a_clock(loaded: dict) -> None:
    dag = loaded["dags"]["channel.shop"]
    assert dag["schedule"] == "AssetOrTimeSchedule"
    assert dag["tasks"]["publish"]["upstream"] == ["allocate"]
    assert dag["tasks"]["reconcile"]["upstream"] == ["publish"]
    assert dag["tasks"]["repair"]["upstream"] == ["reconcile"]
    assert {task["owner"] for task in dag["tasks"].values()} == {"bob"}


def test_what_a_supplier_is_called_is_shown_and_never_rendered(loaded: dict) -> None:
    page = loaded["dags"]["feed.s007.stock"]["doc_md"]
    assert "{{ 7*7 }}" in page
    assert "49" not in page
    name = re.search(r"\| supplier \| `(.*)` \|", page)
    assert name is not None
    assert "`" not in name[1]
    assert "|" not in name[1]


def test_a_held_delivery_turns_its_own_run_red_and_a_good_one_does_not(loaded: dict) -> None:
    said = loaded["decisions"]
    assert said["review good"] == "nothing to review"
    assert said["review held"].startswith("fails: delivery 2 is held")
    assert "deliveries show" in said["review held"]


def test_channels_are_told_only_when_something_was_applied(loaded: dict) -> None:
    assert loaded["decisions"]["announce applied"] == 1
    assert loaded["decisions"]["announce held"].startswith("skips:")


def test_a_held_or_refused_publish_turns_the_run_red(loaded: dict) -> None:
    said = loaded["decisions"]
    assert said["publish good"] == "nothing to review"
    assert said["publish held"].startswith("fails: 12 values are held")
    assert said["publish blocked"].startswith("fails: the channel is paused or was never approved")
    assert said["publish failed"].startswith("fails: 0 values are held, 2 were refused")


def test_what_a_read_back_found_is_published_again_at_once_and_nothing_otherwise(loaded: dict) -> None:
    assert loaded["decisions"]["repair nothing"].startswith("skips:")


def test_a_server_that_says_when_to_come_back_is_obeyed(loaded: dict) -> None:
    assert loaded["decisions"]["retry as told"] == 90
    assert loaded["decisions"]["retry as usual"] == "RetryAction.DEFAULT"


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.name)
def test_a_dag_file_imports_airflow_sdk_and_the_standard_library_only(path: Path) -> None:
    for name in module_level_imports(ast.parse(path.read_text("utf-8"))):
        assert name.startswith("airflow.sdk") or name.split(".")[0] in sys.stdlib_module_names, name


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.name)
def test_the_only_template_is_our_own_label_of_a_delivery(path: Path) -> None:
    assert set(re.findall(r"\{\{.*?\}\}|\{%.*?%\}", path.read_text("utf-8"))) <= {"{{ delivery }}"}


def module_level_imports(tree: ast.Module) -> list[str]:
    plain = [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    return plain + [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]


def test_the_pools_file_names_exactly_the_pools_that_the_dags_use() -> None:
    listed = json.loads((REPOSITORY / "dags" / "pools.json").read_text("utf-8"))
    used = {name for path in DAGS for name in re.findall(r'POOL = "(\w+)"', path.read_text("utf-8"))}
    assert set(listed) == used


def test_the_airflow_configuration_holds_no_secret_and_expands_its_root() -> None:
    lines = [line for line in (REPOSITORY / "airflow.cfg").read_text("utf-8").splitlines() if line and not line.startswith("#")]
    keys = {line.split("=")[0].strip() for line in lines}
    assert not keys & {"fernet_key", "secret_key", "jwt_secret"}
    assert "@" not in " ".join(lines)
    assert "dags_folder = ${STOCKFEED_ROOT}/dags" in lines
    assert {"port", "base_url"} <= keys
