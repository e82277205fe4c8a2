"""Twenty-one workflows with counted effects, killed between every pair of journal writes."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrion.app import open_rooms
from orchestrion.core import RunStatus, SystemClock
from orchestrion.journal import MemoryJournal
from orchestrion.testing import (
    ANYTHING,
    SCENARIOS,
    TEAM_SCENARIOS,
    CrashingJournal,
    Moment,
    Scenario,
    counting_server,
    play_with_crash,
    write_project,
)

pytestmark = pytest.mark.anyio

NEVER = 10_000
SEED = 20261126


def dying(at: int, moment: Moment) -> CrashingJournal:
    return CrashingJournal(MemoryJournal(SystemClock()), at=at, moment=moment)


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["sampled", "every"])
@pytest.mark.parametrize("scenario", [*SCENARIOS, *TEAM_SCENARIOS], ids=lambda s: s.name)
async def test_same_outcome_and_effects_once(scenario: Scenario, tmp_path: Path, *, every: bool) -> None:
    """Killed before and after every write; sampled: at about two writes in three, before or after it."""
    chance = random.Random(f"{SEED} {scenario.name}")
    moments: tuple[Moment, Moment] = ("before", "after")
    with counting_server() as server:
        async with open_rooms(write_project(tmp_path, scenario, server.address)) as rooms:
            undisturbed = await play_with_crash(rooms, scenario, server, dying(NEVER, "before"))
            assert undisturbed.status is RunStatus.COMPLETED, undisturbed.problem
            assert scenario.output in (ANYTHING, undisturbed.output)
            assert server.effects() == scenario.effects
            at, killed = 1, True
            while killed:
                tried: Sequence[Moment] = moments if every else [chance.choice(moments)]
                for moment in tried:
                    server.forget()
                    mortal = dying(at, moment)
                    run = await play_with_crash(rooms, scenario, server, mortal)
                    killed = mortal.crashed.is_set()
                    where = f"killed {moment} write {at}"
                    assert run.status is RunStatus.COMPLETED, f"{where}: {run.problem}"
                    assert run.output == undisturbed.output, where
                    assert server.effects() == scenario.effects, where
                    if scenario.promises_interrupted:
                        assert server.requests["/letter"] == 1, where
                at += 1 if every else chance.choice([1, 2])
            assert at > 4
