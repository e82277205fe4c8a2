"""Rollouts at work: which runs the candidate gets, how they went, and what follows from that."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import assert_never, cast

from orchestrion.core import Clock, Journal, Json, OrchestrionError, SystemClock, UserError
from orchestrion.expressions import Expressions
from orchestrion.journal import DurableJournal
from orchestrion.oversight import (
    Comparison,
    Happening,
    Plan,
    Promote,
    RollBack,
    RolloutVerdict,
    Side,
    Tally,
    Undecided,
    assign,
    in_words,
)
from orchestrion.registry import Rollout, Rollouts, RolloutStatus, TrialRun

from ._judging import deadline, judge, value_at

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""How often ended runs of rollouts are looked for."""
LATE_S = 60.0
"""How much later than its time of creation a run may be committed, and is found all the same."""
BY = "orchestrion"
"""Who ends a rollout by its verdict."""


class Trial:
    """What was read of one rollout so far: each run's beginning and how it went, once."""

    def __init__(self, rollout: Rollout) -> None:
        self.rollout = rollout
        self.plan = Plan.from_json(rollout.plan)
        self.tally = Tally(self.plan.rule)
        self._strata: dict[str, str] = {}
        self._going: dict[str, TrialRun] = {}
        """Runs that are not judged yet."""
        self._due: dict[str, float] = {}
        """When those of them are judged that may still be corrected."""
        self._late: set[str] = set()
        self._newest = 0.0
        self.reading = asyncio.Lock()

    async def read(self, rollouts: Rollouts, journal: Journal, expressions: Expressions, now: float) -> None:
        """What is new: runs that began since, and those that were still going."""
        since = min([self._newest - LATE_S, *(run.created_at for run in self._going.values())])
        new: list[Happening] = []
        try:
            for run in await rollouts.runs(self.rollout, since):
                if run.id not in self._strata:
                    self._strata[run.id] = await self._stratum(journal, run)
                    self._going[run.id] = run
                    self._newest = max(self._newest, run.created_at)
                    new.append(self._happened(run, run.created_at))
                if run.id in self._going:
                    new += await self._news(run, journal, expressions, now)
        finally:  # one that cannot be judged takes nothing from those before it
            self.tally.tell(new)

    async def _news(self, run: TrialRun, journal: Journal, expressions: Expressions, now: float) -> list[Happening]:
        """What is known by now of how a run went."""
        due = self._due.get(run.id, now)
        judged = await judge(journal, expressions, self.plan, run) if due <= now else None
        if judged is not None and judged.at > now:
            self._due[run.id], judged = judged.at, None
        limit = deadline(self.plan, run)
        new: list[Happening] = []
        if limit is not None and run.id not in self._late and (judged.at if judged else now) > limit:
            self._late.add(run.id)
            new.append(self._happened(run, limit, loss=1.0))
        if judged is not None:
            del self._going[run.id]
            self._due.pop(run.id, None)
            new.append(self._happened(run, judged.at, loss=judged.loss, violation=judged.violation))
        return new

    async def _stratum(self, journal: Journal, run: TrialRun) -> str:
        if self.plan.stratum is None:
            return ""
        found = await journal.run(run.id)
        return str(value_at(found.input, self.plan.stratum)) if found is not None else ""

    def _happened(
        self, run: TrialRun, at: float, *, loss: float | None = None, violation: str | None = None
    ) -> Happening:
        return Happening(
            at=at,
            settled=loss is not None,
            conversation=run.id,
            side=cast("Side", run.side),
            stratum=self._strata[run.id],
            loss=loss or 0.0,
            violation=violation,
        )


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
        self._trials: dict[str, Trial] = {}
        """By rollout, while it is under way."""

    async def side(self, rollout: Rollout, value: Json, key: str) -> Side:
        """Which version a new run gets: by the customer, or whatever the plan says is sticky, else by `key`."""
        if Plan.from_json(rollout.plan).mode == "shadow":
            return "control"
        if rollout.id not in self._trials:
            await self.comparison(rollout)
        trial = self._trials[rollout.id]
        kept = value_at(value, trial.plan.sticky) if trial.plan.sticky is not None else None
        share = trial.plan.share(trial.tally.comparison.pairs)
        return assign(key if kept is None else str(kept), share=share, salt=rollout.id)

    async def require_sound(self, plan: Plan) -> None:
        """Raises: UserError `bad-plan` for a program that does not compile, or a pointer that is none."""
        for name, program in (("loss", plan.loss), ("violation", plan.violation)):
            problem = await self._expressions.check(program, ()) if program is not None else None
            if problem is not None:
                raise UserError(
                    "bad-plan",
                    f"The jq program of `{name}` does not compile: {problem.message}.",
                    hint=problem.hint
                    or "It sees status, input, output, problem, seconds, usd, denied, asked, calls and corrected.",
                )
        for name, pointer in (("sticky", plan.sticky), ("stratum", plan.stratum)):
            if pointer is not None and not pointer.startswith("/"):
                raise UserError(
                    "bad-plan",
                    f"`{name}` is a JSON pointer into the input, and {pointer!r} is none.",
                    hint=f"Write /{pointer.lstrip('.$')}.",
                )

    async def comparison(self, rollout: Rollout) -> Comparison:
        """What its runs say so far. Raises: OrchestrionError, such as UserError about a program of the plan."""
        trial = self._trials.setdefault(rollout.id, Trial(rollout))
        async with trial.reading:
            await trial.read(self.rollouts, self._journal, self._expressions, self._clock.now())
        return trial.tally.comparison

    async def look(self) -> list[Rollout]:
        """End what can be decided; the rollouts that are over by this."""
        ended: list[Rollout] = []
        for rollout in (await self.rollouts.running()).values():
            if Plan.from_json(rollout.plan).mode == "shadow":
                continue
            verdict = (await self.comparison(rollout)).verdict
            status = _status(verdict)
            if status is not None:
                evidence = verdict.standing.to_json()
                words = in_words(verdict)
                try:
                    ended.append(await self.rollouts.end(rollout, status, verdict=words, evidence=evidence, by=BY))
                except UserError as error:
                    words = f"{words}; but not promoted: {error.message}"
                    stopped = RolloutStatus.STOPPED
                    ended.append(await self.rollouts.end(rollout, stopped, verdict=words, evidence=evidence, by=BY))
        for over in ended:
            self._trials.pop(over.id, None)
        return ended

    async def keep_looking(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except OrchestrionError as error:
                log.warning("Rollouts cannot be looked after: %s", error)
            await asyncio.sleep(LOOK_S)

    async def look_at_last(self) -> None:
        """A command that ends decides what it can."""
        await self.look()


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


@asynccontextmanager
async def oversight_on(journal: DurableJournal) -> AsyncGenerator[Oversight]:
    """For looking at the rollouts of a store, without opening the project."""
    clock = SystemClock()
    async with Expressions() as expressions:
        yield Oversight(Rollouts(journal, clock), journal, expressions, clock)
