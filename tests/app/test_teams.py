"""Teams: the same agents in four patterns, their approvals, bounds, and what the run shows of them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from orchestrion.app import App, conduct, open_rooms
from orchestrion.core import Answer, Json, Run, RunStatus, SystemClock
from orchestrion.journal import MemoryJournal
from orchestrion.testing import TEAM_SCENARIOS, CountingServer, Scenario, counting_server, write_project

pytestmark = pytest.mark.anyio

BY_PATTERN = {scenario.name.removeprefix("team-"): scenario for scenario in TEAM_SCENARIOS}


@asynccontextmanager
async def opened(
    folder: Path, server: CountingServer, scenario: Scenario, journal: MemoryJournal
) -> AsyncGenerator[App]:
    async with (
        open_rooms(write_project(folder, scenario, server.address)) as rooms,
        conduct(rooms, journal, clock=SystemClock()) as app,
    ):
        yield app


async def started(app: App, scenario: Scenario) -> Run:
    run = await app.start(app.checked.shelf.named(f"crash/{scenario.name}"), {}, start_key="the one run")
    return await app.engine.settle(run.id)


async def approved(app: App, run: Run) -> Run:
    for request in await app.journal.requests(run_id=run.id):
        if request.answer is None:
            await app.answer(request.id, Answer(verdict="approved", by="ana", at=SystemClock().now()))
    return await app.engine.settle(run.id)


async def result_of(folder: Path, scenario: Scenario) -> Mapping[str, Json]:
    with counting_server() as server:
        async with opened(folder, server, scenario, MemoryJournal(SystemClock())) as app:
            run = await approved(app, await started(app, scenario))
            assert run.status is RunStatus.COMPLETED, run.problem
            return cast("Mapping[str, Json]", run.output)
