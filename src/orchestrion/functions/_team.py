"""`team`: several agents of the project on one task."""

from collections.abc import Mapping
from typing import cast

from pydantic import ValidationError

from orchestrion.agents import AgentDefinition, Sessions, TeamCall, TeamDefinition, team_tree
from orchestrion.core import Clock, Datum, Declaration, Effects, Invocation, Json, Outcome, UserError, sub_labels
from orchestrion.models import Models

from ._agent import HISTORY, SESSION, SESSION_OF, history_of, session_of, tighter

_MEMBER: Json = {
    "description": "The name of an agent or team, or a group: members with a lead of their own.",
    "oneOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "required": ["name", "lead", "members"],
            "properties": {
                "name": {"type": "string"},
                "description": {"type": "string"},
                "lead": {"type": "string"},
                "members": {"type": "array", "minItems": 1},
            },
        },
    ],
}
_LIMITS: Json = {
    "type": "object",
    "additionalProperties": False,
    "description": "Bounds for all agents together; the team's own hold where they are tighter.",
    "properties": {
        "turns": {"type": "integer", "minimum": 1, "description": "How often models may be asked."},
        "usd": {"type": "number", "minimum": 0, "description": "What the models may cost."},
        "seconds": {"type": "number", "exclusiveMinimum": 0, "description": "Wall-clock time, people included."},
        "depth": {"type": "integer", "minimum": 0, "description": "How many agents deep it may go."},
        "rounds": {"type": "integer", "minimum": 1, "description": "How often the members of a debate speak."},
    },
}
_DECLARATION = Declaration(
    name="team",
    version="1.0.0",
    title="Engage a team of agents",
    description=(
        "Gives a task to several agents. `supervisor`: the lead has members work and answers itself; `hierarchy`: the "
        "same, and members that are groups have leads of their own; `handoff`: whoever has the task answers, or hands it "
        "over to a peer for good; `panel`: all members work on it at once, and the lead brings together what they said, "
        "names who contributed what, and where they disagree; `debate`: a panel whose members hear each other and speak again "
        "until they agree. The agents are the same in every pattern. Name a team of "
        "the project, or say `pattern`, `lead` and `members` here. When a bound is reached, `result` may be null, "
        "`bound` says which, and `contributions` what was achieved."
    ),
    input_schema={
        "type": "object",
        "required": ["input"],
        "additionalProperties": False,
        "properties": {
            "team": {"type": "string", "minLength": 1, "description": "A team of the project: teams/NAME.yaml."},
            "pattern": {"enum": ["supervisor", "hierarchy", "handoff", "panel", "debate"]},
            "name": {"type": "string", "description": "What the run's tree calls a team that is written here."},
            "description": {"type": "string", "description": "What it is for."},
            "lead": {"type": "string", "minLength": 1, "description": "The agent that is given the task."},
            "members": {"type": "array", "minItems": 1, "items": _MEMBER, "description": "Who works with the lead."},
            "input": {"type": "object", "description": "What the team is given. Each agent receives what it declares."},
            "limits": _LIMITS,
            "session": SESSION,
            "session_of": SESSION_OF,
            "history": HISTORY,
            "output": {"type": "object", "description": "JSON Schema of the lead's answer, in place of its own."},
            "came": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Who had the task before and handed it over. Written by hand-overs.",
            },
        },
    },
    output_schema={
        "type": "object",
        "required": ["result", "by", "pattern", "contributions", "bound"],
        "properties": {
            "result": {"description": "The answer; null when a bound was reached before there was one."},
            "by": {"type": ["string", "null"], "description": "The agent that answered."},
            "pattern": {"type": "string"},
            "contributions": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["member", "status"],
                    "properties": {
                        "member": {"type": "string"},
                        "status": {"enum": ["done", "refused", "failed", "handed over"]},
                        "result": {},
                        "answered_by": {"type": "string", "description": "Rules, or a language model."},
                        "by": {"type": "array", "description": "The kinds of tool it used."},
                        "reason": {"type": "string"},
                        "code": {"type": "string"},
                        "to": {"type": "string"},
                        "round": {"type": "integer", "description": "Of a debate: 1 for what was said first."},
                    },
                },
            },
            "bound": {
                "type": ["object", "null"],
                "description": "The bound that was reached: `code` and `reason`.",
                "properties": {"code": {"type": "string"}, "reason": {}, "member": {}},
            },
        },
    },
    effect="write",
    idempotent=False,
)


class Team:
    """A composite: everything its agents do are entries of their own."""

    def __init__(
        self,
        teams: Mapping[str, TeamDefinition],
        agents: Mapping[str, AgentDefinition],
        models: Models,
        clock: Clock,
        sessions: Sessions | None = None,
    ) -> None:
        self._sessions = sessions or Sessions()
        self._teams = teams
        self._agents = agents
        self._models = models
        self._clock = clock

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    async def run(self, invocation: Invocation, effects: Effects) -> Outcome:
        """Raises: UserError `unknown-team`, `bad-team`, and what `agents.run_team` raises."""
        from orchestrion.agents import run_team

        arguments = cast("Mapping[str, Json]", invocation.arguments.value)  # validated against the input schema
        team = self._team(arguments)
        call = TeamCall(
            tree=team_tree(team, self._agents, self._teams),
            pattern=team.pattern,
            limits=tighter(team.limits, cast("Mapping[str, float]", arguments.get("limits") or {})),
            input=Datum(arguments["input"], sub_labels(invocation.arguments.labels, "/input")),
            came=tuple(cast("list[str]", arguments.get("came") or ())),
            output=cast("Mapping[str, Json] | None", arguments.get("output")),
            session=session_of(arguments, self._sessions, team=team.name, key=invocation.key),
            history=history_of(invocation.arguments),
        )
        return await run_team(call, invocation, effects, models=self._models, clock=self._clock)

    def _team(self, arguments: Mapping[str, Json]) -> TeamDefinition:
        given = {name: arguments[name] for name in ("pattern", "lead", "members", "description") if name in arguments}
        name = arguments.get("team")
        if name is None:
            given = {"name": arguments.get("name") or "team", **given}
        elif name not in self._teams:
            listed = ", ".join(sorted(self._teams)) or "none"
            raise UserError("unknown-team", f"There is no team {name!r}.", hint=f"Known: {listed}.")
        else:
            given = {**self._teams[cast("str", name)].model_dump(mode="json"), **given}
        try:
            return TeamDefinition.model_validate(given)
        except ValidationError as error:
            said = "; ".join(f"{'/'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise UserError(
                "bad-team",
                f"This is no team: {said}.",
                hint="Name one with `team`, or give `lead` and `members`.",
            ) from None
