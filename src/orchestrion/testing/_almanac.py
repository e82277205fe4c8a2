"""A virtual calendar for tests: schedules fired over any journal by a clock that is moved, with crashes between any two writes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from orchestrion.core import Clock, Journal, Run, RunStatus, ScheduleState, SetRun
from orchestrion.engine import Fired, Planned, Scheduler

from ._stage import new_run


class Crash(BaseException):
    """The process dies here. No code that catches exceptions may live on."""


@dataclass(slots=True)
class MortalJournal:
    """A journal whose process dies at its `left`-th next change of a schedule, before or after it is durable."""

    inner: Journal
    left: int = -1
    durable: bool = False

    @property
    def journal(self) -> Journal:
        """This, as the journal it stands for."""
        return cast("Journal", self)

    async def reschedule(self, state: ScheduleState, runs: Sequence[Run] = ()) -> Sequence[Run] | None:
        self.left -= 1
        if self.left == 0 and not self.durable:
            raise Crash
        accepted = await self.inner.reschedule(state, runs)
        if self.left == 0:
            raise Crash
        return accepted

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass(slots=True, kw_only=True)
class Almanac:
    """One process that fires schedules, as far as a test lets it. Runs end when the test ends them."""

    planned: Sequence[Planned]
    journal: Journal
    clock: Clock
    fired: list[Run] = field(default_factory=list[Run])
    """The runs it started, in order; joined ones are not among them."""

    def scheduler(
        self,
        *,
        advance: Callable[[Run], None] | None = None,
        settle: Callable[[str], Awaitable[Run]] | None = None,
        on_fired: Callable[[Fired], None] = lambda _: None,
    ) -> Scheduler:
        """A scheduler as a new process has it; with an engine's `advance` and `settle`, its runs are walked."""

        async def planned() -> Sequence[Planned]:
            return self.planned

        return Scheduler(
            planned,
            journal=self.journal,
            clock=self.clock,
            pin=self._pin,
            advance=advance or self.fired.append,
            settle=settle or self._settle,
            on_fired=on_fired,
        )

    async def _pin(self, planned: Planned, run_id: str, at: float) -> Run:
        value = planned.schedule.input_at(at)
        run = new_run(run_id, workflow=planned.workflow, value=value, clock=self.clock)
        return replace(run, digest=planned.digest)

    async def _settle(self, run_id: str) -> Run:
        run = await self.journal.run(run_id)
        assert run is not None
        return run

    async def end(self, run: Run) -> None:
        """The run completes now."""
        history = await self.journal.claim(run.id)
        if history is not None:
            change = SetRun(status=RunStatus.COMPLETED, ended_at=self.clock.now())
            await self.journal.write(run.id, history.run.epoch, [change])
