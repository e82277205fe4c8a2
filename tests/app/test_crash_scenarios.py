"""Thirteen workflows with counted effects, killed between every pair of journal writes."""

from pathlib import Path

import pytest

from orchestrion.app import open_rooms
from orchestrion.core import RunStatus, SystemClock
from orchestrion.journal import MemoryJournal
from orchestrion.testing import ANYTHING, SCENARIOS, Scenario, counting_server, play_with_crash, write_project

pytestmark = pytest.mark.anyio

NEVER = 10_000


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
async def test_same_outcome_and_effects_once(scenario: Scenario, tmp_path: Path) -> None:
    points = 0
    with counting_server() as undisturbed:
        async with open_rooms(write_project(tmp_path / "undisturbed", scenario, undisturbed.address)) as rooms:
            run, _ = await play_with_crash(
                rooms, scenario, undisturbed, MemoryJournal(SystemClock()), at=NEVER, moment="before"
            )
        assert run.status is RunStatus.COMPLETED, run.problem
        assert scenario.output in (ANYTHING, run.output)
        assert undisturbed.effects() == scenario.effects
    at, killed = 1, True
    while killed:
        for moment in ("before", "after"):
            with counting_server() as server:
                folder = write_project(tmp_path / f"{at}-{moment}", scenario, server.address)
                async with open_rooms(folder) as rooms:
                    again, killed = await play_with_crash(
                        rooms, scenario, server, MemoryJournal(SystemClock()), at=at, moment=moment
                    )
                where = f"killed {moment} write {at}"
                assert again.status is RunStatus.COMPLETED, f"{where}: {again.problem}"
                assert again.output == run.output, where
                assert server.effects() == scenario.effects, where
                if scenario.promises_interrupted:
                    assert server.requests["/letter"] == 1, where
            points += 1
        at += 1
    assert points > 6
