"""Killed with SIGKILL in the middle of deploying, promoting, taking back and retraining: aliases and trials agree, decisions stand once."""

import json
import random
import shutil
import signal
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from orchestrion.app import open_journal
from orchestrion.core import SystemClock
from orchestrion.journal import DurableJournal
from orchestrion.project import Project
from orchestrion.registry import PRODUCTION, Move, Registry, Rollout, Rollouts, RolloutStatus
from orchestrion.testing import ACTS, Act, Process, begin_releases, play_release, write_greeting

pytestmark = pytest.mark.anyio

SEED = 20261126
ENDED: dict[Act, tuple[int, RolloutStatus | None]] = {
    "deploy": (2, None),
    "try": (1, RolloutStatus.RUNNING),
    "promote": (2, RolloutStatus.PROMOTED),
    "take back": (1, RolloutStatus.ROLLED_BACK),
    "roll back": (3, None),
    "retrain": (1, RolloutStatus.RUNNING),
}
"""How many moves of the alias there are in the end, and what became of the trial."""


@cache
def begun(act: Act, folder: Path) -> Path:
    """A project from which an act goes on, made once."""
    place = folder / act.replace(" ", "-")
    write_greeting(place, "")
    begin_in(place, act)
    return place


def begin_in(folder: Path, act: Act) -> None:
    process = Process(begin_releases, str(folder), act)
    out, err = process.communicate()
    assert process.poll() == 0, out + err


def play(folder: Path, act: Act, at: int) -> int | None:
    """How many places there were; None when it died."""
    process = Process(play_release, str(folder), act, at)
    out, err = process.communicate()
    if process.poll() == -signal.SIGKILL:
        return None
    assert process.poll() == 0, err
    return int(json.loads(out)["places"])


async def recorded(folder: Path) -> tuple[Sequence[Move], Sequence[Rollout]]:
    """The moves of the alias, the first one first, and the trials; what they say agrees, or the test fails."""
    async with open_journal(Project.load(folder), mode="join", clock=SystemClock()) as journal:
        assert isinstance(journal, DurableJournal)
        registry = Registry(journal, SystemClock())
        moved = tuple(reversed(await registry.moves("shop/greet")))
        rollouts = await Rollouts(journal, SystemClock()).listed(10)
        for move in moved:
            kept = (await registry.find(move.bundle)).bundle
            assert set(await registry.contents(kept)) == set(kept.pieces)
    moves = [move for move in moved if move.alias == PRODUCTION]
    assert [move.number for move in moves] == list(range(1, len(moves) + 1))
    assert [move.before for move in moves] == [None, *(move.bundle for move in moves[:-1])]
    for rollout in rollouts:
        promoted = rollout.status is RolloutStatus.PROMOTED
        assert (rollout.verdict is None) == (rollout.status is RolloutStatus.RUNNING)
        assert moves[-1].bundle == (rollout.candidate if promoted else rollout.control)
        assert [move.why for move in moves].count(rollout.verdict or "nothing") == (1 if promoted else 0)
    return moves, rollouts


async def kill_and_go_on(folder: Path, act: Act, at: int) -> bool:
    """Whether there is such a place; then everything is in order after the kill there, and after the same again."""
    places = play(folder, act, at)
    if places is None:
        await recorded(folder)
        play(folder, act, 0)
    moves, rollouts = await recorded(folder)
    count, status = ENDED[act]
    assert len(moves) == count
    assert [rollout.status for rollout in rollouts] == ([] if status is None else [status])
    return places is None


@pytest.fixture(scope="session")
def beginnings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("releases")


FEWEST = {"deploy": 8, "try": 8, "promote": 4, "take back": 3, "roll back": 3, "retrain": 8}
"""Places at which to die, at least."""


def points() -> list[tuple[Act, int]]:
    draw = random.Random(SEED)
    return [(act, draw.randint(1, FEWEST[act])) for act in ACTS]


@pytest.mark.parametrize(("act", "at"), points())
async def test_killed_at_a_place(act: Act, at: int, beginnings: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(begun(act, beginnings), tmp_path / "killed")
    assert await kill_and_go_on(folder, act, at)


@pytest.mark.parametrize(("act", "at"), [point for point in points() if point[0] in {"promote", "roll back"}])
async def test_killed_at_a_place_on_postgresql(act: Act, at: int, tmp_path: Path, postgresql: str) -> None:
    write_greeting(tmp_path, "", store=postgresql)
    begin_in(tmp_path, act)
    assert await kill_and_go_on(tmp_path, act, at)


@pytest.mark.soak
@pytest.mark.parametrize("act", ACTS)
async def test_killed_at_every_place(act: Act, beginnings: Path, tmp_path: Path) -> None:
    at = 1
    while await kill_and_go_on(shutil.copytree(begun(act, beginnings), tmp_path / str(at)), act, at):
        at += 1
    assert at > FEWEST[act]


@pytest.mark.soak
@pytest.mark.parametrize(("act", "at"), [(act, at) for act in ACTS for at in range(1, FEWEST[act] + 1)])
async def test_killed_at_each_of_the_first_places_on_postgresql(
    act: Act, at: int, tmp_path: Path, postgresql: str
) -> None:
    write_greeting(tmp_path, "", store=postgresql)
    begin_in(tmp_path, act)
    assert await kill_and_go_on(tmp_path, act, at)
