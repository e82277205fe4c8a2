"""A process at work by the calendar, killed with SIGKILL: what fell into its absence is made up for, and nothing comes twice."""

from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from orchestrion.app import open_journal
from orchestrion.core import RunFilter, SystemClock
from orchestrion.project import Project
from orchestrion.testing import start_command

WORKFLOW = """
document: { dsl: '1.0.3', namespace: test, name: tick, version: '1.0.0', metadata: { schedule: { missed: all } } }
schedule: { every: { seconds: 1 } }
do:
  - keep: { set: { at: '${ .scheduledAt }' } }
"""


def work_until(folder: Path, firings: int) -> None:
    """Kill it as soon as it has said so often that it fired."""
    process = start_command("work", "--project", str(folder))
    try:
        said = 0
        for line in process.lines():
            said += "fired" in line
            if said >= firings:
                break
    finally:
        process.kill()
        process.communicate()


@pytest.mark.anyio
async def test_killed_again_and_again_each_second_is_fired_once(tmp_path: Path) -> None:
    (tmp_path / "orchestrion.yaml").write_text("name: ticking\n")
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "tick.yaml").write_text(WORKFLOW)
    for firings in (1, 2, 1):
        work_until(tmp_path, firings)
    async with open_journal(Project.load(tmp_path), mode="join", clock=SystemClock()) as journal:
        runs = await journal.runs(RunFilter(limit=1000))
    seconds = sorted(datetime.fromisoformat((run.start_key or "").split(":", 2)[2]).timestamp() for run in runs)
    assert len(seconds) >= 4
    assert {later - at for at, later in pairwise(seconds)} == {1.0}
