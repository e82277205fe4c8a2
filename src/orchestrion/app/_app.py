"""The application: a project opened, its rooms wired to each other."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrion.core import (
    Answer,
    Catalog,
    Clock,
    Entry,
    EntryKind,
    EntryStatus,
    Event,
    Journal,
    Json,
    Request,
    Run,
    SystemClock,
    UserError,
    new_id,
)
from orchestrion.engine import DryRuns, Engine, Limits
from orchestrion.interpreter import SEMANTICS, Interpreter
from orchestrion.journal import DurableJournal
from orchestrion.models import Audience, Health, Listener, ModelTests, Routers, Slots
from orchestrion.project import Project
from orchestrion.registry import Incidents, Registry, Rollouts
from orchestrion.spec import Document

from ._capture import capture
from ._feed import Feed
from ._journals import Mode, StandBy, open_journal
from ._looking import look_after
from ._project import Checked
from ._rollouts import Oversight
from ._rooms import Rooms, open_rooms, outside_of
from ._shadows import Shadows
from ._telemetry import observing
from ._triggers import Triggers
from ._versions import Chosen, Versions
from ._watching import Watching
from ._workflows import Workflows, input_labels, require_input


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A project in use."""

    project: Project
    checked: Checked
    journal: Journal
    engine: Engine
    workflows: Workflows
    versions: Versions
    catalog: Catalog
    routers: Routers
    audience: Audience
    feed: Feed
    clock: Clock
    joined: bool = False
    """Another process advances the runs."""

    async def receive(self, event: Event) -> bool:
        """Take in an event; False when (source, id) is known already. Who wants it hears of it from the process that has the store."""
        return await (self.journal if self.joined else self.engine).receive(event)

    async def start(
        self,
        chosen: Document | Chosen,
        value: Json,
        *,
        start_key: str | None = None,
        batch: str | None = None,
        row: int | None = None,
        subject: str | None = None,
    ) -> Run:
        """Accept a run of the working files' document, or of a chosen version. A used `start_key` gives the run that used it.

        Raises: UserError `schema-mismatch` before anything is stored.
        """
        document = chosen if isinstance(chosen, Document) else chosen.document
        require_input(document, value)
        run_id = new_id()
        if isinstance(chosen, Document):
            chosen = await self.versions.working(chosen, subject)
        elif chosen.follows is not None:
            chosen = await self.versions.choose(chosen.follows, subject, value=value, key=start_key or run_id)
            if chosen.document is not document:
                require_input(chosen.document, value)
        run = await self.workflows.pin(
            chosen.document,
            run_id=run_id,
            value=value,
            labels=input_labels(chosen.document),
            versions=chosen.versions,
        )
        return await self.engine.start(replace(run, start_key=start_key, batch=batch, row=row, subject=subject))

    def listen(self, run_id: str | None = None) -> AbstractContextManager[Listener]:
        """Follow the answers of a run, or of all, as they are made in this process. Nothing waits for the listener."""
        return self.audience.listen(run_id)

    async def rerun(self, run: Run, task: str, *, subject: str | None = None) -> Run:
        """A new run that takes over what came before `task` in the outermost list. Raises: UserError `unknown-task`.

        It is of the working files, unless the workflow itself has changed since: then of the run's own version.
        """
        document = await self.workflows.document(run.digest)
        index = next((i for i, each in enumerate(document.tasks) if each.name == task), None)
        if index is None:
            known = ", ".join(each.name for each in document.tasks)
            raise UserError("unknown-task", f"{document.id} has no task {task!r} in its outermost list: {known}.")
        kept = [entry for entry in await self.journal.entries(run.id) if _is_before(entry, index)]
        of_now = self.versions.has(document)
        versions = (await self.versions.working(document, subject)).versions if of_now else run.versions
        copied = replace(
            run,
            id=new_id(),
            start_key=None,
            status=type(run.status).PENDING,
            epoch=0,
            attempt=1,
            inbox_seq=0,
            output=None,
            problem=None,
            fault_key=None,
            cost=None,
            cancel_requested_by=None,
            wake_at=None,
            parent_id=None,
            parent_key=None,
            root_id=None,
            copied_from=run.id,
            versions=versions,
            subject=subject,
            created_at=self.clock.now(),
            started_at=None,
            ended_at=None,
        )
        started = await self.journal.copy(copied, kept)
        self.engine.advance(started)
        return started

    async def answer(self, request: Request, answer: Answer) -> Request:
        """Decide a request, in the name of somebody who may."""
        require_role(self.project, request, answer.by)
        return await self.engine.answer(request.id, answer)


def _is_before(entry: Entry, index: int) -> bool:
    """Whether an entry belongs to a task that stands before `index` in the outermost list, and is finished."""
    if not entry.key.startswith("/do/") or entry.status is EntryStatus.INTENT or entry.kind is EntryKind.NOTE:
        return False
    position = entry.key.split("/")[2]
    return position.isdigit() and int(position) < index


def require_role(project: Project, request: Request, user: str) -> None:
    """Raises: UserError `not-allowed` when the project names its users and this one may not decide."""
    roles, users = project.settings.roles, project.settings.users
    wanted = request.question.role
    if not users:
        return
    if user not in users:
        raise UserError(
            "not-allowed",
            f"{user!r} is not among the project's users.",
            hint=f"Say who decides with --as; there are: {', '.join(sorted(users))}.",
        )
    if request.question.user not in {None, user}:
        raise UserError("not-allowed", f"Only {request.question.user!r} may decide this.")
    if wanted is None:
        return
    enough = roles[roles.index(wanted) :] if wanted in roles else (wanted,)
    if not set(enough) & set(users[user]):
        able = sorted(name for name, held in users.items() if set(enough) & set(held))
        raise UserError(
            "not-allowed",
            f"{user!r} may not decide this: it takes the role {wanted!r}.",
            hint=f"These may: {', '.join(able)}." if able else f"Nobody has the role {wanted!r} yet.",
        )


@asynccontextmanager
async def open_app(
    path: Path,
    *,
    mode: Mode = "own",
    workflows: Sequence[Path] | None = None,
    clock: Clock | None = None,
    stand_by: StandBy | None = None,
) -> AsyncGenerator[App]:
    """Open the project at or around `path`. With `stand_by`, everything is ready before it waits for its turn on PostgreSQL.

    Raises: BadProject with all findings; UserError about the store.
    """
    clock = clock or SystemClock()
    async with open_rooms(path, workflows=workflows, clock=clock) as rooms:
        rooms.checked.require_sound()
        async with (
            open_journal(rooms.project, mode=mode, clock=clock, stand_by=stand_by) as journal,
            conduct(rooms, journal, mode=mode, clock=clock) as app,
        ):
            yield app


@asynccontextmanager
async def conduct(
    rooms: Rooms,
    journal: Journal,
    *,
    mode: Mode = "own",
    clock: Clock,
    dry: DryRuns | None = None,
    registry: Registry | None = None,
) -> AsyncGenerator[App]:
    """An engine over a journal; with `dry`, one without effects. `registry`: of versions kept elsewhere. Raises: BadProject."""
    project, limits = rooms.project, rooms.project.settings.limits
    interpreter = Interpreter(rooms.shared.expressions)
    pinned = Workflows(rooms.checked.shelf, journal, interpreter, clock)
    async with AsyncExitStack() as stack:
        durable = journal if isinstance(journal, DurableJournal) else None
        _share(rooms, durable, clock, stack)
        oversight = Oversight(Rollouts(durable, clock), journal, rooms.shared.expressions, clock) if durable else None
        versions = Versions(
            rooms,
            await asyncio.to_thread(capture, project, rooms.checked, rooms.catalog),
            registry=Registry(durable, clock) if durable else registry,
            oversight=oversight,
            make=lambda version: outside_of(version, journal, interpreter, now=rooms, express=mode == "express"),
            stack=stack,
        )
        feed = Feed()
        engine = Engine(
            journal=journal,
            interpret=pinned.interpret,
            outside=versions.outside,
            clock=clock,
            semantics=SEMANTICS,
            limits=Limits(concurrency=limits.concurrency, backlog=limits.backlog),
            routing=None if dry else Triggers(pinned, rooms.shared.expressions, versions),
            observe=None if mode == "join" or dry else stack.enter_context(observing(project, feed.wrote)),
            moved=feed.moved,
            dry=dry,
            lifecycle=project.settings.lifecycle and dry is None,
        )
        if mode != "join":
            await stack.enter_async_context(engine)
        app = App(
            project=project,
            checked=rooms.checked,
            journal=journal,
            engine=engine,
            workflows=pinned,
            versions=versions,
            catalog=rooms.catalog,
            routers=rooms.routers,
            audience=rooms.models.audience,
            feed=feed,
            clock=clock,
            joined=mode == "join",
        )
        if durable is not None and oversight is not None and mode != "join" and dry is None:
            _look_after(app, durable, oversight, stack)
        yield app


def _look_after(app: App, journal: DurableJournal, oversight: Oversight, stack: AsyncExitStack) -> None:
    """What the process that advances runs does beside it, until `stack` is closed."""
    from ._succession import Succession

    look_after(oversight, stack)
    look_after(Shadows(oversight.rollouts, app.versions, journal, app.clock), stack)
    look_after(Watching(app, journal), stack)
    look_after(Succession(app), stack)


def _share(rooms: Rooms, durable: DurableJournal | None, clock: Clock, stack: AsyncExitStack) -> None:
    """What models and conversations have in common with the other processes on the store."""
    slots = Slots(clock, durable)
    stack.push_async_callback(slots.close)
    health = Health(clock=clock)
    if durable is not None:
        health = Health(clock=clock, incidents=Incidents(durable, clock), tests=ModelTests(durable, clock))
        rooms.shared.sessions.open(durable, clock)
    rooms.models.share(slots, health)
