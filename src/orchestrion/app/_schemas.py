"""JSON Schemas of what a project reads, for editors."""

from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrion.agents import agent_schema, team_schema
from orchestrion.core import Json, UserError
from orchestrion.models import playbook_schema, predictor_schema
from orchestrion.oversight import evaluation_schema
from orchestrion.project import settings_schema
from orchestrion.spec import workflow_schema
from orchestrion.tables import table_schema

from ._rooms import open_rooms

_OF_FILES: Mapping[str, Callable[[], dict[str, Json]]] = {
    "agent": agent_schema,
    "evaluation": evaluation_schema,
    "playbook": playbook_schema,
    "predictor": predictor_schema,
    "project": settings_schema,
    "table": table_schema,
    "team": team_schema,
}
SCHEMA_KINDS = (*_OF_FILES, "workflow")
"""Kinds of files that have a schema."""


async def schema_of(kind: str, path: Path) -> dict[str, Json]:
    """The schema of a kind of file. That of a workflow knows the functions of the project at or around `path`.

    Raises: UserError `unknown-kind`; BadProject for a workflow's, when `orchestrion.yaml` itself is wrong.
    """
    if kind in _OF_FILES:
        return _OF_FILES[kind]()
    if kind != "workflow":
        raise UserError("unknown-kind", f"There is no schema {kind!r}.", hint=f"There are: {', '.join(SCHEMA_KINDS)}.")
    async with open_rooms(path, workflows=[]) as rooms:
        return workflow_schema(rooms.catalog.declarations())
