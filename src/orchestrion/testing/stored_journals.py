"""Journals of real runs, kept for later releases to walk: python -m orchestrion.testing.stored_journals FOLDER records them.

A stored journal holds everything that changed the journal during one run, in order. So each state the run was ever in can be
made again and walked by the present release, which must come to the recorded end, and perform nothing that had been done.
"""

import asyncio
import json
import sys
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import anyio

from orchestrion import __version__
from orchestrion.app import App, Rooms, conduct, open_rooms
from orchestrion.core import (
    Answer,
    Catalog,
    Cost,
    Datum,
    Declaration,
    Entry,
    EntryKind,
    EntryStatus,
    Faulted,
    Function,
    Invocation,
    Journal,
    Json,
    Leaf,
    LeafContext,
    Nature,
    Outcome,
    Problem,
    Put,
    Request,
    RequestStatus,
    Run,
    RunStatus,
    SetRun,
    SystemClock,
    event_of,
    is_composite,
    labels_from,
)
from orchestrion.interpreter import SEMANTICS
from orchestrion.journal import MemoryJournal

from ._counting_server import CountingServer, counting_server
from ._crash import CrashingJournal
from ._recording import Change, RecordingJournal, from_json, make_again, writes_of
from ._stored_project import STORED, Told, project_files

PATIENCE_S = 60.0
PROJECT = "project.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJournal:
    """One run of one release."""

    name: str
    release: str
    semantics: int
    root: str
    files: Mapping[str, str]
    """The project it ran in."""
    changes: Sequence[Change]
    end: Mapping[str, Json]
    """Status, output and problem of the run."""

    @staticmethod
    def load(path: Path) -> "StoredJournal":
        """One of `save`'s files."""
        files = json.loads(path.with_name(PROJECT).read_text(encoding="utf-8"))
        return StoredJournal(files=files, **json.loads(path.read_text(encoding="utf-8")))

    def save(self, folder: Path) -> Path:
        """One change a line, so that differences can be read; the project beside it, for all journals of the folder."""
        head = {name: getattr(self, name) for name in ("name", "release", "semantics", "root", "end")}
        changes = ",\n".join(json.dumps(change, ensure_ascii=False) for change in self.changes)
        text = json.dumps(head, ensure_ascii=False, indent=1)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(f'{text[:-2]},\n "changes": [\n{changes}\n]}}\n', encoding="utf-8")
        project = json.dumps(self.files, ensure_ascii=False, indent=1)
        path.with_name(PROJECT).write_text(project + "\n", encoding="utf-8")
        return path

    @property
    def first(self) -> int:
        """The number of changes after which there is a run."""
        return 1 + next(at for at, change in enumerate(self.changes) if change["change"] == "start")

    @property
    def last(self) -> int:
        """The number of changes before the run's own end was written."""
        return max(
            at
            for at, change in enumerate(self.changes)
            if change["change"] == "write"
            and cast("Sequence[Json]", change["args"])[0] == self.root
            and any(isinstance(w, SetRun) and w.status is not None and w.status.ended for w in writes_of(change))
        )


# --- walking again ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What the present release made of a stored journal."""

    run: Run
    performed: Sequence[str]
    """Keys of the calls that were made."""
    entries: Mapping[str, tuple[str, str, Json]]
    """Key → kind, status and output, of every entry of the run."""


@asynccontextmanager
async def opened(files: Mapping[str, str]) -> AsyncGenerator[Rooms]:
    """The project of stored journals, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), files)
        async with open_rooms(Path(folder)) as rooms:
            rooms.checked.require_sound()
            yield rooms


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


async def walk_again(stored: StoredJournal, rooms: Rooms, *, after: int) -> Walked:
    """Make the state after so many changes again, and go on from it with the present release.

    Functions answer as they did, people say what they said; whatever nobody recorded hangs.
    """
    clock = ReplayClock()
    journal = cast("Journal", MemoryJournal(clock))
    for change in stored.changes[:after]:
        clock.set(cast("float", change["at"]))
        await make_again(journal, change)
    catalog = Playback(rooms.catalog, stored, after)
    async with conduct(replace(rooms, catalog=catalog), journal, clock=clock) as app:
        run = await asyncio.wait_for(_go_on(app, stored, after), PATIENCE_S)
    return Walked(run=run, performed=catalog.performed, entries=_essence(await journal.entries(stored.root)))


async def recorded_entries(stored: StoredJournal) -> Mapping[str, tuple[str, str, Json]]:
    """The entries of the run as they were in the end."""
    clock = ReplayClock()
    journal = cast("Journal", MemoryJournal(clock))
    for change in stored.changes:
        clock.set(cast("float", change["at"]))
        await make_again(journal, change)
    return _essence(await journal.entries(stored.root))


def _essence(entries: Iterable[Entry]) -> Mapping[str, tuple[str, str, Json]]:
    """How far a listener has looked, and where recovery may start, is a release's own affair."""
    return {
        entry.key: (entry.kind.value, entry.status.value, None if entry.kind is EntryKind.LISTEN else entry.output)
        for entry in entries
        if entry.kind is not EntryKind.SCOPE
    }


async def _go_on(app: App, stored: StoredJournal, after: int) -> Run:
    """Play on until the run ends, with people doing what they did."""
    later = stored.changes[after:]
    deeds = deque(change for change in later if change["change"] in {"cancel", "retry", "receive"})
    said = {
        cast("str", args[0]): cast("Answer", args[1])
        for change in stored.changes
        if change["change"] == "answer" and (args := cast("Sequence[Any]", from_json(change["args"])))
    }
    for run_id in await app.journal.runnable(app.clock.now(), 100):
        run = await app.journal.run(run_id)
        if run is not None:
            app.engine.advance(run)
    while True:
        await app.engine.routed()
        run = await app.engine.settle(stored.root, events=True)
        answered = await _answer(app, said)
        if not answered and deeds and (run.status is RunStatus.FAULTED or not run.status.ended):
            deed = deeds.popleft()
            await _do(app, deed)
        elif not answered:
            return run


async def _do(app: App, deed: Change) -> None:
    first, *_ = cast("Sequence[Any]", from_json(deed["args"]))
    match deed["change"]:
        case "cancel":
            await app.engine.cancel(first, "ana")
        case "retry":
            await app.engine.retry(first, "ana")
        case _:
            await app.engine.receive(first)


async def _answer(app: App, said: Mapping[str, Answer]) -> bool:
    found = False
    for request in await app.journal.requests(status=RequestStatus.OPEN):
        if request.id in said:
            await app.engine.answer(request.id, replace(said[request.id], binding=None))
            found = True
    return found


class ReplayClock:
    """Time as it was when the journal was recorded, going on from there."""

    def __init__(self) -> None:
        self._machine = SystemClock()
        self.set(0.0)

    def set(self, at: float) -> None:
        self._ahead = at - self._machine.monotonic()

    def now(self) -> float:
        return self._machine.monotonic() + self._ahead

    def monotonic(self) -> float:
        return self._machine.monotonic()


class Playback:
    """A catalog whose leaf functions answer from the record. Composites are the real ones."""

    def __init__(self, inner: Catalog, stored: StoredJournal, after: int) -> None:
        self._inner = inner
        self.performed: list[str] = []
        self.outcomes: dict[tuple[str, str], deque[Entry]] = {}
        for change in stored.changes[after:]:
            for write in writes_of(change):
                if isinstance(write, Put) and write.entry.kind is EntryKind.LEAF and _answers(write.entry):
                    run_id = cast("str", cast("Sequence[Json]", change["args"])[0])
                    self.outcomes.setdefault((run_id, write.entry.key), deque()).append(write.entry)

    def resolve(self, name: str) -> Function:
        function = self._inner.resolve(name)
        return function if is_composite(function) else Recorded(cast("Leaf", function), self)

    def declarations(self) -> Iterable[Declaration]:
        return self._inner.declarations()


def _answers(entry: Entry) -> bool:
    return entry.status in {EntryStatus.COMPLETED, EntryStatus.FAILED}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A leaf function that says what it said."""

    inner: Leaf
    playback: Playback

    @property
    def declaration(self) -> Declaration:
        return self.inner.declaration

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return self.inner.nature(arguments)

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        self.playback.performed.append(invocation.key)
        outcomes = self.playback.outcomes.get((context.run_id, invocation.key))
        if not outcomes:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")
        entry = outcomes.popleft()
        if entry.status is EntryStatus.FAILED:
            raise Faulted(Problem.model_validate(entry.problem))
        return Outcome(
            output=Datum(entry.output, labels_from(cast("Json", entry.labels))),
            cost=Cost(**cast("Mapping[str, int]", entry.cost)) if entry.cost else None,
            model=entry.model,
            why=entry.why,
        )


# --- recording ---


async def record(rooms: Rooms, told: Told, server: CountingServer, files: Mapping[str, str]) -> StoredJournal:
    """Run a workflow for real, and keep everything that changed the journal."""
    server.forget()
    clock = SystemClock()
    recording = RecordingJournal(cast("Journal", MemoryJournal(clock)), clock)
    if told.killed_at is not None:
        dying = CrashingJournal(recording.journal, at=told.killed_at)
        async with conduct(rooms, dying.journal, clock=clock) as app:
            await _start(app, told)
            await asyncio.wait_for(dying.crashed.wait(), PATIENCE_S)
            await dying.bury(app.engine)
    async with conduct(rooms, recording.journal, clock=clock) as app:
        run = await asyncio.wait_for(_play(app, told), PATIENCE_S)
    return StoredJournal(
        name=told.name,
        release=__version__,
        semantics=SEMANTICS,
        root=run.id,
        files=files,
        changes=recording.changes,
        end={"status": run.status.value, "output": run.output, "problem": run.problem},
    )


async def _start(app: App, told: Told) -> Run:
    return await app.start(app.checked.shelf.named(f"stored/{told.name}"), {}, start_key=told.name)


async def _play(app: App, told: Told) -> Run:
    run, events = await _start(app, told), deque(told.events)
    while True:
        await app.engine.routed()
        run = await app.engine.settle(run.id, events=True)
        if run.status is RunStatus.FAULTED and told.retry:
            await app.engine.retry(run.id, "ana")
            continue
        if run.status.ended:
            return run
        if told.cancel:
            await app.engine.cancel(run.id, "ana")
            continue
        if events:
            kind, content = events.popleft()
            sent: Json = {"source": "/people", "id": f"event {len(events)}", "type": kind, "data": content}
            await app.engine.receive(event_of(sent, now=app.clock.now()))
            continue
        for request in await app.journal.requests(status=RequestStatus.OPEN):
            await app.engine.answer(request.id, _said(request, told, app.clock.now()))


def _said(request: Request, told: Told, now: float) -> Answer:
    value = told.answers.get(request.question.kind)
    match request.question.kind:
        case "approval":
            return Answer(verdict="rejected" if value is False else "approved", by="ana", at=now)
        case "interrupted":
            return Answer(verdict="performed", by="ana", at=now, value=Datum(value))
        case "human":
            return Answer(verdict="answered", by="ana", at=now, value=Datum(value))


async def record_all(folder: Path) -> None:
    """Write one file for each workflow, into a folder named by this release."""
    with counting_server() as server:
        files = project_files(server.address)
        async with opened(files) as rooms:
            for told in STORED:
                stored = await record(rooms, told, server, files)
                path = stored.save(folder / __version__)
                sys.stdout.write(f"{path}: {stored.end['status']}, {len(stored.changes)} changes\n")


if __name__ == "__main__":
    anyio.run(record_all, Path(sys.argv[1]))
