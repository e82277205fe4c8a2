"""What an engagement of a team's member came to, as the others and the team's result see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from orchestrion.core import Json, Outcome

from ._definition import AgentDefinition
from ._team import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an engagement of a member came to."""

    result: Json
    contributions: Sequence[Json]
    turns: int
    bound: str | None = None
    """In words, when a limit kept it from answering."""
    code: str = ""


def said_by(member: Member, outcome: Outcome) -> Said:
    """What a member answered, or the team below it."""
    why = cast("Mapping[str, Json]", outcome.why)
    value = outcome.output.value
    if "team" in why:
        told = cast("Mapping[str, Json]", value)
        bound = cast("Mapping[str, Json] | None", told["bound"])
        return Said(
            result=told["result"],
            contributions=cast("Sequence[Json]", told["contributions"]),
            turns=cast("int", why["turns"]),
            bound=None if bound is None or told["result"] is not None else cast("str", bound["reason"]),
            code="" if bound is None else cast("str", bound["code"]),
        )
    return Said(
        result=value,
        contributions=[contribution(member.agent, value, why)],
        turns=len(cast("Sequence[Json]", why["answers"])),
    )


def contribution(agent: AgentDefinition, value: Json, why: Mapping[str, Json]) -> Json:
    """What an agent said, and by which kinds of model and tool it came to that."""
    done = [
        cast("str", each["tool"])
        for each in cast("Sequence[Mapping[str, Json]]", why["tools"])
        if each["status"] == "done"
    ]
    own = {tool.name: tool.kind for tool in agent.tools}
    return {
        "member": agent.name,
        "status": "done",
        "result": value,
        "answered_by": why["answered_by"],
        "by": sorted({own[tool] for tool in done if tool in own}),
    }
