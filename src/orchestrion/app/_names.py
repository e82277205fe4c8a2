"""What calls name of the project - agents, routers, tables and the rest - by their arguments."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import cast

from orchestrion.models import Models
from orchestrion.project import Project
from orchestrion.spec import CallTask, Document, Finding, Source, finding_at

from ._knowledge import documents_of

NAMED: Mapping[str, Mapping[str, str]] = {
    "agent": {"agent": "agents"},
    "route": {"router": "routers"},
    "rules": {"table": "tables"},
    "predict": {"predictor": "predictors"},
    "retrieve": {"knowledge": "knowledge"},
    "guard": {"policy": "guards"},
    "infer": {"model": "models", "fallback": "models"},
    "mcp": {"server": "mcp"},
}
"""Function → its arguments that name something of the project that versions keep, and the kind of it."""
_ONE: Mapping[str, str] = {
    "agents": "agent",
    "routers": "router",
    "tables": "decision table",
    "predictors": "predictor",
    "knowledge": "folder of knowledge",
    "guards": "guard",
    "mcp": "MCP server",
    "connections": "connection",
    "members": "agent or team",
    "teams": "team",
}

Names = Mapping[str, Iterable[str]]


def names_of(project: Project) -> Names:
    """What there is to name, by kind; a file that is broken is there all the same."""
    settings = project.settings
    agents, teams, tables, predictors = (
        [file.stem for file in files] for files in (project.agents, project.teams, project.tables, project.predictors)
    )
    return {
        "agents": agents,
        "teams": teams,
        "members": [*agents, *teams],
        "routers": settings.routers,
        "tables": tables,
        "predictors": predictors,
        "knowledge": documents_of(project),
        "guards": settings.guards,
        "models": settings.models,
        "mcp": settings.mcp,
        "connections": settings.connections,
    }


def check_names(document: Document, source: Source, known: Names, models: Models) -> Iterator[Finding]:
    """Calls of something that is not there. What an expression names is known only when it runs."""
    for task in document.every_task():
        if not isinstance(task, CallTask) or not isinstance(task.arguments.node, Mapping):
            continue
        name = task.function.partition(":")[0]
        for kind, pointer, said in _named(name, cast("Mapping[str, object]", task.arguments.node)):
            at = f"{task.pointer}/with{pointer}"
            if kind == "models":
                if (wrong := models.check(said)) is not None:
                    yield finding_at(source, at, "unknown-name", wrong)
            elif said not in (there := list(known[kind])):
                near = get_close_matches(said, there, n=1)
                listed = f"There are: {', '.join(sorted(there))}." if there else "This project has none."
                hint = f"Did you mean {near[0]!r}?" if near else listed
                yield finding_at(source, at, "unknown-name", f"There is no {_ONE[kind]} {said!r}.", hint=hint)


def _named(function: str, arguments: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """Kind, pointer below the arguments, and the name that stands there."""
    if function == "team":
        yield from _texts("teams", "/team", arguments.get("team"))
        yield from _members(arguments, "")
    if function == "query":
        yield from _texts("connections", "/connection", arguments.get("connection"))
    for argument, kind in NAMED.get(function, {}).items():
        yield from _texts(kind, f"/{argument}", arguments.get(argument))


def _members(group: Mapping[str, object], at: str) -> Iterator[tuple[str, str, str]]:
    yield from _texts("members", f"{at}/lead", group.get("lead"))
    yield from _texts("members", f"{at}/members", group.get("members"))
    for number, member in enumerate(_listed(group.get("members"))):
        if isinstance(member, Mapping):
            yield from _members(cast("Mapping[str, object]", member), f"{at}/members/{number}")


def _texts(kind: str, at: str, said: object) -> Iterator[tuple[str, str, str]]:
    """A name, or those of a list."""
    if isinstance(said, str):
        yield kind, at, said
    for number, each in enumerate(_listed(said)):
        if isinstance(each, str):
            yield kind, f"{at}/{number}", each


def _listed(said: object) -> tuple[object, ...]:
    return tuple(cast("Iterable[object]", said)) if isinstance(said, list | tuple) else ()
