"""Watched folders with real files: each file one event, moved when done, set aside when bad, whenever the process dies."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from orchestrion.app import FolderWatch, PutAway, Watched
from orchestrion.core import EventQuery, Route, Run, RunFilter, RunStatus, SetRun, Start
from orchestrion.journal import MemoryJournal
from orchestrion.testing import new_run
from orchestrion.testing.journal_suite import HandClock

pytestmark = pytest.mark.anyio

CONTENT = "a;b\n"


@dataclass(slots=True, kw_only=True)
class Desk:
    """A watched folder, a journal, and a process that can be replaced."""

    folder: Path
    clock: HandClock = field(default_factory=HandClock)
    moved: list[PutAway] = field(default_factory=list[PutAway])
    journal: MemoryJournal = field(init=False)
    watch: FolderWatch = field(init=False)

    def __post_init__(self) -> None:
        self.journal = MemoryJournal(self.clock)
        self.restart()

    def restart(self) -> None:
        """The process dies, and another one begins with nothing in memory."""
        watched = Watched(
            name="inbox",
            path=self.folder,
            pattern="*.csv",
            done=self.folder / "done",
            bad=self.folder / "bad",
            settle_s=2.0,
        )
        self.watch = FolderWatch(
            watched,
            journal=self.journal,
            receive=self.journal.receive,
            clock=self.clock,
            on_moved=self.moved.append,
        )

    def drop(self, name: str, content: str = CONTENT) -> Path:
        path = self.folder / name
        path.write_text(content)
        return path

    async def settle(self) -> None:
        """Look until what lies there unchanged has been taken in, and what is settled is put away."""
        for _ in range(3):
            await self.watch.look()
            self.clock.pass_s(2.0)

    async def route(self, *, wanted: bool = True) -> list[Run]:
        """Decide about what was received: a run for each event, or none."""
        runs: list[Run] = []
        for event in await self.journal.unrouted(100):
            run = replace(new_run(f"run-{event.seq}", clock=self.clock), start_key=event.id)
            starts = [Start(run=run, seqs=[event.seq])] if wanted else []
            await self.journal.deliver([Route(event=event, starts=starts)])
            runs += [run] if wanted else []
        return runs

    async def end(self, run: Run, status: RunStatus = RunStatus.COMPLETED) -> None:
        history = await self.journal.claim(run.id)
        assert history is not None
        problem = {"title": "No such customer"} if status is RunStatus.FAULTED else None
        change = SetRun(status=status, problem=problem, ended_at=self.clock.now())
        await self.journal.write(run.id, history.run.epoch, [change])

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    async def event_ids(self) -> list[str]:
        return [event.id for event in await self.journal.events(EventQuery())]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return Desk(folder=folder)


async def test_a_file_is_an_event_and_done_when_its_runs_are(desk: Desk) -> None:
    desk.drop("orders.csv")
    await desk.settle()
    [event] = await desk.journal.events(EventQuery())
    assert (event.source, event.type, event.body["subject"]) == (
        "/folders/inbox",
        "orchestrion.file.arrived",
        "orders.csv",
    )
    assert event.body["data"] == {
        "folder": "inbox",
        "name": "orders.csv",
        "path": str(desk.folder / "orders.csv"),
        "size": 4,
        "digest": f"sha256:{hashlib.sha256(CONTENT.encode()).hexdigest()}",
    }
    assert event.labels == {"": ["untrusted"]}
    [run] = await desk.route()
    await desk.settle()
    assert desk.files() == ["orders.csv"]
    await desk.end(run)
    await desk.settle()
    assert desk.files() == ["done/orders.csv"]
    assert desk.moved == [PutAway(folder="inbox", file=desk.folder / "done" / "orders.csv")]


async def test_a_file_that_grows_is_left_alone(desk: Desk) -> None:
    path = desk.drop("orders.csv", "a")
    for size in range(2, 6):
        await desk.watch.look()
        desk.clock.pass_s(1.9)
        path.write_text("a" * size)
    await desk.watch.look()
    assert await desk.event_ids() == []
    await desk.settle()
    assert len(await desk.event_ids()) == 1


async def test_only_whole_files_that_match_are_taken(desk: Desk) -> None:
    for name in ("notes.txt", ".hidden.csv"):
        desk.drop(name)
    (desk.folder / "folder.csv").mkdir()
    (desk.folder / "link.csv").symlink_to("/etc/hostname")
    await desk.settle()
    assert await desk.event_ids() == []


@pytest.mark.parametrize(
    ("status", "why"), [(RunStatus.FAULTED, "No such customer"), (RunStatus.CANCELLED, "cancelled")]
)
async def test_a_file_whose_run_fails_is_set_aside_with_the_reason(desk: Desk, status: RunStatus, why: str) -> None:
    desk.drop("orders.csv")
    await desk.settle()
    [run] = await desk.route()
    await desk.end(run, status)
    await desk.settle()
    assert desk.files() == ["bad/orders.csv", "bad/orders.csv.reason.txt"]
    reason = (desk.folder / "bad" / "orders.csv.reason.txt").read_text()
    assert why in reason
    assert run.id in reason


async def test_a_file_that_nobody_wants_is_set_aside(desk: Desk) -> None:
    desk.drop("orders.csv")
    await desk.settle()
    await desk.route(wanted=False)
    await desk.settle()
    assert "No workflow wants it" in (desk.folder / "bad" / "orders.csv.reason.txt").read_text()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_cannot_be_read_is_set_aside(desk: Desk) -> None:
    desk.drop("orders.csv").chmod(0)
    await desk.settle()
    assert "It cannot be read: Permission denied" in (desk.folder / "bad" / "orders.csv.reason.txt").read_text()


async def test_a_name_that_is_no_text_is_set_aside(desk: Desk) -> None:
    try:
        desk.drop(os.fsdecode(b"\xff.csv"))
    except OSError:
        pytest.skip("this file system only takes names that are text")
    await desk.settle()
    [moved] = desk.moved
    assert "cannot become an event" in (moved.reason or "")
    assert not list(desk.folder.glob("*.csv"))


async def test_put_back_it_is_tried_again(desk: Desk) -> None:
    desk.drop("orders.csv")
    for _ in range(3):
        await desk.settle()
        [run] = await desk.route()
        await desk.end(run, RunStatus.FAULTED)
        await desk.settle()
        assert desk.files() == ["bad/orders.csv", "bad/orders.csv.reason.txt"]
        (desk.folder / "bad" / "orders.csv").rename(desk.folder / "orders.csv")
    await desk.settle()
    [run] = await desk.route()
    await desk.end(run)
    await desk.settle()
    assert desk.files() == ["done/orders.csv"]
    assert len(await desk.journal.runs(RunFilter())) == 4


async def test_the_same_file_again_is_nothing_new_and_another_of_its_name_is(desk: Desk) -> None:
    for content in ("a\n", "a\n", "b\n"):
        desk.drop("orders.csv", content)
        await desk.settle()
        for run in await desk.route():
            await desk.end(run)
        await desk.settle()
    assert len(await desk.event_ids()) == 2
    other = next(name for name in desk.files() if name != "done/orders.csv")
    assert other.startswith("done/orders-")
    assert len(desk.files()) == 2


async def test_a_file_replaced_while_its_run_goes_on_is_another_event(desk: Desk) -> None:
    desk.drop("orders.csv", "old\n")
    await desk.settle()
    [run] = await desk.route()
    desk.drop("orders.csv", "new!\n")
    await desk.end(run)
    await desk.settle()
    [second] = await desk.route()
    assert desk.files() == ["orders.csv"]
    await desk.end(second)
    await desk.settle()
    assert desk.files() == ["done/orders.csv"]
    assert (desk.folder / "done" / "orders.csv").read_text() == "new!\n"


async def test_a_folder_that_is_away_is_waited_for(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    away = desk.folder.with_name("away")
    desk.folder.rename(away)
    await desk.settle()
    assert [record.getMessage() for record in caplog.records] == [
        f"Folder inbox: No such file or directory: {desk.folder}"
    ]
    away.rename(desk.folder)
    desk.drop("orders.csv")
    await desk.settle()
    assert len(await desk.event_ids()) == 1


async def test_restarted_between_any_two_steps_it_takes_each_file_once(desk: Desk) -> None:
    desk.drop("good.csv", "good\n")
    desk.drop("bad.csv", "bad\n")
    for _ in range(3):
        await desk.settle()
        desk.restart()
    good, bad = sorted(await desk.route(), key=lambda run: "bad.csv" in (run.start_key or ""))
    desk.restart()
    await desk.settle()
    await desk.end(good)
    await desk.end(bad, RunStatus.FAULTED)
    desk.restart()
    await desk.settle()
    assert desk.files() == ["bad/bad.csv", "bad/bad.csv.reason.txt", "done/good.csv"]
    assert len(await desk.journal.runs(RunFilter())) == 2


def half_reason(desk: Desk) -> None:
    """Died when the reason was written, and the file not yet moved."""
    (desk.folder / "bad").mkdir()
    (desk.folder / "bad" / ".orders.csv.reason.txt.part").write_text("half")


def moved_and_not_told(desk: Desk) -> None:
    """Died when the file was moved, and the reason not yet shown."""
    half_reason(desk)
    (desk.folder / "orders.csv").rename(desk.folder / "bad" / "orders.csv")


def copied_and_not_removed(desk: Desk) -> None:
    """Died on another file system, between the copy and the removal."""
    (desk.folder / "bad").mkdir()
    (desk.folder / "bad" / "orders.csv").write_bytes((desk.folder / "orders.csv").read_bytes())


@pytest.mark.parametrize("died", [half_reason, moved_and_not_told, copied_and_not_removed])
async def test_a_move_that_was_begun_is_finished(desk: Desk, died: Callable[[Desk], None]) -> None:
    desk.drop("orders.csv")
    await desk.settle()
    [run] = await desk.route()
    await desk.end(run, RunStatus.FAULTED)
    died(desk)
    desk.restart()
    await desk.settle()
    assert desk.files() == ["bad/orders.csv", "bad/orders.csv.reason.txt"]
    assert len(await desk.event_ids()) == 1
