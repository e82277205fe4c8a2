"""Rollouts at work: which runs the candidate gets, how they went, and what follows from that."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import assert_never, cast

from orchestrion.core import Clock, Entry, EntryKind, Journal, Json, OrchestrionError, Run, RunStatus, UserError
from orchestrion.expressions import Expressions
from orchestrion.oversight import (
    Comparison,
    Facts,
    Matching,
    Plan,
    Promote,
    RollBack,
    RolloutVerdict,
    Side,
    Undecided,
    assign,
    in_words,
)
from orchestrion.registry import Rollout, Rollouts, RolloutStatus, TrialRun
from orchestrion.spec import steps_of

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""How often ended runs of rollouts are looked for."""
BY = "orchestrion"
"""Who ends a rollout by its verdict."""
LOST = "were losses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How a run of a rollout went until it ended, or first asked a person: days of waiting are not waited for."""

    at: float
    loss: float
    violation: str | None = None


class Oversight:
    """Watches the rollouts of a store, and ends them by their verdicts.

    A verdict follows from the runs of the store alone, so that a process that was killed has lost nothing of it; that it is
    recorded and that an alias moves is one transaction, done once.
    """

    def __init__(self, rollouts: Rollouts, journal: Journal, expressions: Expressions, clock: Clock) -> None:
        self.rollouts = rollouts
        self._journal = journal
        self._expressions = expressions
        self._clock = clock
        self._judged: dict[str, dict[str, Judged]] = {}
        """By rollout and run, while it is under way."""
        self._pairs: dict[str, int] = {}

    async def side(self, rollout: Rollout, value: Json, key: str) -> Side:
        """Which version a new run gets: by the customer, or whatever the plan says is sticky, else by `key`."""
        plan = Plan.from_json(rollout.plan)
        if rollout.id not in self._pairs:
            await self.comparison(rollout)
        kept = _at(value, plan.sticky) if plan.sticky is not None else None
        return assign(key if kept is None else str(kept), share=plan.share(self._pairs[rollout.id]), salt=rollout.id)

    async def comparison(self, rollout: Rollout) -> Comparison:
        """What its runs say so far. Raises: OrchestrionError, such as UserError about a program of the plan."""
        plan = Plan.from_json(rollout.plan)
        runs = {run.id: run for run in await self.rollouts.runs(rollout)}
        known = self._judged.setdefault(rollout.id, {})
        for run in runs.values():
            if run.id not in known and (judged := await self._judge(plan, run)) is not None:
                known[run.id] = judged
        found = await self._compared(plan, runs, known)
        self._pairs[rollout.id] = found.pairs
        return found

    async def look(self) -> list[Rollout]:
        """End what can be decided; the rollouts that are over by this."""
        ended: list[Rollout] = []
        for rollout in (await self.rollouts.running()).values():
            verdict = (await self.comparison(rollout)).verdict
            status = _status(verdict)
            if status is not None:
                evidence = _evidence(verdict)
                words = in_words(verdict, lost=LOST)
                try:
                    ended.append(await self.rollouts.end(rollout, status, verdict=words, evidence=evidence, by=BY))
                except UserError as error:
                    words = f"{words}; but not promoted: {error.message}"
                    stopped = RolloutStatus.STOPPED
                    ended.append(await self.rollouts.end(rollout, stopped, verdict=words, evidence=evidence, by=BY))
        for over in ended:
            del self._judged[over.id], self._pairs[over.id]
        return ended

    async def keep_looking(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except OrchestrionError as error:
                log.warning("Rollouts cannot be looked after: %s", error)
            await asyncio.sleep(LOOK_S)

    async def _compared(self, plan: Plan, runs: "dict[str, TrialRun]", known: Mapping[str, Judged]) -> Comparison:
        events = [(run.created_at, 0, run.id) for run in runs.values()]
        events += [(judged.at, 1, run_id) for run_id, judged in known.items()]
        matching, comparison = Matching(), Comparison(rule=plan.rule)
        for _, settled, run_id in sorted(events):
            run = runs[run_id]
            if not settled:
                stratum = await self._stratum(plan, run_id)
                matching = matching.begun(run_id, side=cast("Side", run.side), stratum=stratum)
                continue
            judged = known[run_id]
            if judged.violation is not None and run.side == "candidate":
                return comparison.violated(judged.violation)
            matching, pairs = matching.settled(run_id, judged.loss)
            for pair in pairs:
                comparison = comparison.after(pair)
        return comparison

    async def _stratum(self, plan: Plan, run_id: str) -> str:
        if plan.stratum is None:
            return ""
        run = await self._journal.run(run_id)
        return str(_at(run.input, plan.stratum)) if run is not None else ""

    async def _judge(self, plan: Plan, trial: TrialRun) -> Judged | None:
        """None for a run that goes on, and has asked nobody."""
        if not trial.ended and not trial.waiting:
            return None
        run = await self._journal.run(trial.id)
        entries = await self._journal.entries(trial.id)
        asked = [each for each in entries if each.kind is EntryKind.REQUEST and each.started_at is not None]
        at = min((each.started_at or 0.0 for each in asked), default=trial.ended_at)
        if run is None or at is None:
            return None
        facts = _facts(run, [each for each in entries if (each.started_at or at) <= at], at, waiting=bool(asked))
        loss, violation = facts.lost(plan), None
        programs = [program for program in (plan.loss, plan.violation) if program is not None]
        if programs:
            results = await self._expressions.evaluate(programs, {".": cast("Json", facts.to_json())})
            if plan.loss is not None:
                loss = max(loss, _share(results[0]))
            if plan.violation is not None and results[-1] is True:
                violation = f"the run {trial.id} was a violation: {plan.violation}"
        return Judged(at=at, loss=loss, violation=violation)


def _facts(run: Run, entries: Sequence[Entry], at: float, *, waiting: bool) -> Facts:
    costs = [each.cost for each in entries if isinstance(each.cost, dict)]
    micros = [cost.get("usd_micros") for cost in costs]
    decisions = [each.decision for each in entries if isinstance(each.decision, dict)]
    return Facts(
        status=RunStatus.WAITING if waiting else run.status,
        input=run.input,
        output=None if waiting else run.output,
        problem=None if waiting else run.problem,
        seconds=at - (run.started_at or run.created_at),
        usd=sum(each for each in micros if isinstance(each, int | float)) / 1_000_000,
        denied=sum(decision.get("verdict") == "deny" for decision in decisions),
        asked=sum(each.kind is EntryKind.REQUEST for each in entries),
    )


def _at(value: Json, pointer: str) -> Json:
    """What stands at a JSON pointer; None where nothing does."""
    for step in steps_of(pointer):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _share(result: Json) -> float:
    """A loss as a program gives it. Raises: UserError `bad-loss`."""
    if isinstance(result, bool) or (isinstance(result, int | float) and 0 <= result <= 1):
        return float(result)
    raise UserError("bad-loss", f"The loss of a run came out as {result!r}.", hint="Give true, false, or 0 to 1.")


def _status(verdict: RolloutVerdict) -> RolloutStatus | None:
    match verdict:
        case RollBack():
            return RolloutStatus.ROLLED_BACK
        case Promote():
            return RolloutStatus.PROMOTED
        case Undecided(ended=True):
            return RolloutStatus.STOPPED
        case Undecided():
            return None
        case _:
            assert_never(verdict)


def _evidence(verdict: RolloutVerdict) -> Json:
    standing = verdict.standing
    return {
        "pairs": standing.pairs,
        "candidate_loss": standing.candidate_loss,
        "control_loss": standing.control_loss,
        "against": standing.against,
        "in_favour": standing.in_favour,
        "alpha": standing.rule.alpha,
        "margin": standing.rule.margin,
        "tolerance": standing.rule.tolerance,
    }


async def stopped(task: "asyncio.Task[None]", oversight: Oversight) -> None:
    """Stop looking, after a last look: a command that ends decides what it can."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    with suppress(OrchestrionError):
        await oversight.look()
