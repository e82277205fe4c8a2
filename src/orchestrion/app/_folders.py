"""Watched folders: a file that has arrived is one event, and is put away when the runs it started have ended."""

import asyncio
import fnmatch
import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrion.core import (
    Clock,
    Event,
    EventLog,
    Journal,
    Json,
    OrchestrionError,
    Run,
    RunStatus,
    dump,
    event_of,
    iso,
)

from ._app import App
from ._put_away import finish_reasons, forget_reason, put_away, reason_event, set_aside

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Folders are looked at by reading them: notifications do not exist on network drives, and get lost elsewhere."""
MOST_UNDER_WAY = 1000
"""Files of one folder whose events are not settled yet; the others wait where they are."""
EVENT_TYPE = "orchestrion.file.arrived"
FROM_OUTSIDE: Mapping[str, Sequence[str]] = {"": ["untrusted"]}

Signature = tuple[int, int, int]
"""Size, time of the last change, inode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A folder to watch. All paths are absolute."""

    name: str
    path: Path
    pattern: str
    done: Path
    bad: Path
    settle_s: float

    @property
    def source(self) -> str:
        return f"/folders/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PutAway:
    """A file that was moved out of a watched folder."""

    folder: str
    file: Path
    """Where it is now."""
    reason: str | None = None
    """Why it was set aside; None when it is done."""


@dataclass(slots=True)
class _File:
    signature: Signature
    since: float
    """When it was first seen like this, by the monotonic clock."""
    event: Event | None = None


class FolderWatch:
    """Watches one folder. What it has done is known from the journal and from where files are, so it may die at any moment.

    A file's event has an id made of its name and content: received again after a crash, it changes nothing.
    """

    def __init__(
        self,
        watched: Watched,
        *,
        journal: Journal,
        receive: Callable[[Event], Awaitable[bool]],
        clock: Clock,
        on_moved: Callable[[PutAway], None] = lambda _: None,
    ) -> None:
        self._watched = watched
        self._journal = journal
        self._events: EventLog = journal
        self._receive = receive
        self._clock = clock
        self._on_moved = on_moved
        self._files: dict[str, _File] = {}
        self._complaints: dict[str, str] = {}
        """File → what was last said about it; under the empty name, about the folder."""

    async def run(self) -> None:
        """Look at the folder, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Take in what has arrived, and put away what is settled. One bad file does not keep the others waiting."""
        found: dict[str, Signature] = {}
        with self._telling(""):
            found = await asyncio.to_thread(self._scan)
        self._files = {name: file for name, file in self._files.items() if name in found}
        self._complaints = {name: said for name, said in self._complaints.items() if name in found or not name}
        under_way = sum(file.event is not None for file in self._files.values())
        for name, signature in found.items():
            with self._telling(name):
                under_way += await self._attend(name, signature, room=under_way < MOST_UNDER_WAY)

    @contextmanager
    def _telling(self, name: str) -> Generator[None]:
        """Say what is wrong, once for each thing however long it lasts."""
        complaint = ""
        try:
            yield
        except OSError as error:
            complaint = f"{error.strerror or error}: {error.filename}"
        except OrchestrionError as error:
            complaint = str(error)
        if complaint and complaint != self._complaints.get(name):
            log.warning("Folder %s: %s", self._watched.name, complaint)
        self._complaints[name] = complaint

    def _scan(self) -> dict[str, Signature]:
        """The files that are ours, the oldest first. Raises: OSError."""
        finish_reasons(self._watched.bad)
        found: list[tuple[str, Signature]] = []
        with os.scandir(self._watched.path) as entries:
            for entry in entries:
                mine = not entry.name.startswith(".") and fnmatch.fnmatchcase(entry.name, self._watched.pattern)
                if mine and entry.is_file(follow_symlinks=False):
                    found.append((entry.name, _signature(Path(entry.path))))
        return dict(sorted(found, key=lambda each: (each[1][1], each[0])))

    async def _attend(self, name: str, signature: Signature, *, room: bool) -> bool:
        """Whether the file was taken in just now."""
        file = self._files.get(name)
        now = self._clock.monotonic()
        if file is None or file.signature != signature:
            self._files[name] = _File(signature, now)
            return False
        new = file.event is None
        if new and room and now - file.since >= self._watched.settle_s:
            await self._take_in(name, file)
        if file.event is not None:
            await self._conclude(name, file, file.event)
        return new and file.event is not None

    # --- arriving ---

    async def _take_in(self, name: str, file: _File) -> None:
        path = self._watched.path / name
        try:
            digest = await asyncio.to_thread(_digest, path)
        except FileNotFoundError:
            return
        except OSError as error:
            await self._set_aside(name, f"It cannot be read: {error.strerror}.", "")
            return
        if await asyncio.to_thread(_signature, path) != file.signature:
            return
        try:
            event = self._event(name, file, digest)
        except OrchestrionError as error:
            await self._set_aside(name, f"It cannot become an event. {error.message}", digest)
            return
        await self._receive(event)
        file.event = event

    def _event(self, name: str, file: _File, digest: str) -> Event:
        """Put back after it was set aside, a file is tried again: its event is another one."""
        content: dict[str, Json] = {
            "folder": self._watched.name,
            "name": name,
            "path": str(self._watched.path / name),
            "size": file.signature[0],
            "digest": f"sha256:{digest}",
        }
        first = f"{digest}/{name}"
        before = reason_event(self._watched.bad, name) or ""
        attempt = int(before.removeprefix(f"{first}~~").removeprefix(first) or 1) + 1 if before.startswith(first) else 1
        return event_of(
            {
                "id": first if attempt == 1 else f"{first}~~{attempt}",
                "source": self._watched.source,
                "type": EVENT_TYPE,
                "subject": name,
                "datacontenttype": "application/json",
                "data": content,
            },
            now=self._clock.now(),
            labels=FROM_OUTSIDE,
        )

    # --- put away ---

    async def _conclude(self, name: str, file: _File, published: Event) -> None:
        """Move the file once it is known what became of it."""
        event = await self._events.event(published.source, published.id)
        if event is None:
            file.event = None
            return
        if event.routed_at is None:
            return
        reached = await self._events.reached(event.seq)
        runs = [await self._journal.run(each.run_id) for each in reached if not each.key]
        waits = event.deliveries > 0 and not reached
        if waits or any(run is not None and not run.status.ended for run in runs):
            return
        if await asyncio.to_thread(_signature, self._watched.path / name) != file.signature:
            return
        digest = published.id.partition("/")[0]
        failed = [run for run in runs if run is not None and run.status is not RunStatus.COMPLETED]
        if event.deliveries == 0:
            wrong = f" {dump(event.notes)}" if event.notes else ""
            await self._set_aside(name, f"No workflow wants it.{wrong}", digest, published.id)
        elif failed:
            await self._set_aside(name, "\n".join(map(_failure, failed)), digest, published.id)
        else:
            await self._done(name, digest)

    async def _done(self, name: str, digest: str) -> None:
        moved = await asyncio.to_thread(put_away, self._watched.path / name, self._watched.done, digest)
        await asyncio.to_thread(forget_reason, self._watched.bad, name)
        self._moved(name, PutAway(folder=self._watched.name, file=moved))

    async def _set_aside(self, name: str, reason: str, digest: str, event_id: str = "") -> None:
        path, said = self._watched.path / name, f"{reason}\n\nSet aside at {iso(self._clock.now())}."
        said += f" To try again, move it back to {self._watched.path}.\n"
        moved = await asyncio.to_thread(set_aside, path, self._watched.bad, digest, said, event_id)
        self._moved(name, PutAway(folder=self._watched.name, file=moved, reason=reason))

    def _moved(self, name: str, what: PutAway) -> None:
        self._files.pop(name, None)
        self._on_moved(what)


def watches_of(app: App, on_moved: Callable[[PutAway], None]) -> list[FolderWatch]:
    """One for each folder of the project's settings."""
    watches: list[FolderWatch] = []
    for name, folder in app.project.settings.folders.items():
        path = app.project.root / folder.path
        watched = Watched(
            name=name,
            path=path,
            pattern=folder.pattern,
            done=path / folder.done,
            bad=path / folder.bad,
            settle_s=folder.settle_s,
        )
        watches.append(
            FolderWatch(watched, journal=app.journal, receive=app.receive, clock=app.clock, on_moved=on_moved)
        )
    return watches


def _failure(run: Run) -> str:
    problem: Mapping[str, Json] = run.problem if isinstance(run.problem, dict) else {}
    why = problem.get("detail") or problem.get("title") or f"it was cancelled by {run.cancel_requested_by}"
    return f"{run.namespace}/{run.workflow} {run.status.value}: {why}\n  orchestrion runs show {run.id}"


def _signature(path: Path) -> Signature:
    """Raises: OSError."""
    found = path.lstat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _digest(path: Path) -> str:
    """SHA-256 of the content. Raises: OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
