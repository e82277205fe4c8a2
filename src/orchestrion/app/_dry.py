"""Dry runs of a project: in memory, performing nothing."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrion.core import SystemClock
from orchestrion.engine import DryRun
from orchestrion.journal import MemoryJournal

from ._app import App, conduct, open_rooms
from ._mocks import read_mocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A project whose workflows can be walked without doing anything."""

    app: App
    dry: DryRun


@asynccontextmanager
async def rehearse(
    path: Path, *, workflows: Sequence[Path] | None = None, mocks: Path | None = None
) -> AsyncGenerator[Rehearsal]:
    """Open the project at or around `path` for dry runs. Nothing is kept when it is left.

    Raises: BadProject with all findings of the project, or of the file of mocks; UserError `unreadable-file`.
    """
    clock = SystemClock()
    async with open_rooms(path, workflows=workflows, clock=clock) as rooms:
        rooms.checked.require_sound()
        answers = read_mocks(mocks, rooms.checked.shelf.documents, rooms.checked.agents) if mocks else {}
        dry = DryRun(mocks=answers)
        async with conduct(rooms, MemoryJournal(clock), clock=clock, dry=dry) as app:
            yield Rehearsal(app=app, dry=dry)
