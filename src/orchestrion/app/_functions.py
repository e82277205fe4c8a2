"""The default catalog, made of what the project has."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from orchestrion.agents import AgentDefinition, Sessions, TeamDefinition
from orchestrion.core import Clock, Function, Json
from orchestrion.egress import Egress
from orchestrion.functions import (
    A2a,
    A2aRequest,
    Agent,
    Connections,
    ConnectionSettings,
    DefaultCatalog,
    Definition,
    Describe,
    Evaluate,
    Evaluating,
    GuardFunction,
    HttpFunction,
    Human,
    Infer,
    Mail,
    Mcp,
    OpenApi,
    Predict,
    Query,
    Retrieve,
    Route,
    Rules,
    StatementFunction,
    Team,
    Tokens,
    Transform,
    Workflow,
)
from orchestrion.knowledge import Knowledge
from orchestrion.models import Models, Predictors, Routers
from orchestrion.project import Project

from ._kinds import Kinds


def catalog_of(
    project: Project,
    *,
    egress: Egress,
    models: Models,
    routers: Routers,
    knowledge: Knowledge,
    kinds: Kinds,
    agents: Mapping[str, AgentDefinition],
    teams: Mapping[str, TeamDefinition],
    sessions: Sessions,
    clock: Clock,
    stack: AsyncExitStack,
) -> DefaultCatalog:
    """All functions of this release. `agents` and `teams` may be filled in later: they are looked into when one is engaged."""
    secrets = project.secrets()
    connections = Connections(
        {
            name: ConnectionSettings(
                url=project.connection_url(name, secrets), write=connection.write, timeout_s=connection.timeout_s
            )
            for name, connection in project.settings.connections.items()
        }
    )
    stack.callback(connections.close)
    tokens = Tokens(egress, clock)
    own: list[Function] = [
        HttpFunction(egress, tokens),
        Describe(egress, tokens, clock, root=project.root),
        OpenApi(),
        Definition(egress, tokens, clock, root=project.root),
        Mcp(egress, tokens, project.settings.mcp, processes=project.settings.processes.allow, root=project.at_home),
        Mail(egress, project.settings.mail, clock),
        A2aRequest(egress, tokens),
        A2a(),
        Query(connections),
        Transform(),
        Route(routers),
        Retrieve(knowledge),
        Rules(kinds.tables),
        Predict(Predictors(kinds.predictors)),
        Agent(agents, models, clock, sessions),
        Team(teams, agents, models, clock, sessions),
        Infer(models, clock),
        Human(),
        GuardFunction(project.settings.guards),
        Evaluate(_evaluating(project, clock)),
        Workflow(),
    ]
    taken = {function.declaration.name for function in own}
    statements = [
        StatementFunction(named, connections) for name, named in kinds.statements.items() if name not in taken
    ]
    return DefaultCatalog([*own, *statements])


def _evaluating(project: Project, clock: Clock) -> Evaluating:
    async def evaluating(
        evaluation: str, *, version: str, against: str | None, fresh: bool, by: str
    ) -> Mapping[str, Json]:
        from ._evaluate import evaluate  # it opens a project of its own, which has this function

        found = await evaluate(
            project.at_home,
            evaluation,
            version=version,
            against=against,
            fresh=fresh,
            by=by,
            tell=lambda _done, _of: None,
            clock=clock,
        )
        return {
            "evaluation": found.file.name,
            "version": found.bundle.digest,
            "against": found.against.digest if found.against else None,
            "passed": found.passed,
            "rows": [row.to_json() for row in found.rows],
            "cases": len(found.gathered.cases),
        }

    return evaluating
