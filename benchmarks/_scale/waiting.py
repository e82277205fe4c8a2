"""Runs that wait - for people, for a distant time, for their children: memory, and the time from an answer to the run's end.

`waiting.py grow FOLDER COUNT` starts them and stays until all are asleep; `waiting.py wake FOLDER` is a new process that finds them.
"""

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

from measuring import make_project, peak_mb, percentiles_ms, rss_mb, say

from orchestrion.app import App, open_app, open_journal
from orchestrion.core import (
    Answer,
    Datum,
    Json,
    Request,
    RequestStatus,
    RunFilter,
    RunStatus,
    SystemClock,
    TransientError,
)

ASK = "do:\n  - ask: { call: 'human:1.0.0@default', with: { role: lead, title: Go on?, form: { type: object } } }\n"
NAP = "do:\n  - nap: { wait: { days: 30 } }\n"
SOON = "do:\n  - nap: { wait: { seconds: 3 } }\n"
PARENT = "do:\n  - inner: { run: { workflow: { namespace: scale, name: ask, version: '1.0.0', input: {} } } }\n"
SAMPLE = 100


async def grow(folder: Path, count: int) -> None:
    """A third ask a person, a third sleep for a month, and a third are children and the parents that wait for them."""
    make_project(folder, ask=ASK, nap=NAP, soon=SOON, parent=PARENT)
    names = ["ask"] * (count // 3) + ["nap"] * (count // 3) + ["parent"] * (count // 6)
    random.Random(1).shuffle(names)
    async with open_app(folder) as app:
        empty = rss_mb()
        began = time.perf_counter()
        for name in names:
            await _start(app, name)
        wanted = len(names) + count // 6
        await _until_waiting(app, wanted)
        seconds = time.perf_counter() - began
        asleep = rss_mb()
        answered = await _answers(app, app.engine.answer)
        timers = await _timers(app)
    say(
        {
            "runs": wanted,
            "asleep_per_s": round(wanted / seconds),
            "rss_empty_mb": empty,
            "rss_asleep_mb": asleep,
            "rss_peak_mb": peak_mb(),
            "answered_here": answered,
            "timer": timers,
        }
    )


async def _until_waiting(app: App, wanted: int) -> None:
    waiting = 0
    while waiting < wanted:
        await asyncio.sleep(0.5)
        waiting = (await app.journal.count(ended=False)).get(RunStatus.WAITING, 0)


async def _start(app: App, name: str) -> str:
    while True:
        try:
            return (await app.start(app.checked.shelf.named(name), {})).id
        except TransientError:
            await asyncio.sleep(0.05)


async def _answers(app: App, answer: Callable[[str, Answer], Awaitable[Request]]) -> Json:
    """From sending an answer to the end of the run, one after the other."""
    took: list[float] = []
    for run in await app.journal.runs(RunFilter(status=[RunStatus.WAITING], workflow="ask", limit=SAMPLE)):
        (request,) = await app.journal.requests(run_id=run.id, status=RequestStatus.OPEN)
        at = time.time()
        await answer(request.id, Answer(verdict="answered", by="ana", at=at, value=Datum({})))
        took.append(await _ended_at(app, run.id) - at)
    return cast("Json", percentiles_ms(took))


async def _ended_at(app: App, run_id: str) -> float:
    while True:
        run = await app.journal.run(run_id)
        if run is not None and run.ended_at is not None:
            return run.ended_at
        await asyncio.sleep(0.01)


async def _timers(app: App) -> Json:
    """From the moment when a timer is due to the end of its run."""
    late: list[float] = []
    for run_id in [await _start(app, "soon") for _ in range(SAMPLE)]:
        ended = await _ended_at(app, run_id)
        (nap,) = [entry for entry in await app.journal.entries(run_id) if entry.key.endswith("nap#1")]
        late.append(ended - cast("dict[str, float]", nap.output)["until"])
    return cast("Json", percentiles_ms(late))


async def wake(folder: Path) -> None:
    """What `orchestrion work` is: an owner that follows, and another process that answers."""
    began = time.perf_counter()
    async with open_app(folder) as app:
        opened = time.perf_counter() - began
        following = asyncio.ensure_future(_follow(app))
        try:
            async with open_journal(app.project, mode="join", clock=SystemClock()) as beside:
                await asyncio.sleep(1)
                idle, began_cpu = time.perf_counter(), time.process_time()
                await asyncio.sleep(3)
                cpu = (time.process_time() - began_cpu) / (time.perf_counter() - idle)
                resting = rss_mb()
                answered = await _answers(app, beside.answer)
                timers = await _timers(app)
        finally:
            following.cancel()
    say(
        {
            "open_s": round(opened, 3),
            "idle_cpu_percent": round(cpu * 100, 2),
            "rss_mb": resting,
            "answered_by_another_process": answered,
            "timer": timers,
        }
    )


async def _follow(app: App) -> None:
    async for _ in app.engine.follow(0.5):
        pass


if sys.argv[1] == "grow":
    asyncio.run(grow(Path(sys.argv[2]), int(sys.argv[3])))
else:
    asyncio.run(wake(Path(sys.argv[2])))
