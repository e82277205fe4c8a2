"""A team at work: its lead and members, in one of five patterns over the same agents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from orchestrion.core import (
    ERROR_TYPES,
    Acting,
    BugError,
    Clock,
    Datum,
    Effects,
    Faulted,
    Fenced,
    Invocation,
    Json,
    Labels,
    OrchestrionError,
    Outcome,
    canonical_error_type,
    merge_labels,
    move_labels,
)
from orchestrion.models import Models

from ._contribution import contribution, said_by
from ._panel import Panel
from ._run import run_agent
from ._seat import ENGAGE, Ledger, Seat
from ._session import handed_on
from ._team import Member, TeamCall, TeamLimits


async def run_team(
    call: TeamCall, invocation: Invocation, effects: Effects, *, models: Models, clock: Clock
) -> Outcome:
    """Engage a team. Its output says what came of it, who answered, who contributed what, and which bound was hit, if any.

    Raises: Faulted with the lead's failure, when no bound is the reason.
    """
    team = _Team(call, invocation, models, clock)
    ledger = Ledger()
    answered: _Answered | None = None
    bound: Json = None
    try:
        if call.limits.seconds is None:
            answered = await team.engaged(effects, ledger)
        else:
            body = partial(team.engaged, ledger=ledger)
            answered = await effects.within(invocation.key, invocation.task, call.limits.seconds, body)
    except Faulted as error:
        bound = _bound(error, call.limits)
        if bound is None:
            raise
    contributions = [*ledger.contributions, *(answered.contributions if answered else ())]
    value: dict[str, Json] = {
        "result": answered.output.value if answered else None,
        "by": answered.by if answered else None,
        "pattern": call.pattern,
        "contributions": contributions,
        "bound": bound or _bound_below(contributions),
    }
    labels: Labels = move_labels(answered.output.labels, "/result") if answered else {}
    heard = answered.output.every_label() if answered else call.input.every_label()
    return Outcome(
        output=Datum(value, merge_labels([labels, {"/contributions": heard} if heard else {}])),
        cost=ledger.cost,
        model=answered.model if answered else None,
        why={
            "team": call.tree.name,
            "pattern": call.pattern,
            "turns": ledger.turns,
            **(answered.why if answered else {}),
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    output: Datum
    by: str
    contributions: list[Json]
    """What is not in the ledger: the lead's own part."""
    model: str | None
    why: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class _Team:
    call: TeamCall
    invocation: Invocation
    models: Models
    clock: Clock

    async def engaged(self, effects: Effects, ledger: Ledger) -> _Answered:
        if self.call.pattern in ("panel", "debate"):
            return await self._panel(effects, ledger)
        tree = self.call.tree
        colleagues = tree.members if self.call.pattern == "hierarchy" else tuple(tree.leaves())
        seat = Seat(
            pattern=self.call.pattern,
            colleagues={each.name: each for each in colleagues},
            input=self.call.input,
            limits=self.call.limits,
            came=self.call.came,
            ledger=ledger,
            conversation=handed_on(self.call.session, self.call.history),
        )
        return await self._lead(effects, self.call.input, seat)

    async def _lead(self, effects: Effects, given: Datum, seat: Seat, panel: Panel | None = None) -> _Answered:
        lead = self.call.tree.agent
        if self.call.output is not None:
            lead = lead.changed(output=self.call.output)
        engagement = self.invocation.at(f"{self.invocation.key}/{lead.name}")
        outcome = await run_agent(
            lead,
            given,
            engagement,
            effects,
            models=self.models,
            clock=self.clock,
            seat=seat,
            panel=panel,
            session=self.call.session,
            history=self.call.history,
        )
        why = cast("Mapping[str, Json]", outcome.why)
        taken_by = why.get("handed_over_to")
        own: Json = contribution(lead, outcome.output.value, why)
        by = lead.name
        if taken_by is not None:
            own = {"member": lead.name, "status": "handed over", "to": taken_by}
            by = _last(seat.ledger, cast("str", taken_by))
        return _Answered(output=outcome.output, by=by, contributions=[own], model=outcome.model, why=why)

    # --- panel and debate ---

    async def _panel(self, effects: Effects, ledger: Ledger) -> _Answered:
        """Everyone at once, each without knowing of the others; then the lead brings together what they said.

        In a debate those who declare `debate` hear what the others said and speak again, until nobody disagrees, nobody says
        anything else than before, or the rounds are over.
        """
        members = list(self.call.tree.leaves())
        rounds = self.call.limits.rounds if self.call.pattern == "debate" else 1
        share = max(1, (self.call.limits.turns - 1) // (len(members) * rounds))
        heard = _Heard(self.call.input.every_label())
        speaking, number = members, 0
        while True:
            said = await self._round(effects, ledger, speaking, number, share, heard)
            changed = any(heard.last.get(name) != each for name, each in said.items())
            heard.last.update(said)
            panel = Panel.of([heard.last[member.name] for member in members], [member.agent for member in members])
            speaking = [member for member in members if _debates(member) and heard.answered(member.name)]
            number += 1
            if number == rounds or not panel.disagreements or not changed or not speaking:
                break
            heard.debate = panel.to_json()
        given = cast("Mapping[str, Json]", self.call.input.value)
        labels = merge_labels([self.call.input.labels, {"/panel": heard.labels} if heard.labels else {}])
        seat = Seat(
            pattern=self.call.pattern, colleagues={}, input=self.call.input, limits=self.call.limits, ledger=ledger
        )
        return await self._lead(effects, Datum({**given, "panel": panel.to_json()}, labels), seat, panel)

    async def _round(
        self,
        effects: Effects,
        ledger: Ledger,
        members: Sequence[Member],
        number: int,
        share: int,
        heard: "_Heard",
    ) -> dict[str, Json]:
        """What each member says, by its name."""
        debate = self.call.pattern == "debate"
        key = f"{self.invocation.key}/{f'round/{number}/' if debate else ''}members"
        given = self.call.input
        if number:
            value = {**cast("Mapping[str, Json]", given.value), "debate": heard.debate}
            given = Datum(value, merge_labels([given.labels, {"/debate": heard.labels} if heard.labels else {}]))
        asked = [partial(self._asked, member, given, f"{key}/{i}", share) for i, member in enumerate(members)]
        found = await effects.fork(key, self.invocation.task, asked)
        said: dict[str, Json] = {}
        for i, (member, (each, outcome)) in enumerate(zip(members, found, strict=True)):
            turns = 0
            if outcome is not None:
                heard.labels |= outcome.output.every_label()
                turns = said_by(member, outcome).turns
            said[member.name] = each
            told: Json = {**cast("Mapping[str, Json]", each), "round": number + 1} if debate else each
            ledger.add((number, i), [told], turns=turns, cost=outcome.cost if outcome else None)
        return said

    async def _asked(
        self, member: Member, given: Datum, key: str, share: int, effects: Effects
    ) -> tuple[Json, Outcome | None]:
        """A member's contribution. One that fails does not keep the others from theirs."""
        lead = self.call.tree.agent
        limits: dict[str, Json] = {"turns": share}
        if self.call.limits.usd is not None:
            rounds = self.call.limits.rounds if self.call.pattern == "debate" else 1
            limits["usd"] = self.call.limits.usd / (len(list(self.call.tree.leaves())) * rounds)
        invocation = Invocation(
            key=key,
            task=self.invocation.task,
            function="agent:1.0.0",
            arguments=Datum(
                {"agent": member.agent.name, "input": given.value, "limits": limits},
                move_labels(given.labels, "/input"),
            ),
            acting=Acting(
                principal=("Agent", lead.name),
                action=ENGAGE,
                arguments={"member": member.name, "pattern": self.call.pattern},
                version=lead.version,
                resource=("Agent", member.agent.name),
            ),
        )
        try:
            outcome = await effects.invoke(invocation)
        except OrchestrionError as error:
            if isinstance(error, BugError | Fenced):
                raise
            refused = canonical_error_type(error.problem.type) == ERROR_TYPES["authorization"]
            reason = error.problem.detail or error.problem.title
            status = "refused" if refused else "failed"
            return {"member": member.name, "status": status, "reason": reason, "code": error.code}, None
        effects.trace(f"{key}/end", self.invocation.task, ENGAGE, outcome.output, why=outcome.why)
        return said_by(member, outcome).contributions[0], outcome


@dataclass(slots=True)
class _Heard:
    """What was said so far."""

    labels: frozenset[str]
    last: dict[str, Json] = field(default_factory=dict[str, Json])
    """By member, in the last round in which it spoke."""
    debate: Json = None
    """As those who speak again are told of it."""

    def answered(self, member: str) -> bool:
        """Whether it came to an answer when it was last asked."""
        return cast("Mapping[str, Json]", self.last[member])["status"] == "done"


def _debates(member: Member) -> bool:
    declared = member.agent.input.get("properties")
    return isinstance(declared, Mapping) and "debate" in declared


def _last(ledger: Ledger, taken_by: str) -> str:
    """Who answered in the end, of those who handed the task on."""
    done = [each for each in ledger.contributions if isinstance(each, Mapping) and each.get("status") == "done"]
    return str(cast("Mapping[str, Json]", done[-1])["member"]) if done else taken_by


def _bound(error: Faulted, limits: TeamLimits) -> Json:
    """The bound that a failure is about; None when it is about something else."""
    problem = error.problem
    if error.code.startswith("limit-"):
        return {"code": error.code, "reason": problem.detail or problem.title}
    if limits.seconds is not None and canonical_error_type(problem.type) == ERROR_TYPES["timeout"]:
        return {"code": "limit-seconds", "reason": f"The team reached its limit of {limits.seconds} seconds."}
    return None


def _bound_below(contributions: list[Json]) -> Json:
    """The first bound that kept a member from contributing."""
    for each in contributions:
        if isinstance(each, Mapping) and str(each.get("code", "")).startswith("limit-"):
            return {"code": each["code"], "reason": each.get("reason"), "member": each.get("member")}
    return None
