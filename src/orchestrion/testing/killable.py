"""A process that plays one crash scenario on a project folder, to be killed: python -m orchestrion.testing.killable FOLDER NAME ADDRESS.

Played to the end, it prints the run's status and output as JSON.
"""

import json
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import anyio

from orchestrion.app import open_app

from ._killing import play
from ._scenarios import SCENARIOS
from ._turn_scenarios import TURN_SCENARIO


async def main(folder: str, name: str, address: str) -> None:
    scenario = next(scenario for scenario in (*SCENARIOS, TURN_SCENARIO) if scenario.name == name)

    def effects() -> Mapping[str, int]:
        with urllib.request.urlopen(f"http://{address}/effects", timeout=10) as answer:
            return json.load(answer)

    async with open_app(Path(folder)) as app:
        run = await play(app, scenario, effects)
    sys.stdout.write(json.dumps({"status": run.status, "output": run.output, "problem": run.problem}))


def play_scenario(folder: str, name: str, address: str) -> None:
    anyio.run(main, folder, name, address)


if __name__ == "__main__":
    play_scenario(*sys.argv[1:])
