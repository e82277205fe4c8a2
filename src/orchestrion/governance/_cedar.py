"""Cedar, typed: the only place that knows the library."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import cast

import cedarpy
from cedarpy import pst

from orchestrion.core import Json

Name = tuple[str, str]
"""An entity or an action: type and id."""


class NotCedar(ValueError):
    """Text that Cedar cannot read; the message is Cedar's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What Cedar says of one request. Only `allowed` without `errors` may be taken as a yes."""

    allowed: bool
    determining: tuple[int, ...]
    """Positions of the policies that settled it: the permits of a yes, the forbids of a no; none for a no by default."""
    errors: tuple[str, ...]


def parse_policy(text: str) -> pst.Template:
    """The tree of exactly one policy. Raises: NotCedar."""
    try:
        policies = cedarpy.policies_to_pst(text)
    except ValueError as error:
        raise NotCedar(str(error)) from None
    if policies.templates:
        raise NotCedar("templates (`?principal`, `?resource`) are not supported")
    if len(policies.static_policies) != 1:
        raise NotCedar(f"one policy was expected here, not {len(policies.static_policies)}")
    return next(iter(policies.static_policies.values()))


def syntax_error(text: str) -> str | None:
    """Cedar's complaint about `text`, or None when it parses."""
    try:
        cedarpy.PolicySet.from_str(text)
    except ValueError as error:
        return str(error)
    return None


def nodes(root: object) -> Iterator[object]:
    """A node of a policy's tree and all below it."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(children(node))


def children(node: object) -> Iterator[object]:
    """The nodes directly below one."""
    if not is_dataclass(node):
        return
    for field in fields(node):
        value = cast("object", getattr(node, field.name))
        if isinstance(value, Mapping):
            yield from cast("Mapping[str, object]", value).values()
        elif isinstance(value, tuple):
            yield from cast("tuple[object, ...]", value)
        else:
            yield value


def validate(policies: str, schema: Mapping[str, Json]) -> list[tuple[int, str]]:
    """What does not fit the schema: position of the policy, and Cedar's words for it."""
    result = cedarpy.validate_policies(policies, json.dumps(schema))  # pyright: ignore[reportUnknownMemberType]  bare dict
    return [] if result.validation_passed else [(_position(each.policy_id), each.error) for each in result.errors]


def _position(policy_id: str) -> int:
    number = policy_id.removeprefix("policy")
    return int(number) if number.isdigit() else 0


class Cedar:
    """Policies, schema and entities, parsed once and asked many times."""

    def __init__(self, policies: str, schema: Mapping[str, Json], entities: Json) -> None:
        self._policies = cedarpy.PolicySet.from_str(policies)
        self._schema = cedarpy.Schema.from_json_str(json.dumps(schema))
        self._entities = cedarpy.Entities.from_json_str(  # pyright: ignore[reportUnknownMemberType]  bare dict
            json.dumps(entities), self._schema
        )

    def ask(self, principal: Name, action: str, resource: Name, context: str) -> Evaluation:
        """Evaluate one request; `context` is JSON text."""
        result = cedarpy.is_authorized(  # pyright: ignore[reportUnknownMemberType]  bare dict
            {
                "principal": {"type": principal[0], "id": principal[1]},
                "action": {"type": "Action", "id": action},
                "resource": {"type": resource[0], "id": resource[1]},
                "context": context,
            },
            self._policies,
            self._entities,
            self._schema,
        )
        found = result.diagnostics
        return Evaluation(
            allowed=result.allowed,
            determining=tuple(sorted(_position(policy_id) for policy_id in found.reasons)),
            errors=tuple(found.errors),
        )


def schema_text(schema: Mapping[str, Json]) -> str:
    """A schema in Cedar's own notation, for people and editors."""
    return str(cedarpy.Schema.from_json_str(json.dumps(schema))).replace("__cedar::", "")
