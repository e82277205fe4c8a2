"""A project's rooms, wired to each other: everything but the store and the engine."""

import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrion.agents import AgentDefinition, Sessions, TeamDefinition
from orchestrion.core import Catalog, Clock, Journal, Json, SystemClock
from orchestrion.egress import Egress
from orchestrion.engine import Outside
from orchestrion.expressions import Expressions
from orchestrion.functions import Installed
from orchestrion.interpreter import Interpreter
from orchestrion.models import LocalModel, Models, PlaybookFile, Routers
from orchestrion.project import Project
from orchestrion.spec import Finding

from ._emergency import EmergencyGate, emergency_findings
from ._functions import catalog_of
from ._kinds import read_kinds
from ._knowledge import knowledge_of
from ._models import model_settings, retiring
from ._project import Checked, check_project, read_playbooks, routers_of
from ._watching import check_alerts
from ._workflows import Workflows


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What every version of a project has in common."""

    expressions: Expressions
    egress: Egress
    sessions: Sessions
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What checking a project and running it have in common."""

    project: Project
    checked: Checked
    shared: Shared
    catalog: Catalog
    installed: Installed
    routers: Routers
    models: Models


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
        shared = Shared(
            expressions=await stack.enter_async_context(Expressions()),
            egress=await stack.enter_async_context(_egress_of(project)),
            sessions=Sessions(),
            clock=clock,
        )
        yield await read_rooms(project, shared, stack, workflows=workflows)


async def read_rooms(
    project: Project,
    shared: Shared,
    stack: AsyncExitStack,
    *,
    workflows: Sequence[Path] | None = None,
    nameable: Json = None,
) -> Rooms:
    """Read one version of a project's files; `nameable` as for `check_project`. What `stack` holds is closed when nothing of it is used any more."""
    playbooks, found = read_playbooks(project)
    kinds, others = read_kinds(project)
    routers = routers_of(project)
    models = _models_of(project, shared.egress, playbooks, routers, shared.clock, stack)
    agents: dict[str, AgentDefinition] = {}
    teams: dict[str, TeamDefinition] = {}
    knowledge = knowledge_of(project)
    stack.callback(knowledge.close)
    catalog = catalog_of(
        project,
        egress=shared.egress,
        models=models,
        routers=routers,
        agents=agents,
        teams=teams,
        knowledge=knowledge,
        kinds=kinds,
        sessions=shared.sessions,
        clock=shared.clock,
        stack=stack,
    )
    checked = await check_project(
        project,
        catalog=catalog,
        models=models,
        routers=routers,
        playbooks=playbooks,
        kinds=kinds,
        expressions=shared.expressions,
        workflows=workflows,
        nameable=nameable,
    )
    if catalog.installed.looked:
        others += catalog.installed.findings()
    agents.update(checked.agents)
    teams.update(checked.teams)
    return Rooms(
        project=project,
        checked=replace(
            checked, findings=[*_of_now(project, checked, shared.clock), *found, *others, *checked.findings]
        ),
        shared=shared,
        catalog=catalog,
        installed=catalog.installed,
        routers=routers,
        models=models,
    )


def _of_now(project: Project, checked: Checked, clock: Clock) -> list[Finding]:
    """What is said of the files as they are now, and not of a version kept apart."""
    if project.home:
        return []
    return [*retiring(project, clock), *emergency_findings(project, checked), *check_alerts(project, checked.shelf)]


def _egress_of(project: Project) -> Egress:
    settings = project.settings
    return Egress(settings.egress.allow, timeout_s=settings.egress.timeout_s, traced=settings.telemetry is not None)


def _models_of(
    project: Project,
    egress: Egress,
    playbooks: Mapping[str, PlaybookFile],
    routers: Routers,
    clock: Clock,
    stack: AsyncExitStack,
) -> Models:
    def serve(name: str, file: str) -> LocalModel:
        local = LocalModel(name, project.at_home / file, egress.allow_own)
        stack.push_async_callback(local.close)
        return local

    return Models(
        model_settings(project),
        http=egress.client2,
        secrets=project.secrets(),
        playbooks={name: file.playbook for name, file in playbooks.items()},
        clock=clock,
        routers=routers,
        serve=serve,
    )


def outside_of(version: Rooms, journal: Journal, interpreter: Interpreter, *, now: Rooms, express: bool) -> Outside:
    """What runs of one version are made of; `now`, of the working files."""
    checked = version.checked
    return Outside(
        catalog=version.catalog,
        gate=EmergencyGate(
            checked.require_sound(), version.project.at_home, checked.catalogued.beside(now.checked.catalogued)
        ),
        workflows=Workflows(checked.shelf, journal, interpreter, version.shared.clock),
        secrets=version.project.secrets(),
        random=random.SystemRandom().random,
        express=express,
    )
