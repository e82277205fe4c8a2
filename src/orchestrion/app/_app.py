"""The application: a project opened, its rooms wired to each other."""

import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrion.agents import AgentDefinition, Sessions, TeamDefinition
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
from orchestrion.egress import Egress
from orchestrion.engine import DryRun, Engine, Limits, Outside
from orchestrion.expressions import Expressions
from orchestrion.interpreter import SEMANTICS, Interpreter
from orchestrion.journal import DurableJournal
from orchestrion.models import Audience, Listener, Models, PlaybookFile, Routers, Slots
from orchestrion.project import Project
from orchestrion.spec import Document

from ._functions import catalog_of
from ._journals import Mode, StandBy, open_journal
from ._kinds import read_kinds
from ._knowledge import knowledge_of
from ._models import model_settings, retiring
from ._project import Checked, check_project, read_playbooks, routers_of
from ._telemetry import observing
from ._triggers import Triggers
from ._workflows import Workflows, input_labels


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A project in use."""

    project: Project
    checked: Checked
    journal: Journal
    engine: Engine
    workflows: Workflows
    catalog: Catalog
    routers: Routers
    audience: Audience
    clock: Clock
    joined: bool = False
    """Another process advances the runs."""

    async def receive(self, event: Event) -> bool:
        """Take in an event; False when (source, id) is known already. Who wants it hears of it from the process that has the store."""
        return await (self.journal if self.joined else self.engine).receive(event)

    async def start(
        self,
        document: Document,
        value: Json,
        *,
        start_key: str | None = None,
        batch: str | None = None,
        row: int | None = None,
        subject: str | None = None,
    ) -> Run:
        """Accept a run of this version. A used `start_key` gives the run that used it.

        Raises: UserError `schema-mismatch` before anything is stored.
        """
        require_input(document, value)
        run = await self.workflows.pin(
            document,
            run_id=new_id(),
            value=value,
            labels=input_labels(document),
            versions=self.checked.versions(),
        )
        return await self.engine.start(replace(run, start_key=start_key, batch=batch, row=row, subject=subject))

    def listen(self, run_id: str | None = None) -> AbstractContextManager[Listener]:
        """Follow the answers of a run, or of all, as they are made in this process. Nothing waits for the listener."""
        return self.audience.listen(run_id)

    async def rerun(self, run: Run, task: str, *, subject: str | None = None) -> Run:
        """A new run that takes over what came before `task` in the outermost list. Raises: UserError `unknown-task`."""
        document = await self.workflows.document(run.digest)
        index = next((i for i, each in enumerate(document.tasks) if each.name == task), None)
        if index is None:
            known = ", ".join(each.name for each in document.tasks)
            raise UserError("unknown-task", f"{document.id} has no task {task!r} in its outermost list: {known}.")
        kept = [entry for entry in await self.journal.entries(run.id) if _is_before(entry, index)]
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
            versions=self.checked.versions(),
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


def require_input(document: Document, value: Json) -> None:
    """Raises: UserError `schema-mismatch` that says where."""
    schema = document.input.schema
    if schema is not None and not schema.accepts(value):
        places = "; ".join(f"{v.pointer or 'the input'}: {v.message}" for v in schema.violations(value, limit=5))
        raise UserError(
            "schema-mismatch",
            f"The input of {document.id} does not fit its schema: {places}.",
            hint=f"`orchestrion run {document.name} --help-input` shows what it takes.",
        )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What checking a project and running it have in common."""

    project: Project
    checked: Checked
    expressions: Expressions
    catalog: Catalog
    routers: Routers
    models: Models
    sessions: Sessions


@asynccontextmanager
async def open_rooms(
    path: Path, *, workflows: Sequence[Path] | None = None, clock: Clock | None = None
) -> AsyncGenerator[Rooms]:
    """Everything but the store and the engine. What is wrong with the files stands in `checked.findings`.

    Raises: BadProject when `orchestrion.yaml` itself is wrong.
    """
    clock = clock or SystemClock()
    project = Project.load(path)
    async with AsyncExitStack() as stack:
        expressions = await stack.enter_async_context(Expressions())
        egress = await stack.enter_async_context(_egress_of(project))
        playbooks, found = read_playbooks(project)
        kinds, others = read_kinds(project)
        routers = routers_of(project)
        models = _models_of(project, egress, playbooks, routers, clock)
        agents: dict[str, AgentDefinition] = {}
        teams: dict[str, TeamDefinition] = {}
        sessions = Sessions()
        knowledge = knowledge_of(project)
        stack.callback(knowledge.close)
        catalog = catalog_of(
            project,
            egress=egress,
            models=models,
            routers=routers,
            agents=agents,
            teams=teams,
            knowledge=knowledge,
            kinds=kinds,
            sessions=sessions,
            clock=clock,
            stack=stack,
        )
        checked = await check_project(
            project,
            catalog=catalog,
            models=models,
            routers=routers,
            playbooks=playbooks,
            kinds=kinds,
            expressions=expressions,
            workflows=workflows,
        )
        agents.update(checked.agents)
        teams.update(checked.teams)
        yield Rooms(
            project=project,
            checked=replace(checked, findings=[*retiring(project, clock), *found, *others, *checked.findings]),
            expressions=expressions,
            catalog=catalog,
            routers=routers,
            models=models,
            sessions=sessions,
        )


def _egress_of(project: Project) -> Egress:
    settings = project.settings
    return Egress(settings.egress.allow, timeout_s=settings.egress.timeout_s, traced=settings.telemetry is not None)


def _models_of(
    project: Project, egress: Egress, playbooks: Mapping[str, PlaybookFile], routers: Routers, clock: Clock
) -> Models:
    return Models(
        model_settings(project),
        http=egress.client2,
        secrets=project.secrets(),
        playbooks={name: file.playbook for name, file in playbooks.items()},
        clock=clock,
        routers=routers,
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
    rooms: Rooms, journal: Journal, *, mode: Mode = "own", clock: Clock, dry: DryRun | None = None
) -> AsyncGenerator[App]:
    """An engine over a journal; with `dry`, one that performs nothing. Raises: BadProject for a project that is not sound."""
    project = rooms.project
    pinned = Workflows(rooms.checked.shelf, journal, Interpreter(rooms.expressions), clock)
    limits = project.settings.limits
    async with AsyncExitStack() as stack:
        slots = Slots(clock, journal if isinstance(journal, DurableJournal) else None)
        stack.push_async_callback(slots.close)
        rooms.models.share(slots)
        if isinstance(journal, DurableJournal):
            rooms.sessions.open(journal, clock)
        engine = Engine(
            journal=journal,
            interpret=pinned.interpret,
            outside=Outside(
                catalog=rooms.catalog,
                gate=rooms.checked.require_sound(),
                workflows=pinned,
                secrets=project.secrets(),
                random=random.SystemRandom().random,
                express=mode == "express",
            ),
            clock=clock,
            semantics=SEMANTICS,
            limits=Limits(concurrency=limits.concurrency, backlog=limits.backlog),
            routing=None if dry else Triggers(rooms.checked.shelf, pinned, rooms.expressions, rooms.checked.versions()),
            observe=None if mode == "join" or dry else stack.enter_context(observing(project)),
            dry=dry,
            lifecycle=project.settings.lifecycle and dry is None,
        )
        if mode != "join":
            await stack.enter_async_context(engine)
        yield App(
            project=project,
            checked=rooms.checked,
            journal=journal,
            engine=engine,
            workflows=pinned,
            catalog=rooms.catalog,
            routers=rooms.routers,
            audience=rooms.models.audience,
            clock=clock,
            joined=mode == "join",
        )
