"""One measurement of one subject: in fresh processes, on a fresh store."""

import asyncio
import itertools
import statistics
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .environments import CACHE, environment, restate_server
from .meter import cpu_s, peak_memory
from .postgres import Postgres
from .program import Failed, Program, running
from .subjects import Candidate, Subject

SLACK_S = 120
"""How long an answer may take beyond the time it was asked to measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How long is measured."""

    rounds: int
    candidates: int
    """How many of a subject's candidates are tried before the rounds, and below how often each."""
    passes: int
    tuning_s: float
    alone_s: float
    together_s: float
    waiting_runs: int
    wakes: int


FULL = Scale(rounds=5, candidates=9, passes=2, tuning_s=3, alone_s=4, together_s=10, waiting_runs=100_000, wakes=500)
QUICK = Scale(rounds=2, candidates=2, passes=1, tuning_s=1.5, alone_s=1, together_s=3, waiting_runs=5_000, wakes=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Under load."""

    steps_per_s: float
    cpu_ms_per_step: float
    rss_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round of one subject showed."""

    load: Load
    step_p50_ms: float
    step_p99_ms: float
    run_p50_ms: float
    durability: str


class Copies:
    """The processes of one subject on one store. The first one starts what the others join."""

    def __init__(
        self, stack: AsyncExitStack, subject: Subject, python: Path, where: Mapping[str, Any], pids: Sequence[int]
    ):
        self._stack = stack
        self._subject = subject
        self._python = python
        self._where = where
        self._others = pids
        self.programs: list[Program] = []

    async def grow(self, processes: int) -> None:
        while len(self.programs) < processes:
            number = len(self.programs)
            joining = {"join": self.programs[0].ready["join"]} if number and "join" in self.programs[0].ready else {}
            where = {**self._where, **joining, "name": f"copy{number}", "copy": number}
            program = running(self._python, self._subject.program, where)
            self.programs.append(await self._stack.enter_async_context(program))

    async def alone(self, candidate: Candidate, seconds: float) -> tuple[list[float], list[float]]:
        """Milliseconds of single steps, and of whole runs."""
        command = {"do": "alone", "seconds": seconds, "settings": candidate.settings}
        told = await self.programs[0].ask(command, timeout_s=seconds + SLACK_S)
        return [1000 * each for each in told["steps_s"]], [1000 * each for each in told["runs_s"]]

    async def together(self, candidate: Candidate, seconds: float) -> Load:
        await self.grow(candidate.processes)
        command = {
            "do": "together",
            "seconds": seconds,
            "concurrency": candidate.concurrency,
            "settings": candidate.settings,
        }
        programs = self.programs[: candidate.processes]
        pids = [*self._others, *(program.pid for program in self.programs)]
        readings: dict[str, list[float]] = {"open": [], "closed": []}

        def on_window(state: str) -> None:
            readings[state].append(cpu_s(pids))

        async with peak_memory(pids) as peak:
            told = await asyncio.gather(
                *(program.ask(command, timeout_s=seconds + SLACK_S, on_window=on_window) for program in programs)
            )
        performed, due = sum(each["performed"] for each in told), 10 * sum(each["runs"] for each in told)
        if performed < due:
            raise Failed(f"{performed} steps were performed for {due} that ended")
        steps = sum(each["steps"] for each in told)
        if not steps:
            raise Failed(f"no step within {seconds:.0f} s")
        return Load(
            steps_per_s=sum(each["steps"] / each["seconds"] for each in told),
            cpu_ms_per_step=1000 * (statistics.mean(readings["closed"]) - statistics.mean(readings["open"])) / steps,
            rss_mb=peak.mb,
        )


@asynccontextmanager
async def copies(subject: Subject, postgres: Postgres | None) -> AsyncGenerator[Copies]:
    """One process of the subject on a store that nobody used before; all is gone afterwards."""
    async with AsyncExitStack() as stack:
        python = await environment(subject.environment)
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=CACHE, prefix="round-"))
        where: dict[str, Any] = {**subject.where, "folder": folder, "database": None}
        pids: list[int] = []
        if subject.environment == "restate":
            where["server_binary"] = str(await restate_server())
        if subject.kind == "postgres":
            if postgres is None:
                raise Failed("there is no PostgreSQL")
            where["database"] = await stack.enter_async_context(postgres.database())
            pids.append(postgres.pid)
        found = Copies(stack, subject, python, where, pids)
        await found.grow(1)
        yield found


async def best(subject: Subject, postgres: Postgres | None, scale: Scale) -> tuple[Candidate, Mapping[str, float]]:
    """The candidate with the most steps a second, and the most that each showed. Raises: Failed when none ran."""
    seen: dict[str, float] = {}
    problem = Failed("nothing was tried")
    tried = subject.candidates[: scale.candidates]
    for _, group in itertools.groupby(tried, lambda each: each.processes):
        try:
            async with copies(subject, postgres) as started:
                for candidate in [*group] * scale.passes:
                    load = await started.together(candidate, scale.tuning_s)
                    seen[str(candidate)] = max(load.steps_per_s, seen.get(str(candidate), 0.0))
        except Failed as failed:
            problem = failed
    if not seen:
        raise problem
    return max(tried, key=lambda each: seen.get(str(each), 0.0)), seen


async def measure(subject: Subject, candidate: Candidate, postgres: Postgres | None, scale: Scale) -> Round:
    """One round. Raises: Failed."""
    async with copies(subject, postgres) as started:
        steps, runs = await started.alone(candidate, scale.alone_s)
        load = await started.together(candidate, scale.together_s)
        return Round(
            load=load,
            step_p50_ms=statistics.median(steps),
            step_p99_ms=quantile(steps, 0.99),
            run_p50_ms=statistics.median(runs),
            durability=started.programs[0].ready["durability"],
        )


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
