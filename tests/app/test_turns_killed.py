"""A turn of twelve tool calls killed anywhere: the same answer, no completed request to the model again, every effect once."""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from orchestrion.app import Rooms, open_rooms
from orchestrion.core import EntryStatus, Put, RunStatus, SystemClock
from orchestrion.journal import MemoryJournal
from orchestrion.testing import (
    TURN_SCENARIO,
    CountingServer,
    CrashingJournal,
    Moment,
    counting_server,
    play_with_crash,
    write_project,
)
from orchestrion.testing.openai_server import OpenAIServer, answers_in

pytestmark = pytest.mark.anyio

NEVER = 10_000
SEED = 20261126
ANSWERS = len(TURN_SCENARIO.model)
CALLS = len(TURN_SCENARIO.effects)
MOST_S = 60
MOMENTS: tuple[Moment, Moment] = ("before", "after")


@asynccontextmanager
async def servers() -> AsyncGenerator[tuple[CountingServer, OpenAIServer]]:
    with counting_server() as effects:
        async with OpenAIServer(TURN_SCENARIO.model, by_answers=True) as model:
            yield effects, model


def repeated(model: OpenAIServer) -> int:
    """How many requests to the model were made again."""
    made = Counter(answers_in(request) for request in model.requests)
    assert sorted(made) == list(range(ANSWERS))
    return made.total() - ANSWERS


def lost_an_answer(dying: CrashingJournal) -> bool:
    """Whether what was never written is an answer of the model."""
    return dying.moment == "before" and any(
        isinstance(write, Put) and write.entry.function == "model:1.0.0" and write.entry.status is EntryStatus.COMPLETED
        for write in dying.fatal
    )


async def kill(rooms: Rooms, effects: CountingServer, model: OpenAIServer, at: int, moment: Moment) -> CrashingJournal:
    effects.forget()
    model.requests.clear()
    dying = CrashingJournal(MemoryJournal(SystemClock()), at=at, moment=moment)
    run = await play_with_crash(rooms, TURN_SCENARIO, effects, dying)
    where = f"killed {moment} write {at}"
    assert run.status is RunStatus.COMPLETED, f"{where}: {run.problem}"
    assert run.output == TURN_SCENARIO.output, where
    assert effects.effects() == TURN_SCENARIO.effects, where
    assert repeated(model) == lost_an_answer(dying), where
    return dying


async def test_killed_between_a_few_writes(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    async with (
        servers() as (effects, model),
        open_rooms(write_project(tmp_path, TURN_SCENARIO, effects.address, model=model.address)) as rooms,
    ):
        whole = await kill(rooms, effects, model, NEVER, "before")
        assert not whole.crashed.is_set()
        assert whole.writes > 2 * CALLS
        for at in draw.sample(range(1, whole.writes), 8):
            dying = await kill(rooms, effects, model, at, draw.choice(MOMENTS))
            assert dying.crashed.is_set()


@pytest.mark.soak
async def test_killed_between_all_writes(tmp_path: Path) -> None:
    async with (
        servers() as (effects, model),
        open_rooms(write_project(tmp_path, TURN_SCENARIO, effects.address, model=model.address)) as rooms,
    ):
        at, answers_lost, killed = 1, 0, True
        while killed:
            for moment in MOMENTS:
                dying = await kill(rooms, effects, model, at, moment)
                answers_lost += lost_an_answer(dying)
                killed = dying.crashed.is_set()
            at += 1
        assert answers_lost == ANSWERS


async def play(folder: Path, effects: CountingServer) -> asyncio.subprocess.Process:
    module = "orchestrion.testing.killable"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, folder, TURN_SCENARIO.name, effects.address, stdout=-1, stderr=-1
    )


async def ending(process: asyncio.subprocess.Process) -> Mapping[str, Any]:
    async with asyncio.timeout(MOST_S):
        out, err = await process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)


Where = Literal["model", "tool"]


async def kill_process(folder: Path, where: Where, number: int, moment: Moment) -> None:
    """SIGKILL while the `number`-th request to the model or of a tool is under way, before or after it is answered."""
    async with servers() as (effects, model):
        write_project(folder, TURN_SCENARIO, effects.address, model=model.address)
        process = await play(folder, effects)

        def strike(count: int, at: Moment) -> None:
            if (count, at) == (number, moment) and process.returncode is None:
                os.kill(process.pid, signal.SIGKILL)

        watched = model if where == "model" else effects
        watched.watch = strike
        async with asyncio.timeout(MOST_S):
            await process.communicate()
        assert process.returncode == -signal.SIGKILL
        watched.watch = lambda _, __: None
        end = await ending(await play(folder, effects))
        assert (end["status"], end["output"]) == ("completed", TURN_SCENARIO.output), end
        assert effects.effects() == TURN_SCENARIO.effects
        match where, moment:
            case "model", "before":
                assert repeated(model) == 1
            case "model", "after":
                assert repeated(model) <= 1
            case _:
                assert repeated(model) == 0


def points(count: int) -> list[tuple[Where, int, Moment]]:
    draw = random.Random(SEED)
    every: list[tuple[Where, int, Moment]] = [
        *(("model", number, moment) for number in range(1, ANSWERS) for moment in MOMENTS),
        *(("tool", number, moment) for number in range(1, CALLS + 1) for moment in MOMENTS),
    ]
    return draw.sample(every, count)


@pytest.mark.parametrize(("where", "number", "moment"), points(2))
async def test_a_process_killed_at_a_few_points(where: Where, number: int, moment: Moment, tmp_path: Path) -> None:
    await kill_process(tmp_path, where, number, moment)


@pytest.mark.soak
@pytest.mark.parametrize(("where", "number", "moment"), points(24))
async def test_a_process_killed_at_many_points(where: Where, number: int, moment: Moment, tmp_path: Path) -> None:
    await kill_process(tmp_path, where, number, moment)
