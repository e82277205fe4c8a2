"""Everything a project's files say, read and checked together."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from orchestrion.agents import (
    ENGAGE,
    AgentDefinition,
    AgentTool,
    Known,
    TeamDefinition,
    read_agent,
    read_team,
)
from orchestrion.core import Catalog, Declaration, Json, UserError
from orchestrion.expressions import Expressions
from orchestrion.functions import StatementFunction, read_project_document
from orchestrion.governance import ActionDeclaration, Catalogued, CedarGate, PolicyFile
from orchestrion.models import Intent, Models, PlaybookFile, Routers, RouterSettings, RouterSource, read_playbook
from orchestrion.project import BadProject, Project
from orchestrion.spec import Document, Finding

from ._files import file_bytes, read_each
from ._kinds import Kinds
from ._names import check_names, names_of
from ._notices import notice_workflow
from ._talks import talks_of
from ._workflows import Shelf, read_shelf

ACTS_ON: Mapping[str, tuple[str, ...]] = {
    "query": ("Connection",),
    **dict.fromkeys(("http", "describe", "definition", "a2a-request", "mail"), ("Host",)),
    "mcp": ("Host", "Process"),
}
"""What the functions that reach outside act on, in policy terms."""
_ACTION = re.compile(r'\bAction::"([\w-]+)"')
TRIAL = "orchestrion/models-test"
"""The workflow in whose name `orchestrion models test` asks, as policies call it."""
MODEL_ACTION = ActionDeclaration(
    name="model",
    input_schema={"type": "object", "properties": {"model": {"type": "string"}, "region": {"type": "string"}}},
    resource_types=("Model",),
)
"""An agent asking its language model."""
SESSION_ACTION = ActionDeclaration(
    name="session",
    input_schema={"type": "object", "properties": {"session": {"type": "string"}, "step": {"type": "string"}}},
    resource_types=("Function",),
)
"""An agent continuing a conversation."""
ENGAGE_ACTION = ActionDeclaration(
    name=ENGAGE,
    input_schema={
        "type": "object",
        "required": ["member", "pattern"],
        "properties": {name: {"type": "string"} for name in ("member", "pattern", "reason")},
    },
    resource_types=("Agent",),
)
"""An agent engaging a colleague of its team."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was read, and everything there is to say about it."""

    shelf: Shelf
    agents: Mapping[str, AgentDefinition]
    teams: Mapping[str, TeamDefinition]
    playbooks: Mapping[str, PlaybookFile]
    kinds: Kinds
    catalogued: Catalogued
    """What policies can name."""
    gate: CedarGate | None
    findings: Sequence[Finding]

    @property
    def broken(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)

    def require_sound(self) -> CedarGate:
        """Raises: BadProject with every finding."""
        if self.broken or self.gate is None:
            raise BadProject([finding for finding in self.findings if finding.severity == "error"])
        return self.gate


async def check_project(
    project: Project,
    *,
    catalog: Catalog,
    models: Models,
    routers: Routers,
    playbooks: Mapping[str, PlaybookFile],
    kinds: Kinds,
    expressions: Expressions,
    workflows: Sequence[Path] | None = None,
    nameable: Json = None,
) -> Checked:
    """Read workflows, agents and policies, and check them against each other. `workflows` in place of the project's own.

    `nameable`: for a version kept apart, what there was for policies and playbooks to name; it has what one workflow uses.
    """
    files = project.workflows if workflows is None else workflows
    shelf, findings = await read_shelf(project, files, catalog, expressions)
    known = _known(project, shelf, catalog, models, routers, playbooks, apart=nameable is not None)
    findings += _clashes(project, catalog)
    agents, found = read_each(
        project,
        project.agents,
        lambda text, file: read_agent(text, file=file, known=replace(known, name=Path(file).stem)),
    )
    findings += found
    teams, found = _read_teams(project, agents)
    findings += found
    named = {document.id for document in shelf.documents}
    shelf = replace(
        shelf,
        talks=tuple(t for t in talks_of(agents, teams) if t.document.id not in named),
        own=tuple(d for d in _own(project) if d.id not in named),
    )
    if nameable is None:
        names = names_of(project)
        for document in shelf.documents:
            findings += check_names(document, shelf.sources[document.digest][1], names, models)
    policies = _policies(project)
    acts_on = {**ACTS_ON, **dict.fromkeys(kinds.statements, ("Connection",))}
    catalogued = Catalogued(
        actions=_actions(_declarations(catalog, policies, agents.values()), agents.values(), acts_on),
        agents=list(agents),
        workflows=sorted({TRIAL, *(document.id for document in shelf.every())}),
        connections=list(project.settings.connections),
        roles=project.settings.roles,
        users=project.settings.users,
    )
    catalogued = catalogued.as_of(nameable) if nameable else catalogued
    gate, found = CedarGate.load(policies, catalogued)
    return Checked(
        shelf=shelf,
        agents=agents,
        teams=teams,
        playbooks=playbooks,
        kinds=kinds,
        catalogued=catalogued,
        gate=gate,
        findings=_in_order([*findings, *found]),
    )


def _known(
    project: Project,
    shelf: Shelf,
    catalog: Catalog,
    models: Models,
    routers: Routers,
    playbooks: Mapping[str, PlaybookFile],
    *,
    apart: bool,
) -> Known:
    """What agents may name. A version that is kept `apart` has only the colleagues that its workflow uses."""
    return Known(
        model=models.check,
        connections=list(project.settings.connections),
        workflows=[(d.namespace, d.name, d.version) for d in shelf.documents],
        playbooks=playbooks,
        mcp_servers=list(project.settings.mcp),
        secrets=list(project.settings.secrets),
        document=lambda place: read_project_document(project.root, place),
        functions=catalog.resolve,
        guards=list(project.settings.guards),
        members=None if apart else [file.stem for file in (*project.agents, *project.teams)],
        intents=cache(routers.labels),
        route=None if apart else lambda router, text: _intent(routers, router, text),
    )


def _own(project: Project) -> list[Document]:
    """Workflows of the platform that the project has a use for."""
    return [notice_workflow()] if project.settings.server.notify else []


def _policies(project: Project) -> list[PolicyFile]:
    return [
        PolicyFile(file=project.relative(file), text=file_bytes(file).decode(errors="replace"))
        for file in project.policies
    ]


def _clashes(project: Project, catalog: Catalog) -> Iterator[Finding]:
    """Statements that are called as a function of the platform is."""
    own = {each.name for each in catalog.declarations() if not isinstance(catalog.resolve(each.id), StatementFunction)}
    for file in project.statements:
        if file.stem in own:
            yield Finding(
                file=project.relative(file),
                line=1,
                column=1,
                severity="error",
                code="function-clash",
                message=f"There is a function {file.stem!r} already.",
                hint="Give the file another name.",
            )


def _intent(routers: Routers, router: str, text: str) -> Intent:
    """What a router says of a text. Raises: UserError about the router or its examples."""
    routing = routers.router(router).route(text)
    return Intent(label=routing.label, confidence=routing.confidence)


def _read_teams(
    project: Project, agents: Mapping[str, AgentDefinition]
) -> tuple[dict[str, TeamDefinition], list[Finding]]:
    files, findings = read_each(
        project, project.teams, lambda text, file: read_team(text, file=file, name=Path(file).stem)
    )
    teams = {name: file.team for name, file in files.items()}
    for file in files.values():
        findings += file.check(agents, teams)
    return teams, findings


def read_playbooks(project: Project) -> tuple[dict[str, PlaybookFile], list[Finding]]:
    """The project's playbooks by name."""
    return read_each(
        project, project.playbooks, lambda text, file: read_playbook(text, name=Path(file).stem, file=file)
    )


def routers_of(project: Project) -> Routers:
    """The project's routers; trained ones are kept in `.orchestrion/routers`."""
    sources = {
        name: RouterSource(
            examples=project.root / router.examples,
            settings=RouterSettings(
                text=router.text,
                label=router.label,
                target_precision=router.target_precision,
                strangers=router.strangers,
                threshold=router.threshold,
                embeddings=router.embeddings,
            ),
        )
        for name, router in project.settings.routers.items()
    }
    return Routers(sources, folder=project.at_home / ".orchestrion" / "routers")


def _declarations(
    catalog: Catalog, policies: Iterable[PolicyFile], agents: Iterable[AgentDefinition]
) -> Iterable[Declaration]:
    """What workflows and agents name, and policies: a policy may be written before anything uses a package's function."""
    known = {action.name for action in _actions(catalog.declarations(), agents, ACTS_ON)}
    for name in {name for policy in policies for name in _ACTION.findall(policy.text)} - known:
        with suppress(UserError):  # the check of the policies says it
            catalog.resolve(name)
    return catalog.declarations()


def _actions(
    declarations: Iterable[Declaration],
    agents: Iterable[AgentDefinition],
    acts_on: Mapping[str, tuple[str, ...]],
) -> list[ActionDeclaration]:
    """Every name that a policy may speak of: functions, and the tools of agents."""
    actions = [MODEL_ACTION, SESSION_ACTION, ENGAGE_ACTION]
    actions += [
        ActionDeclaration(
            name=declaration.name,
            input_schema=dict(declaration.input_schema),
            resource_types=acts_on.get(declaration.name, ("Function",)),
        )
        for declaration in declarations
    ]
    for agent in agents:
        for tool in agent.tools:
            actions.append(
                ActionDeclaration(
                    name=tool.name, input_schema=tool.arguments_schema, resource_types=_acts_on(tool, acts_on)
                )
            )
    return actions


def _acts_on(tool: AgentTool, acts_on: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    if tool.query is not None:
        return ("Connection",)
    if tool.function is not None:
        return acts_on.get(tool.function.name.partition(":")[0], ("Function",))
    if tool.mcp is not None:
        return acts_on["mcp"]
    return ("Host",) if tool.http or tool.openapi else ("Function",)


def _in_order(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: (finding.file, finding.line, finding.column))
