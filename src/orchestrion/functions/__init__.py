"""What a task can call. Each name is imported when first used, for some bring large libraries with them."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._a2a import MESSAGE_ONCE, A2a, A2aRequest
    from ._agent import HISTORY, SESSION, Agent
    from ._catalog import DefaultCatalog, documentation
    from ._connections import Connections, ConnectionSettings
    from ._definition import Definition, definition_place, read_project_definition
    from ._evaluate import Evaluate, Evaluating
    from ._guard import GuardFunction
    from ._http import HttpFunction
    from ._human import Human, check_answer
    from ._infer import Infer
    from ._installed import Installed
    from ._mail import Mail
    from ._mcp import Mcp
    from ._named_statement import NamedStatement, StatementFunction, read_named_statement
    from ._openapi import Describe, OpenApi, read_project_document
    from ._predict import Predict
    from ._python import PythonFunction, declares
    from ._query import Query
    from ._retrieve import Retrieve
    from ._route import Route
    from ._rules import Rules
    from ._schema import Violation, arguments_of, check_schema, require_valid, sentences, violations
    from ._team import Team
    from ._tokens import Tokens
    from ._transform import Transform
    from ._workflow import Workflow

__all__ = [
    "HISTORY",
    "MESSAGE_ONCE",
    "SESSION",
    "A2a",
    "A2aRequest",
    "Agent",
    "ConnectionSettings",
    "Connections",
    "DefaultCatalog",
    "Definition",
    "Describe",
    "Evaluate",
    "Evaluating",
    "GuardFunction",
    "HttpFunction",
    "Human",
    "Infer",
    "Installed",
    "Mail",
    "Mcp",
    "NamedStatement",
    "OpenApi",
    "Predict",
    "PythonFunction",
    "Query",
    "Retrieve",
    "Route",
    "Rules",
    "StatementFunction",
    "Team",
    "Tokens",
    "Transform",
    "Violation",
    "Workflow",
    "arguments_of",
    "check_answer",
    "check_schema",
    "declares",
    "definition_place",
    "documentation",
    "read_named_statement",
    "read_project_definition",
    "read_project_document",
    "require_valid",
    "sentences",
    "violations",
]

_HOMES = {
    "MESSAGE_ONCE": "_a2a",
    "A2a": "_a2a",
    "A2aRequest": "_a2a",
    "Agent": "_agent",
    "HISTORY": "_agent",
    "SESSION": "_agent",
    "ConnectionSettings": "_connections",
    "Connections": "_connections",
    "DefaultCatalog": "_catalog",
    "Definition": "_definition",
    "Describe": "_openapi",
    "Evaluate": "_evaluate",
    "Evaluating": "_evaluate",
    "GuardFunction": "_guard",
    "HttpFunction": "_http",
    "Human": "_human",
    "Infer": "_infer",
    "Mail": "_mail",
    "Installed": "_installed",
    "Mcp": "_mcp",
    "NamedStatement": "_named_statement",
    "OpenApi": "_openapi",
    "Predict": "_predict",
    "PythonFunction": "_python",
    "Query": "_query",
    "Retrieve": "_retrieve",
    "Route": "_route",
    "Team": "_team",
    "Rules": "_rules",
    "StatementFunction": "_named_statement",
    "Tokens": "_tokens",
    "Transform": "_transform",
    "Violation": "_schema",
    "Workflow": "_workflow",
    "arguments_of": "_schema",
    "check_answer": "_human",
    "check_schema": "_schema",
    "declares": "_python",
    "definition_place": "_definition",
    "documentation": "_catalog",
    "read_named_statement": "_named_statement",
    "read_project_definition": "_definition",
    "read_project_document": "_openapi",
    "require_valid": "_schema",
    "sentences": "_schema",
    "violations": "_schema",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)
