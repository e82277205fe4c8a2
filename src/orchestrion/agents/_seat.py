"""An agent's place in a team: whom it may engage, with what, and what its team may still spend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from orchestrion.core import Acting, Cost, Datum, Invocation, Json, Labels, merge_labels, move_labels, sub_labels

from ._definition import AgentDefinition
from ._team import Member, Pattern, TeamLimits

ENGAGE = "engage"
"""The action of engaging a colleague, as policies call it."""
FROM_THE_TEAM = frozenset({"conversation", "panel", "debate"})
"""Fields of an agent's input that its team fills in."""


@dataclass(slots=True)
class Ledger:
    """What an agent and whoever it engaged have done and spent; it survives a limit that is reached."""

    turns: int = 0
    cost: Cost = field(default_factory=Cost)
    _contributions: dict[tuple[int, int], list[Json]] = field(default_factory=dict[tuple[int, int], list[Json]])

    def add(self, place: tuple[int, int], contributions: Sequence[Json], *, turns: int, cost: Cost | None) -> None:
        """`place` orders what happened at once as it was asked for."""
        self._contributions.setdefault(place, []).extend(contributions)
        self.turns += turns
        self.spend(cost)

    def spend(self, cost: Cost | None) -> None:
        if cost is not None:
            self.cost = Cost(
                usd_micros=self.cost.usd_micros + cost.usd_micros,
                input_tokens=self.cost.input_tokens + cost.input_tokens,
                output_tokens=self.cost.output_tokens + cost.output_tokens,
            )

    @property
    def contributions(self) -> list[Json]:
        return [each for place in sorted(self._contributions) for each in self._contributions[place]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Whom an agent may engage, and how that ends."""

    pattern: Pattern
    colleagues: Mapping[str, Member]
    input: Datum
    """What the team was given: a colleague gets of it what its own file declares, whatever this agent was given."""
    limits: TeamLimits
    came: tuple[str, ...] = ()
    """Who had the task before and handed it over."""
    ledger: Ledger = field(default_factory=Ledger)
    conversation: Datum = field(default_factory=lambda: Datum({}))
    """What a hand-over says of the conversation, so that whoever takes over goes on with it."""

    @property
    def hands_over(self) -> bool:
        """Whether a colleague answers in this agent's place, or this agent goes on with what it said."""
        return self.pattern == "handoff"

    def description(self, member: Member) -> str:
        """What the model is told of a colleague."""
        does = f" {member.description}" if member.description else ""
        if self.hands_over:
            return f"Hand the task over to {member.name}, who answers in your place; you are done then.{does}"
        return f"Have {member.name} work on the task and tell you the result.{does}"

    def parameters(self, member: Member) -> dict[str, Json]:
        """What the model chooses: the declared input that the team was not given. The rest goes along by itself."""
        declared = member.agent.input.get("properties")
        given = cast("Mapping[str, Json]", self.input.value)
        properties: dict[str, Json] = {}
        if isinstance(declared, Mapping):
            left_out = {*given, *FROM_THE_TEAM}
            properties = {name: cast("Json", value) for name, value in declared.items() if name not in left_out}
        required = cast("Sequence[str]", member.agent.input.get("required") or ())
        needed: list[Json] = [name for name in required if name in properties]
        if self.hands_over:
            properties["reason"] = {"type": "string", "description": "Why it is theirs, in a sentence."}
        return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}

    def left(self) -> dict[str, Json]:
        """What a colleague may spend: the team's bounds without what is spent."""
        left: dict[str, Json] = {"turns": max(1, self.limits.turns - self.ledger.turns)}
        if self.limits.usd is not None:
            left["usd"] = max(0.0, self.limits.usd - self.ledger.cost.usd_micros / 1_000_000)
        return left

    def invocation(
        self,
        giver: AgentDefinition,
        member: Member,
        chosen: Mapping[str, Json],
        *,
        heard: frozenset[str],
        found: Json,
        key: str,
        task: str,
    ) -> Invocation:
        """The engagement of a colleague. `found` is what the giver learned, which goes along with a hand-over."""
        given = cast("Mapping[str, Json]", self.input.value)
        reason = chosen.get("reason") if self.hands_over else None
        value: dict[str, Json] = {**given, **{name: each for name, each in chosen.items() if name != "reason"}}
        labels: list[Labels] = [{f"/{name}": heard} for name in chosen if heard and name in value]
        labels += [move_labels(sub_labels(self.input.labels, f"/{name}"), f"/{name}") for name in given]
        if self.hands_over:
            earlier = cast("Sequence[Json]", given.get("conversation") or ())
            value["conversation"] = [*earlier, {"by": giver.name, "reason": reason, "found": found}]
            labels.append({"/conversation": heard} if heard else {})
        function, arguments = self._call(giver, member, value)
        labels = [move_labels(merge_labels(labels), "/input")]
        if self.hands_over:
            labels.append(self.conversation.labels)
        return Invocation(
            key=key,
            task=task,
            function=function,
            arguments=Datum(arguments, merge_labels(labels)),
            acting=Acting(
                principal=("Agent", giver.name),
                action=ENGAGE,
                arguments={"member": member.name, "pattern": self.pattern, **({"reason": reason} if reason else {})},
                version=giver.version,
                resource=("Agent", member.agent.name),
            ),
        )

    def _call(self, giver: AgentDefinition, member: Member, value: Mapping[str, Json]) -> tuple[str, dict[str, Json]]:
        deeper: dict[str, Json] = {**self.left(), "depth": self.limits.depth - 1}
        talk = cast("Mapping[str, Json]", self.conversation.value)
        if self.hands_over:
            came = (*self.came, giver.name)
            others: list[Json] = [name for name in self.colleagues if name != member.name and name not in came]
            if others:
                return "team:1.0.0", {
                    "pattern": self.pattern,
                    "lead": member.name,
                    "members": others,
                    "input": value,
                    "limits": deeper,
                    "came": list(came),
                    **talk,
                }
            return "agent:1.0.0", {"agent": member.agent.name, "input": value, "limits": self.left(), **talk}
        if member.members:
            tree = cast("Mapping[str, Json]", member.to_json())
            named = {name: tree[name] for name in ("name", "description", "lead", "members")}
            return "team:1.0.0", {"pattern": self.pattern, **named, "input": value, "limits": deeper}
        return "agent:1.0.0", {"agent": member.agent.name, "input": value, "limits": self.left()}
