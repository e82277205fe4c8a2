"""The calendar of a workflow is that of the version which new runs get, in a process that goes on."""

from pathlib import Path

import pytest

from orchestrion.app import keep_working, open_app, planned_now, release, resolve, scheduled, scheduler_of
from orchestrion.core import UserError
from orchestrion.registry import PRODUCTION

pytestmark = pytest.mark.anyio

WORKFLOW = """
document: {{ dsl: '1.0.3', namespace: shop, name: digest, version: '1.0.0' }}
{schedule}
do: [{{ note: {{ set: {{ done: true }} }} }}]
"""


def write(folder: Path, schedule: str) -> None:
    (folder / "workflows").mkdir(exist_ok=True)
    (folder / "workflows" / "digest.yaml").write_text(WORKFLOW.format(schedule=schedule))


async def test_a_deployed_version_brings_its_calendar(tmp_path: Path) -> None:
    write(tmp_path, "schedule: { every: { hours: 2 } }")
    async with open_app(tmp_path) as app:
        await release(app, await resolve(app, "working", "digest"), PRODUCTION, by="ana", why="")
        scheduler = scheduler_of(app, lambda _: None)
        far = await scheduler.tend()
        assert far is not None
        assert far % 7200 == 0
        write(tmp_path, "schedule: { every: { minutes: 1 } }")
        assert [each.schedule.words for each in await planned_now(app)] == ["Every 2 hours"], "only a deployment counts"
        await release(app, await keep_working(app, "digest", "ana"), PRODUCTION, by="ana", why="")
        near = await scheduler.tend()
        assert near is not None
        assert near - app.clock.now() < 61
        write(tmp_path, "")
        await release(app, await keep_working(app, "digest", "ana"), PRODUCTION, by="ana", why="")
        assert await scheduler.tend() is None
        with pytest.raises(UserError, match="no schedule by the calendar"):
            await scheduled(app, "digest")
