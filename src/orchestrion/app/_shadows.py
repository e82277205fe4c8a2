"""Shadow rollouts at work: each run that has ended in production is played again with the candidate, and nothing is performed."""

import asyncio
import logging
from contextlib import AsyncExitStack

from orchestrion.core import Clock, Journal, OrchestrionError, Run
from orchestrion.oversight import Difference, Likeness, Plan, Shadow
from orchestrion.registry import Rollout, Rollouts, RolloutStatus

from ._replay import COMPARABLE, Replays, open_replays
from ._versions import Versions

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""How often ended runs are looked for."""
SHARE = 0.2
"""Of the process's time, what replays may take at most: they are done in its own loop, one after the other."""
AT_LAST = 5
"""Runs that are still played when the process ends."""
BY = "orchestrion"


class Shadows:
    """The candidates that are tried in the shadow of production. What is found stands in the store at once."""

    def __init__(self, rollouts: Rollouts, versions: Versions, journal: Journal, clock: Clock) -> None:
        self._rollouts = rollouts
        self._versions = versions
        self._journal = journal
        self._clock = clock
        self._ready: dict[str, tuple[AsyncExitStack, Replays]] = {}
        self._left_out: set[str] = set()
        """Runs that a person stopped."""

    async def look(self, most: int = 1) -> int:
        """Play up to `most` ended runs of each shadow rollout; how many were. What is over by this is ended."""
        played = 0
        running = {each.id: each for each in (await self._rollouts.running()).values()}
        for rollout in running.values():
            plan = Plan.from_json(rollout.plan)
            if plan.mode == "shadow":
                played += await self._follow(rollout, plan, most)
        for over in self._ready.keys() - running.keys():
            await self._let_go(over)
        return played

    async def keep_looking(self) -> None:
        """Until cancelled, and for a small part of the time."""
        while True:
            began, played = self._clock.monotonic(), 0
            try:
                played = await self.look()
            except OrchestrionError as error:
                log.warning("Versions cannot be tried in the shadow of production: %s", error)
            took = self._clock.monotonic() - began
            await asyncio.sleep(took * (1 / SHARE - 1) if played else LOOK_S)

    async def look_at_last(self) -> None:
        """Where each command is a process of its own, there is no other time."""
        try:
            await self.look(AT_LAST)
        finally:
            await self.close()

    async def close(self) -> None:
        for rollout in list(self._ready):
            await self._let_go(rollout)

    async def _follow(self, rollout: Rollout, plan: Plan, most: int) -> int:
        seen = Shadow.from_json(rollout.evidence)
        news = await self._news(rollout, seen, min(most, plan.max_runs - len(seen.runs)))
        if news:
            try:
                replays = await self._candidate(rollout)
            except OrchestrionError as error:
                await self._end(rollout, seen, f"{seen.words}; the candidate cannot be opened: {error.message}")
                return 0
            for run in news:
                seen = seen.after(run.id, await _differences(replays, run))
            await self._rollouts.note(rollout, seen.to_json())
        if len(seen.runs) >= plan.max_runs:
            await self._end(rollout, seen, seen.words)
        return len(news)

    async def _news(self, rollout: Rollout, seen: Shadow, most: int) -> list[Run]:
        """The next runs that have ended and were not played yet."""
        found: list[Run] = []
        for trial in await self._rollouts.runs(rollout):
            if len(found) >= most:
                break
            if not trial.ended or trial.id in seen.runs or trial.id in self._left_out:
                continue
            run = await self._journal.run(trial.id)
            if run is not None and run.status in COMPARABLE:
                found.append(run)
            else:
                self._left_out.add(trial.id)
        return found

    async def _candidate(self, rollout: Rollout) -> Replays:
        if rollout.id not in self._ready:
            bundle = await self._versions.bundle_of(rollout.candidate)
            stack = AsyncExitStack()
            replays = await stack.enter_async_context(open_replays(self._versions, self._journal, self._clock, bundle))
            self._ready[rollout.id] = (stack, replays)
        return self._ready[rollout.id][1]

    async def _end(self, rollout: Rollout, seen: Shadow, words: str) -> None:
        await self._rollouts.end(rollout, RolloutStatus.STOPPED, verdict=words, evidence=seen.to_json(), by=BY)
        await self._let_go(rollout.id)

    async def _let_go(self, rollout: str) -> None:
        if rollout in self._ready:
            stack, _ = self._ready.pop(rollout)
            await stack.aclose()


async def _differences(replays: Replays, run: Run) -> list[Difference]:
    """A run that cannot be played says nothing of the candidate, and does not stop the others."""
    try:
        return list((await replays.play(run)).differences)
    except OrchestrionError as error:
        return [Difference(kind=Likeness.UNANSWERABLE, words=f"it cannot be played: {error.message}")]
