"""`orchestrion work`: advance whatever can be advanced and start what the calendar says, or stand by for the process that does."""

import asyncio
from pathlib import Path
from typing import Protocol

from orchestrion.app import (
    App,
    PutAway,
    keep_retaining,
    open_app,
    planned_now,
    retention_of,
    scheduler_of,
    watches_of,
)
from orchestrion.core import Fenced, OrchestrionError, Run, RunFilter, RunStatus, UserError
from orchestrion.engine import Fired, upcoming

from ._phrases import lasting
from ._schedules import when
from ._terminal import SYMBOLS, err, execute

POLL_S = 0.5
REMEMBERED = 10_000


def work(project: Path) -> None:
    async def go() -> int:
        while True:
            try:
                async with open_app(project, stand_by=_say) as app:
                    return await _work(app)
            except OrchestrionError as error:
                if not isinstance(error, Fenced) and error.code != "no-longer-leading":
                    raise
                err.print("Another process advances the runs now.")

    execute(go, as_json=False)


async def _work(app: App) -> int:
    open_runs = sum((await app.journal.count(ended=False)).values())
    err.print(f"{open_runs:,} runs are open. Ctrl-C pauses.")
    await _announce(app)
    working = Working(app, Spoken())
    await working.go()
    faulted = await app.journal.runs(RunFilter(status=[RunStatus.FAULTED], limit=1))
    return 1 if faulted and faulted[0].id in working.ended else 0


async def _announce(app: App) -> None:
    """When the next firing is."""
    planned = await planned_now(app)
    states = {state.workflow: state for state in await app.journal.schedules()}
    now = app.clock.now()
    first = min(
        (
            (at, each)
            for each in planned
            if (state := states.get(each.workflow)) is None or state.paused_by is None
            for at in upcoming(each.schedule, state, now, 1)
        ),
        key=lambda found: found[0],
        default=None,
    )
    if first is not None:
        at, each = first
        err.print(f"{each.workflow} is next by the calendar, in {lasting(max(0.0, at - now))}: ", end="")
        err.print(f"{when(at, each.schedule.timezone)} {each.schedule.timezone}")


class Voice(Protocol):
    """Tells what a process at work does."""

    def fired(self, fired: Fired) -> None: ...

    def moved(self, away: PutAway) -> None:
        """A file of a watched folder that is settled."""
        ...

    def rests(self, run: Run) -> None:
        """A run came to rest, or to its end."""
        ...


class Spoken:
    """To people, on a terminal."""

    def fired(self, fired: Fired) -> None:
        if fired.left_out:
            err.print(
                f"{fired.planned.workflow} missed firings that are left out (missed: {fired.planned.schedule.missed})"
            )
        for run in fired.runs:
            err.print(f"[cyan]⏱ fired[/]  {fired.planned.workflow}  [dim]{run.id}[/]")

    def moved(self, away: PutAway) -> None:
        err.print(f"{'[green]✓ done[/]' if away.reason is None else '[red]✗ set aside[/]'}  ", end="")
        err.print(f"{away.folder}/{away.file.name}", markup=False)
        if away.reason is not None:
            err.print(f"  {away.reason}", markup=False)

    def rests(self, run: Run) -> None:
        err.print(f"{SYMBOLS[run.status]}  {run.namespace}/{run.workflow}  [dim]{run.id}[/]")


class Working:
    """One process at work: it advances runs, starts what the calendar says, watches folders, and forgets what is old."""

    def __init__(self, app: App, voice: Voice) -> None:
        self._app = app
        self._voice = voice
        self.ended: dict[str, None] = {}
        """Runs of which the end has been told, the latest."""
        self._following: set[asyncio.Task[None]] = set()

    async def go(self) -> None:
        """Until cancelled. Raises: OrchestrionError when the engine cannot go on."""
        scheduler = scheduler_of(self._app, self._fired)
        watches = watches_of(self._app, self._voice.moved)
        retaining = keep_retaining(self._app.journal, retention_of(self._app.project))
        work = [self._advance(), scheduler.run(), retaining, *(watch.run() for watch in watches)]
        jobs = [asyncio.ensure_future(each) for each in work]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                job.result()
        finally:
            for job in [*jobs, *self._following]:
                job.cancel()
            await asyncio.gather(*jobs, *self._following, return_exceptions=True)

    async def _advance(self) -> None:
        async for run in self._app.engine.follow(POLL_S):
            self._tell(run)

    def _fired(self, fired: Fired) -> None:
        self._voice.fired(fired)
        for run in fired.runs:
            following = asyncio.ensure_future(self._follow(run))
            self._following.add(following)
            following.add_done_callback(self._following.discard)

    async def _follow(self, run: Run) -> None:
        self._tell(await self._app.engine.settle(run.id))

    def _tell(self, run: Run) -> None:
        """Each run as it comes to rest; its end once, however many looked on."""
        if run.id in self.ended:
            return
        if run.status.ended:
            self.ended[run.id] = None
            if len(self.ended) > REMEMBERED:
                del self.ended[next(iter(self.ended))]
        self._voice.rests(run)


def _say(reason: UserError) -> None:
    err.print(f"{reason.message} This one stands by.", markup=False, soft_wrap=True)
