"""What exists in a project, as far as policies can speak of it, and the Cedar schema that follows from it."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from orchestrion.core import BugError, Json

from ._shape import Record, cedar_type, merged, record_of

PRINCIPALS = ("Agent", "User", "Workflow")
RESOURCES = ("Agent", "Connection", "Function", "Host", "Model", "Process", "Role", "Tool", "Workflow")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionDeclaration:
    """A function or tool by the name policies call it, what its arguments are, and what it may act on."""

    name: str
    input_schema: Json
    resource_types: Sequence[str] = ("Function",)
    """Entity types, such as `Connection` for a query or `Host` for an HTTP call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogued:
    """What exists. A policy that names an agent, workflow, connection, user or role outside it is a mistake."""

    actions: Sequence[ActionDeclaration]
    agents: Sequence[str] = ()
    workflows: Sequence[str] = ()
    """As `namespace/name`."""
    connections: Sequence[str] | None = None
    """None: unknown, so that none is called a mistake."""
    roles: Sequence[str] = ()
    """In order of increasing power; each may approve what those before it may."""
    users: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """User → roles."""

    def to_json(self) -> Json:
        """What there is to name, without users: who somebody is does not depend on a version."""
        return {
            "actions": [
                {"name": each.name, "input": each.input_schema, "resources": list(each.resource_types)}
                for each in self.actions
            ],
            "agents": list(self.agents),
            "workflows": list(self.workflows),
            "roles": list(self.roles),
        }

    def as_of(self, said: Json) -> "Catalogued":
        """What there was to name when `said` was written, for the users there are now."""
        then = cast("dict[str, list[Any]]", said)
        gone = [role for role in then["roles"] if role not in self.roles]
        return Catalogued(
            actions=[
                ActionDeclaration(name=each["name"], input_schema=each["input"], resource_types=each["resources"])
                for each in then["actions"]
            ],
            agents=then["agents"],
            workflows=then["workflows"],
            roles=(*gone, *self.roles),
            users=self.users,
        )

    def beside(self, other: "Catalogued") -> "Catalogued":
        """What there is to name here or in the other; where both have an action, as it is here."""
        mine = {each.name for each in self.actions}
        return replace(
            self,
            actions=[*self.actions, *(each for each in other.actions if each.name not in mine)],
            agents=sorted({*self.agents, *other.agents}),
            workflows=sorted({*self.workflows, *other.workflows}),
            connections=None,
        )

    def known(self, entity_type: str) -> Sequence[str] | None:
        """The ids that exist of a type; None where any id may be meant."""
        match entity_type:
            case "Action":
                return [action.name for action in self.actions]
            case "Agent":
                return self.agents
            case "Workflow":
                return self.workflows
            case "Connection":
                return self.connections
            case "Role":
                return self.roles
            case "User":
                return list(self.users)
            case _:
                return None


@dataclass(frozen=True, slots=True)
class Signature:
    """How an action appears to policies."""

    arguments: Record
    resource_types: frozenset[str]


def signatures(actions: Iterable[ActionDeclaration]) -> dict[str, Signature]:
    """Every action's signature. One name declared several times (a tool of several agents) gets what all have in common."""
    found: dict[str, Signature] = {}
    for action in actions:
        arguments = record_of(action.input_schema)
        types = frozenset(action.resource_types or ("Function",))
        for each in types:
            if not _IDENTIFIER.fullmatch(each):
                raise BugError("resource-type", f"Action {action.name!r} declares {each!r}, which cannot name a type.")
        known = found.get(action.name)
        found[action.name] = (
            Signature(merged(known.arguments, arguments), known.resource_types | types)
            if known
            else Signature(arguments, types)
        )
    return found


def cedar_schema(actions: Mapping[str, Signature]) -> dict[str, Json]:
    """The schema in Cedar's JSON format. Source: Cedar policy language guide, "Schema: JSON format"."""
    types = {*PRINCIPALS, *RESOURCES}.union(*(action.resource_types for action in actions.values()))
    entities: dict[str, Json] = {name: {} for name in sorted(types)}
    entities["Role"] = entities["User"] = {"memberOfTypes": ["Role"]}
    return {"": {"entityTypes": entities, "actions": {name: _action(actions[name]) for name in sorted(actions)}}}


def _action(signature: Signature) -> dict[str, Json]:
    text: dict[str, Json] = {"type": "String"}
    person = {"type": "Record", "attributes": {"role": text, "by": text}, "required": False}
    return {
        "appliesTo": {
            "principalTypes": list(PRINCIPALS),
            "resourceTypes": sorted(signature.resource_types),
            "context": {
                "type": "Record",
                "attributes": {
                    "arguments": cedar_type(signature.arguments),
                    "labels": {"type": "Set", "element": text},
                    "workflow": text,
                    "subject": {**text, "required": False},
                    "approval": person,
                },
            },
        }
    }


def cedar_entities(roles: Sequence[str], users: Mapping[str, Sequence[str]]) -> list[Json]:
    """Users in their roles, and each role in the one below it: `principal in Role::"x"` holds from x upwards."""
    found: list[Json] = []
    for below, role in zip([None, *roles], roles, strict=False):
        found.append(_entity("Role", role, [below] if below else []))
    for user, held in users.items():
        found.append(_entity("User", user, [role for role in held if role in roles]))
    return found


def _entity(entity_type: str, name: str, roles: Sequence[str]) -> dict[str, Json]:
    parents: list[Json] = [{"type": "Role", "id": role} for role in roles]
    return {"uid": {"type": entity_type, "id": name}, "attrs": {}, "parents": parents}


def entity_text(entity_type: str, name: str) -> str:
    """An entity as a policy writes it."""
    return f"{entity_type}::{json.dumps(name, ensure_ascii=False)}"
