"""A process at work on a folder, killed with SIGKILL again and again: every file is taken in once, and put away."""

from pathlib import Path

import pytest

from orchestrion.app import open_journal
from orchestrion.core import EventQuery, RunFilter, SystemClock
from orchestrion.project import Project
from orchestrion.testing import start_command

pytestmark = pytest.mark.anyio

WORKFLOW = """
document: { dsl: '1.0.3', namespace: test, name: take, version: '1.0.0' }
schedule: { on: { one: { with: { type: orchestrion.file.arrived } } } }
do:
  - refuse:
      if: ${ .[0].name | startswith("bad") }
      raise: { error: { type: https://example.com/no, status: 409, title: Not this one } }
  - take: { set: { name: '${ $workflow.input[0].name }' } }
"""


def project(folder: Path, files: int) -> Path:
    (folder / "orchestrion.yaml").write_text("folders: { inbox: { path: inbox, pattern: '*.csv', settle: 0.1 } }\n")
    (folder / "workflows").mkdir()
    (folder / "workflows" / "take.yaml").write_text(WORKFLOW)
    (folder / "inbox").mkdir()
    for i in range(files):
        name = f"{'bad' if i % 5 == 0 else 'good'}-{i:03}.csv"
        (folder / "inbox" / name).write_text(f"row {i}\n")
    return folder


def left(folder: Path) -> int:
    return len(list((folder / "inbox").glob("*.csv")))


def work_until_killed(folder: Path, lines: int) -> None:
    """Kill it when it has said so many things, or when nothing is left to do."""
    process = start_command("work", "--project", str(folder))
    try:
        for number, _ in enumerate(process.lines(), 1):
            if number >= lines or not left(folder):
                break
    finally:
        process.kill()
        process.communicate()


async def killed(folder: Path, files: int, kills: list[int]) -> None:
    project(folder, files)
    for lines in kills:
        work_until_killed(folder, lines)
    while left(folder):
        work_until_killed(folder, 10_000)
    done = sorted(path.name for path in (folder / "inbox" / "done").iterdir())
    bad = sorted(path.name for path in (folder / "inbox" / "bad").iterdir() if path.suffix == ".csv")
    assert len(done) == files - len(bad)
    assert sorted(name.partition("-")[2] for name in done + bad) == [f"{i:03}.csv" for i in range(files)]
    async with open_journal(Project.load(folder), mode="join", clock=SystemClock()) as journal:
        runs = await journal.runs(RunFilter(limit=10 * files))
        events = await journal.events(EventQuery(limit=10 * files))
    assert len(events) == files
    assert len(runs) == files


async def test_killed_while_files_are_taken_in_and_put_away(tmp_path: Path) -> None:
    await killed(tmp_path, 40, [9, 31])


@pytest.mark.soak
@pytest.mark.parametrize("step", range(6))
async def test_killed_at_many_moments(step: int, tmp_path: Path) -> None:
    await killed(tmp_path, 100, [3 + 17 * step * i for i in range(1, 9)])
