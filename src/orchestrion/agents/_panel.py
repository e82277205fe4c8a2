"""What a panel's members said, and what the agent that brings it together must say of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

from orchestrion.core import Json, dump

from ._definition import AgentDefinition

_ABOUT_FIELDS = frozenset({"boolean", "integer", "number"})

PANEL_FIELDS: Mapping[str, JsonValue] = {
    "contributions": {
        "type": "array",
        "description": "Every member that answered, and what of it stands in this answer.",
        "items": {
            "type": "object",
            "required": ["member"],
            "properties": {"member": {"type": "string"}, "said": {}},
        },
    },
    "disagreements": {
        "type": "array",
        "description": "Everything that the members disagree about.",
        "items": {"type": "object", "required": ["about"], "properties": {"about": {"type": "string"}}},
    },
}
"""What an answer that sums a panel up has beside the agent's own fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What is summed up."""

    contributions: Sequence[Json]
    disagreements: Sequence[Json]

    @staticmethod
    def of(contributions: Sequence[Json], agents: Sequence[AgentDefinition]) -> "Panel":
        """`contributions` as they were made; where they disagree is found by what their schemas let be compared."""
        told: list[Json] = [
            {"said" if name == "result" else name: value for name, value in each.items()}
            for each in cast("Sequence[Mapping[str, Json]]", contributions)
        ]
        return Panel(contributions=told, disagreements=disagreements(contributions, agents))

    def to_json(self) -> Json:
        """As the lead is given it."""
        return {"contributions": list(self.contributions), "disagreements": list(self.disagreements)}

    def flaw(self, answer: Mapping[str, Json]) -> str | None:
        """What an answer leaves out or makes up, in words for the model."""
        members = _by(list(self.contributions), "member")
        named = _by(answer.get("contributions"), "member")
        for member, each in members.items():
            if each.get("status") == "done" and named.get(member, {}).get("said") is None:
                return f"`contributions` leaves out what {member} said."
        if made_up := sorted(named.keys() - members.keys()):
            return f"`contributions` names {', '.join(made_up)}, who was not asked."
        about = _by(list(self.disagreements), "about").keys() - _by(answer.get("disagreements"), "about").keys()
        return f"`disagreements` leaves out {', '.join(sorted(about))}." if about else None


def _by(items: Json, field: str) -> dict[str, Mapping[str, Json]]:
    found = [each for each in items if isinstance(each, Mapping)] if isinstance(items, list | tuple) else []
    return {str(each.get(field)): each for each in found}


def disagreements(contributions: Sequence[Json], agents: Sequence[AgentDefinition]) -> list[Json]:
    """Fields that several members answered differently, of those whose schemas make values comparable: choices, numbers, yes or no."""
    comparable = {agent.name: _comparable(agent) for agent in agents}
    said: dict[str, dict[str, Json]] = {}
    for each in cast("Sequence[Mapping[str, Json]]", contributions):
        result = each.get("result")
        if each.get("status") != "done" or not isinstance(result, Mapping):
            continue
        member = str(each["member"])
        for field in comparable.get(member, ()):
            if result.get(field) is not None:
                said.setdefault(field, {})[member] = result[field]
    return [
        {"about": field, "said": cast("Json", by_member)}
        for field, by_member in sorted(said.items())
        if len({dump(value) for value in by_member.values()}) > 1
    ]


def _comparable(agent: AgentDefinition) -> list[str]:
    properties = (agent.output or {}).get("properties")
    if not isinstance(properties, Mapping):
        return []
    return [
        name
        for name, schema in properties.items()
        if isinstance(schema, Mapping) and ("enum" in schema or schema.get("type") in _ABOUT_FIELDS)
    ]
