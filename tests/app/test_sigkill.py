"""Real processes killed with SIGKILL while an effect is under way, on a real database: the ending is the same, effects once."""

import json
import random
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrion.testing import (
    ANYTHING,
    SCENARIOS,
    CountingServer,
    Moment,
    Process,
    Scenario,
    counting_server,
    write_project,
)
from orchestrion.testing.killable import play_scenario

SEED = 20261123
MOST_S = 60


def play(folder: Path, scenario: Scenario, server: CountingServer) -> Process:
    return Process(play_scenario, str(folder), scenario.name, server.address)


def ending(process: Process) -> Mapping[str, Any]:
    out, err = process.communicate(MOST_S)
    assert process.poll() == 0, err
    return json.loads(out)


def kill_during(
    scenario: Scenario, folder: Path, number: int, moment: Moment, *, store: str = ".orchestrion/orchestrion.db"
) -> None:
    with counting_server() as server:
        write_project(folder, scenario, server.address)
        with (folder / "orchestrion.yaml").open("a") as settings:
            settings.write(f"store: '{store}'\n")
        process = play(folder, scenario, server)

        def strike(count: int, at: Moment) -> None:
            if (count, at) == (number, moment) and process.poll() is None:
                process.kill()
                process.wait()

        server.watch = strike
        process.communicate(MOST_S)
        killed = process.poll() == -signal.SIGKILL
        server.watch = lambda _, __: None
        end = ending(play(folder, scenario, server))
        where = f"{scenario.name} killed {moment} effect {number} took place ({killed=})"
        assert end["status"] == "completed", f"{where}: {end}"
        assert scenario.output in (ANYTHING, end["output"]), where
        assert server.effects() == scenario.effects, where
        if scenario.promises_interrupted:
            assert server.requests["/letter"] <= 1 + (killed and moment == "before"), where


def points(count: int) -> list[tuple[Scenario, int, Moment]]:
    """Sampled kill points: which scenario, which request, before or after its effect."""
    draw = random.Random(SEED)
    moments: tuple[Moment, Moment] = ("before", "after")
    return [
        (scenario, draw.randint(1, sum(scenario.effects.values())), draw.choice(moments))
        for scenario in (draw.sample(SCENARIOS, len(SCENARIOS)) * 3)[:count]
    ]


@pytest.mark.parametrize(("scenario", "number", "moment"), points(5), ids=str)
def test_killed_at_a_few_points(scenario: Scenario, number: int, moment: Moment, tmp_path: Path) -> None:
    kill_during(scenario, tmp_path, number, moment)


@pytest.mark.soak
@pytest.mark.parametrize(("scenario", "number", "moment"), points(30), ids=str)
def test_killed_at_thirty_points(scenario: Scenario, number: int, moment: Moment, tmp_path: Path) -> None:
    kill_during(scenario, tmp_path, number, moment)


@pytest.mark.parametrize(("scenario", "number", "moment"), points(1), ids=str)
def test_killed_at_a_point_on_postgresql(
    scenario: Scenario, number: int, moment: Moment, tmp_path: Path, postgresql: str
) -> None:
    kill_during(scenario, tmp_path, number, moment, store=postgresql)


@pytest.mark.soak
@pytest.mark.parametrize(("scenario", "number", "moment"), points(30), ids=str)
def test_killed_at_thirty_points_on_postgresql(
    scenario: Scenario, number: int, moment: Moment, tmp_path: Path, postgresql: str
) -> None:
    kill_during(scenario, tmp_path, number, moment, store=postgresql)
