"""`make demo`: the whole product on this machine. Real servers on loopback, real Airflow, six suppliers, one shop that sells.

Never touches a configuration, database or Airflow of yours: everything lives in `.state/demo` and is made anew each time.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from stockfeed.bootstrap import App
from stockfeed.demo import suppliers, telling
from stockfeed.demo.airflow_api import ENDED, AirflowApi, wait_until
from stockfeed.demo.airflow_site import repository
from stockfeed.demo.stage import CHANNEL, Stage, set_up
from stockfeed.demo.staying import ended_like_ctrl_c, run_as_program, stay

SOLD_UNITS = 5
RUN_PATIENCE = 900.0  # seconds for the runs of one round: an idle machine takes 20


def main(arguments: Sequence[str] = (), *, environ: Mapping[str, str] = os.environ) -> int:
    """Return 0 when everything ended as told, 1 when not. With `--once` or ONCE=1 it ends by itself, else at Ctrl-C.

    `--folder PATH` puts everything there instead of `.state/demo`; the folder is emptied first. Raises ConfigError.
    """
    once, folder = _options(arguments, environ)
    began = time.monotonic()
    with ExitStack() as life:
        life.enter_context(ended_like_ctrl_c())
        stage = set_up(life, folder)
        wrong = play(stage)
        telling.tables(stage.app)
        telling.addresses(stage.app, stage.site, stage.shop.url)
        telling.verdict(wrong, time.monotonic() - began)
        if not once:
            stay(stage.group, "airflow.log in the demo's folder", "Ending Airflow, the suppliers' servers and the shop")
        survivors = stage.group.stop()
    if survivors:
        telling.verdict([f"processes {survivors} are still running"], 0)
    return 1 if wrong or survivors else 0


def _options(arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[bool, Path]:
    import argparse

    parser = argparse.ArgumentParser(prog="stockfeed demo", description="The whole product at work on this machine.")
    parser.add_argument("--once", action="store_true", help="end by itself, with 0 when everything ended as told (also: ONCE=1)")
    parser.add_argument(
        "--folder", type=Path, default=repository() / ".state" / "demo", help="where everything lives; emptied first"
    )
    chosen = parser.parse_args(arguments)
    return chosen.once or environ.get("ONCE", "") not in {"", "0"}, chosen.folder.absolute()


def play(stage: Stage) -> list[str]:
    """Return what did not end as told, an empty list when all did: two rounds of deliveries with a sale between them."""
    feeds = sorted(stage.app.config.feeds)
    telling.say("Round 1: six suppliers deliver for the first time.")
    suppliers.first_round(stage.doors)
    _approve(stage.app)
    states = _run_feeds(stage, feeds)
    offered = stage.shop.available(suppliers.SOLD_SKU)
    sold = stage.shop.sell(suppliers.SOLD_SKU, SOLD_UNITS)
    telling.say(f"The shop offered {offered} of {suppliers.SOLD_SKU} and sells {sold}.")
    telling.say("Round 2: the same file again, changed ones, and a file that says 0 for everything.")
    suppliers.second_round(stage.doors)
    again = _run_feeds(stage, feeds)
    telling.say("The shop is read back, as once a day.")
    read_back = _wait_for(stage, {CHANNEL: stage.airflow.trigger(CHANNEL)})
    return [
        *_differences("round 1", states, dict.fromkeys(feeds, "success")),
        *_differences("round 2", again, {**dict.fromkeys(feeds, "success"), "pacific.inventory": "failed"}),
        *_differences("read-back", read_back, {CHANNEL: "success"}),
        *telling.unexpected(stage.app, stage.shop, offered=offered, sold=sold),
        *telling.unanswered(stage.doors),
    ]


def _run_feeds(stage: Stage, feeds: Sequence[str]) -> dict[str, str]:
    """Return how each feed's run ended, once the channel has worked off every asset event they caused."""
    runs = {f"feed.{feed}": stage.airflow.trigger(f"feed.{feed}") for feed in feeds}
    states = _wait_for(stage, runs)
    wait_until(lambda: _channel_is_done(stage.airflow), "the channel's runs have not ended", RUN_PATIENCE)
    return {dag.removeprefix("feed."): state for dag, state in states.items()}


def _channel_is_done(airflow: AirflowApi) -> bool:
    # in this order: an event leaves the queue in the moment that its run begins to exist
    return not airflow.has_queued_events(CHANNEL) and set(airflow.runs(CHANNEL).values()) <= ENDED


def _wait_for(stage: Stage, runs: Mapping[str, str]) -> dict[str, str]:
    states: dict[str, str] = {}

    def ended() -> bool:
        for dag, run in runs.items():
            if states.get(dag) not in ENDED:
                states[dag] = stage.airflow.runs(dag)[run]
        return set(states.values()) <= ENDED

    with telling.waiting(f"Airflow runs {', '.join(runs)}"):
        wait_until(ended, f"{', '.join(runs)} have not ended", RUN_PATIENCE)
    return states


def _differences(when: str, states: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    return [
        f"{when}: the run of {name} ended {states[name]}, not {state}" for name, state in expected.items() if states[name] != state
    ]


def _approve(app: App) -> None:
    from stockfeed.pipeline.channel_acts import approve_channel

    approve_channel(app, "demo_shop", actor="demo", reason="the first publish of a channel needs a person; in the demo that is us")


if __name__ == "__main__":
    run_as_program(lambda: main(sys.argv[1:]))
