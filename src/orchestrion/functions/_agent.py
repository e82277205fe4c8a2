"""`agent`: one engagement of an agent of the project."""

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar, cast

from orchestrion.agents import AgentDefinition, Limits, Sessions, TeamLimits
from orchestrion.core import Clock, Datum, Declaration, Effects, Invocation, Json, Outcome, UserError, sub_labels
from orchestrion.models import Models

if TYPE_CHECKING:
    from orchestrion.agents import Session

Bounds = TypeVar("Bounds", Limits, TeamLimits)

SESSION_OF: Json = {
    "type": "object",
    "required": ["team", "key"],
    "description": "Whose conversation it is, and which call has it. Written by hand-overs.",
    "properties": {"team": {"type": "string"}, "key": {"type": "string"}},
}
SESSION: Json = {
    "type": ["string", "null"],
    "minLength": 1,
    "maxLength": 200,
    "description": "The conversation it belongs to, such as a customer's number, if to any: what was said before is shown.",
}
HISTORY: Json = {
    "type": ["array", "null"],
    "maxItems": 200,
    "description": "What was said before, where whoever calls keeps the conversation; not beside `session`.",
    "items": {
        "type": "object",
        "required": ["role", "content"],
        "additionalProperties": False,
        "properties": {"role": {"enum": ["user", "assistant"]}, "content": {"type": "string"}},
    },
}
_LIMITS: Mapping[str, Json] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Bounds for this call; the agent's own hold where they are tighter.",
    "properties": {
        "turns": {"type": "integer", "minimum": 1, "description": "How often the model may be asked."},
        "usd": {"type": "number", "minimum": 0, "description": "What the models may cost in all."},
        "seconds": {"type": "number", "exclusiveMinimum": 0, "description": "How long the models may think in all."},
    },
}

_DECLARATION = Declaration(
    name="agent",
    version="1.0.0",
    title="Engage an agent",
    description=(
        "Gives a task to an agent of the project and waits for its answer; the agent looks things up and acts with its "
        "tools, each of which policy decides about. It receives only the input fields that its file declares. It may wait "
        "inside for a person's approval, for days. What it cost, which model or rules answered, and which tools it used "
        "stand in the record."
    ),
    input_schema={
        "type": "object",
        "required": ["agent", "input"],
        "additionalProperties": False,
        "properties": {
            "agent": {"type": "string", "minLength": 1, "description": "The agent's name."},
            "input": {"type": "object", "description": "What the agent is given."},
            "limits": _LIMITS,
            "session": SESSION,
            "session_of": SESSION_OF,
            "history": HISTORY,
            "output": {"type": "object", "description": "JSON Schema of the answer, in place of the agent's own."},
        },
    },
    output_schema={
        "type": "object",
        "description": "Valid against the agent's output schema; `{ reply: text }` where it has none.",
    },
    effect="write",
    idempotent=False,
)


class Agent:
    """A composite: every model request and every tool call in it is an entry of its own."""

    def __init__(
        self, agents: Mapping[str, AgentDefinition], models: Models, clock: Clock, sessions: Sessions | None = None
    ) -> None:
        self._sessions = sessions or Sessions()
        self._agents = agents
        self._models = models
        self._clock = clock

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    async def run(self, invocation: Invocation, effects: Effects) -> Outcome:
        """Raises: UserError `unknown-agent`, and what `agents.run_agent` raises."""
        from orchestrion.agents import run_agent

        arguments = cast("Mapping[str, Json]", invocation.arguments.value)  # validated against the input schema
        return await run_agent(
            self._definition(arguments),
            Datum(arguments["input"], sub_labels(invocation.arguments.labels, "/input")),
            invocation,
            effects,
            models=self._models,
            clock=self._clock,
            session=session_of(arguments, self._sessions),
            history=history_of(invocation.arguments),
        )

    def output_schema(self, arguments: Mapping[str, Json]) -> Mapping[str, Json]:
        """That of the agent, or the one that the call gives instead. Raises: UserError `unknown-agent`."""
        return self._definition(arguments).answer_fields or _DECLARATION.output_schema

    def _definition(self, arguments: Mapping[str, Json]) -> AgentDefinition:
        name = cast("str", arguments["agent"])
        if name not in self._agents:
            near = difflib.get_close_matches(name, self._agents, n=1)
            listed = ", ".join(sorted(self._agents)) or "none"
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {listed}."
            raise UserError("unknown-agent", f"There is no agent {name!r}.", hint=hint)
        changed: dict[str, object] = {}
        if "output" in arguments:
            changed["output"] = arguments["output"]
        if "limits" in arguments:
            changed["limits"] = tighter(self._agents[name].limits, cast("Mapping[str, float]", arguments["limits"]))
        return self._agents[name].changed(**changed) if changed else self._agents[name]


def session_of(
    arguments: Mapping[str, Json], sessions: Sessions, *, team: str | None = None, key: str | None = None
) -> "Session | None":
    """The session that a call names: the agent's, that of the team whose call stands at `key`, or one that was handed on."""
    from orchestrion.agents import Session

    name = arguments.get("session")
    if name is None:
        return None
    handed = cast("Mapping[str, str]", arguments.get("session_of") or {})
    return Session(
        name=cast("str", name), sessions=sessions, team=handed.get("team", team), held_at=handed.get("key", key)
    )


def history_of(arguments: Datum) -> Datum | None:
    """What a call says was said before. Raises: UserError `two-histories` beside a session."""
    given = cast("Mapping[str, Json]", arguments.value)
    if not given.get("history"):
        return None
    if given.get("session") is not None:
        raise UserError(
            "two-histories",
            "Both a session and a history are given.",
            hint="Leave `history` out: the session has what was said before.",
        )
    return Datum(given["history"], sub_labels(arguments.labels, "/history"))


def tighter(own: Bounds, given: Mapping[str, float]) -> Bounds:
    """Of two bounds the lower one holds."""
    said = own.model_dump()
    for name, bound in given.items():
        said[name] = bound if said[name] is None else min(said[name], bound)
    return type(own).model_validate(said)
