"""The work that every program here does alike, and the figures it hands to `make bench NAME=peers`.

A workflow has ten steps, one after another; a step calls `effect` and its result must be recorded before the next one begins.
A program reads commands from standard input, one line of JSON each, and answers on standard output. It needs only the standard
library, for it runs in the environment of each peer. When standard input closes, the program ends.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

STEPS = 10
PAYLOAD = {"text": "x" * 186}
RAMP_S = 1.0
"""How long the load runs before the window opens."""
LEAST_RUNS = 5
WARM_RUNS = 2
"""Left out of the latencies."""

Settings = Mapping[str, Any]  # of one peer, as JSON; each program knows its own
RunOne = Callable[[str, Settings], Awaitable[None]]
"""Runs one workflow of that name, from its start until its end is recorded."""


@dataclass(slots=True)
class Performed:
    """The steps that this process performed, and when, as long as somebody wants to know."""

    steps: int = 0
    moments: list[float] = field(default_factory=list[float])
    timed: bool = False


performed = Performed()


def effect(number: int) -> dict[str, str]:
    """What a step does: as good as nothing, so that the recording is what costs."""
    del number
    performed.steps += 1
    if performed.timed:
        performed.moments.append(time.perf_counter())
    return PAYLOAD


def say(what: Mapping[str, Any]) -> None:
    """One line for whoever started this program."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def place() -> Settings:
    """Where this program works: its folder, its database, what the first copy of it said."""
    return json.loads(sys.argv[1])


async def answer(run_one: RunOne, ready: Settings) -> None:
    """Say that the program is ready, then do what is asked until standard input closes."""
    say({"ready": ready})
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        settings = command.get("settings", {})
        if command["do"] == "alone":
            say(await _alone(run_one, settings, command["seconds"]))
        else:
            say(await _together(run_one, settings, command["concurrency"], command["seconds"]))


async def _alone(run_one: RunOne, settings: Settings, seconds: float) -> dict[str, Any]:
    """One workflow at a time. A step lasts from its own call to the next step's, the last one to the end of the workflow."""
    steps: list[float] = []
    runs: list[float] = []
    performed.timed = True
    until = time.perf_counter() + seconds
    while len(runs) < LEAST_RUNS or time.perf_counter() < until:
        performed.moments.clear()
        began = time.perf_counter()
        await run_one(f"alone-{place()['name']}-{began}", settings)
        ended = time.perf_counter()
        steps += [later - earlier for earlier, later in pairwise([*performed.moments, ended])]
        runs.append(ended - began)
    performed.timed = False
    return {"steps_s": steps[STEPS * WARM_RUNS :], "runs_s": runs[WARM_RUNS:]}


async def _together(run_one: RunOne, settings: Settings, concurrency: int, seconds: float) -> dict[str, Any]:
    """That many workflows at any time; the steps that fall into a window of so many seconds are counted."""
    ended = 0
    closing = asyncio.Event()
    before = performed.steps

    async def lane(number: int) -> None:
        nonlocal ended
        turn = 0
        while not closing.is_set():
            turn += 1
            await run_one(f"{place()['name']}-{began}-{number}-{turn}", settings)
            ended += 1

    began = time.perf_counter()
    lanes = asyncio.gather(*(lane(number) for number in range(concurrency)))
    await _unless_failed(lanes, RAMP_S)
    say({"window": "open"})
    opened, first = time.perf_counter(), performed.steps
    await _unless_failed(lanes, seconds)
    steps, took = performed.steps - first, time.perf_counter() - opened
    say({"window": "closed"})
    closing.set()
    await lanes
    return {"steps": steps, "seconds": took, "runs": ended, "performed": performed.steps - before}


async def _unless_failed(lanes: "asyncio.Future[Any]", seconds: float) -> None:
    done, _ = await asyncio.wait([lanes], timeout=seconds)
    if done:
        lanes.result()
