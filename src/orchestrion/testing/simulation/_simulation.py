"""One simulation: documents, a schedule, faults and people, all from one seed, and what came of them."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from orchestrion.core import (
    Answer,
    Datum,
    Effects,
    EntryStatus,
    Journal,
    Json,
    Request,
    RequestStatus,
    Run,
    RunStatus,
    TransientError,
    UserError,
)
from orchestrion.engine import Engine, Limits, Outside
from orchestrion.interpreter import SEMANTICS, Interpreter
from orchestrion.journal import MemoryJournal
from orchestrion.spec import Document, read

from ._generate import Generator
from ._journal import SimulatedJournal, Weather, at_once
from ._loop import Died, SimulatedLoop, SimulatedTime
from ._model import Model, Record, Stopped, Wrong
from ._programs import evaluate
from ._watch import Watch
from ._world import ArgumentGate, NoSecrets, Shelf, World, run_of

ROOT = "root"
LARGEST = 14
"""Tasks of the largest documents, about."""
MOST_LIVES = 5
PATIENCE_UNITS = 400
"""A simulation that has not ended after so many units of time is stuck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a simulation came to."""

    seed: int
    size: int
    documents: Sequence[Mapping[str, Any]]
    wrong: Sequence[str]
    trace: Sequence[str]
    steps: int
    lives: int
    statuses: Mapping[str, str]
    elapsed_s: float


def simulate(seed: int, *, size: int | None = None, verbose: bool = False) -> Report:
    """Run the simulation that `seed` stands for. The same seed and size give the same in every process."""
    return Simulation(seed, size=size, verbose=verbose).play()


@dataclass(slots=True)
class _Plan:
    """What people will do about one request."""

    at: float
    verdict: str
    twice: bool
    tries: int = 0
    answers: int = 0


@dataclass(slots=True)
class Faults:
    """What will go wrong."""

    deaths: list[int] = field(default_factory=list[int])
    """For each life, the number of callbacks after which it is killed."""
    weather: Weather = field(default_factory=Weather)
    cancel_at: float | None = None
    cancel_from_outside: bool = False
    retries: int = 0
    stop_at: float | None = None
    """When the process is stopped in an orderly way, and started again."""


class Evaluator:
    """Expressions, after a moment."""

    def __init__(self, random: Random) -> None:
        self._random = random

    async def evaluate(self, programs: Sequence[str], variables: Mapping[str, Json]) -> list[Json]:
        if self._random.random() < 0.5:
            await asyncio.sleep(self._random.random() ** 3 * 0.01)
        return [evaluate(program, variables) for program in programs]


class Simulation:
    """Plays one seed. `size` bounds the documents, for smaller versions of the same story."""

    def __init__(self, seed: int, *, size: int | None = None, verbose: bool = False) -> None:
        self.seed = seed
        choices = Random(f"{seed} documents")  # noqa: S311  not for secrets
        self.size = size or choices.randint(1, LARGEST)
        self.unit_s = choices.choice((1, 1, 30, 900))
        self.nodes = Generator(choices, self.size, self.unit_s).documents()
        self.random = Random(f"{seed} schedule")  # noqa: S311
        self.time = SimulatedTime()
        self.trace: list[str] = []
        self.verbose = verbose
        self.watch = Watch(self.time.now, self.tell)
        self.world = World(Random(f"{seed} world"), self.time, self.unit_s, began=self.watch.performs)  # noqa: S311
        self.faults = self._faults(Random(f"{seed} faults"))  # noqa: S311
        self.people = Random(f"{seed} people")  # noqa: S311
        self.disk = MemoryJournal(self.time)
        self.documents = [_read(node) for node in self.nodes]
        self.interpreter = Interpreter(Evaluator(self.random))
        self.plans: dict[tuple[str, float], _Plan] = {}
        self.cancelled_at: dict[str, float] = {}
        self.steps = 0
        self.lives = 0

    def tell(self, what: str) -> None:
        if self.verbose:
            self.trace.append(f"{self.time.elapsed_s:12.6f}  {what}")

    def _faults(self, random: Random) -> Faults:
        faults = Faults()
        if random.random() < 0.55:
            faults.deaths = [int(10 ** random.uniform(1.2, 3.2)) for _ in range(random.randint(1, MOST_LIVES - 1))]
        failing = random.choice((0.0, 0.0, 0.0, 0.02, 0.1))
        slow = random.choice((0.002, 0.02, 0.02, 0.3))
        faults.weather = Weather(slowest_commit_s=slow, slowest_read_s=slow / 4, failing=failing)
        if random.random() < 0.15:
            faults.cancel_at = self.unit_s * 10 ** random.uniform(-2, 1)
            faults.cancel_from_outside = random.random() < 0.5
        if random.random() < 0.1:
            faults.stop_at = self.unit_s * 10 ** random.uniform(-2, 1)
        faults.retries = random.choice((0, 0, 1, 2))
        self.world.stubborn = random.choice((0.0, 0.0, 0.3))
        return faults

    # --- playing ---

    def play(self) -> Report:
        """From the first process's start to the last one's end, and the judgement of it all."""
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            while not self._live():
                pass
        finally:
            logging.disable(before)
        if not self.watch.wrong:
            self._judge()
        return Report(
            seed=self.seed,
            size=self.size,
            documents=self.nodes,
            wrong=list(self.watch.wrong),
            trace=self.trace,
            steps=self.steps,
            lives=self.lives,
            statuses={run_id: str(self._run(run_id).status) for run_id in self.watch.runs},
            elapsed_s=self.time.elapsed_s,
        )

    def _live(self) -> bool:
        """One process, until everything is over, or it is stopped or killed."""
        dies_after = self.faults.deaths.pop(0) if self.faults.deaths else None
        loop = SimulatedLoop(self.time, self.random, dies_after=dies_after)
        journal = SimulatedJournal(
            cast("Journal", self.disk),
            loop,
            self.random,
            weather=self.faults.weather,
            heard=self.watch.wrote,
            tried_again=self._tried_again,
            tell=self.tell,
        )
        self.lives += 1
        self.tell(f"process {self.lives} starts")
        try:
            over = loop.run(self._main(journal))
            self.watch.wrong += loop.unnoticed()
            return over
        except Died:
            self.tell(f"process {self.lives} is killed")
            return False
        except TransientError:
            self.tell(f"process {self.lives} cannot begin")
            return False
        finally:
            journal.dead = True
            loop.bury()
            self.steps += loop.steps
            self.watch.wrong += loop.failures
            self.time.elapsed_s += self.random.random() ** 4 * 3 * self.unit_s

    async def _main(self, journal: SimulatedJournal) -> bool:
        engine = self._engine(journal)
        async with engine:
            await self._start(engine)
            following = asyncio.ensure_future(_follow(engine, max(0.5, self.unit_s / 2)))
            over = await self._people(engine, journal)
            following.cancel()
        if engine.broken is not None:
            self.watch.wrong.append(f"the engine broke: {engine.broken}")
        return over

    def _engine(self, journal: SimulatedJournal) -> Engine:
        return Engine(
            journal=journal.journal,
            interpret=self._interpret,
            outside=Outside(
                catalog=self.world.catalog(),
                gate=ArgumentGate(self.unit_s),
                workflows=Shelf(self.documents, self.time),
                secrets=NoSecrets(),
                random=self.random.random,
            ),
            clock=self.time,
            semantics=SEMANTICS,
            limits=Limits(concurrency=self.random.choice((1, 2, 50))),
        )

    async def _interpret(self, run: Run, effects: Effects) -> Datum:
        document = next(each for each in self.documents if each.digest == run.digest)
        return await self.interpreter.run(document, Datum(run.input), effects)

    async def _start(self, engine: Engine) -> None:
        run = run_of(self.documents[0], {"question": "?"}, ROOT, self.time.now())
        self.watch.began(run)
        while True:
            try:
                await engine.start(run)
            except TransientError:
                await asyncio.sleep(1)
            else:
                return

    # --- people ---

    async def _people(self, engine: Engine, journal: SimulatedJournal) -> bool:
        """Everybody outside: they answer, cancel and try again. True when all is over, False to restart the process."""
        pause = 0.01 * self.unit_s
        while not self._over():
            if engine.broken is not None or self.watch.wrong:
                return True
            if self.time.elapsed_s > PATIENCE_UNITS * self.unit_s:
                open_runs = [run.id for run in self.watch.runs.values() if not run.ended]
                self.watch.wrong.append(f"stuck: {', '.join(open_runs)}")
                return True
            if self.faults.stop_at is not None and self.time.elapsed_s > self.faults.stop_at:
                self.faults.stop_at = None
                self.tell("the process is stopped")
                return False
            await asyncio.sleep(pause * (0.5 + self.people.random()))
            acted = await self._act(engine, journal)
            pause = 0.01 * self.unit_s if acted else min(pause * 1.5, self.unit_s)
        return True

    def _over(self) -> bool:
        return self.watch.all_ended and not (
            self.faults.retries and self._run(ROOT).status is RunStatus.FAULTED
        )

    def _run(self, run_id: str) -> Run:
        run = at_once(self.disk.run(run_id))
        assert run is not None
        return run

    async def _act(self, engine: Engine, journal: SimulatedJournal) -> bool:
        faults = self.faults
        if faults.cancel_at is not None and self.time.elapsed_s > faults.cancel_at:
            faults.cancel_at = None
            await self._cancel(engine, journal, from_outside=faults.cancel_from_outside)
            return True
        if faults.retries and self.watch.all_ended and self._run(ROOT).status is RunStatus.FAULTED:
            faults.retries -= 1
            await self._retry(engine)
            return True
        for request in at_once(self.disk.requests(status=RequestStatus.OPEN)):
            if await self._consider(request, engine, journal):
                return True
        return False

    async def _cancel(self, engine: Engine, journal: SimulatedJournal, *, from_outside: bool) -> None:
        self.tell("somebody cancels the run")
        try:
            if from_outside:
                journal.changed_by_others = True
                at_once(self.disk.cancel(ROOT, "ana"))
            else:
                await engine.cancel(ROOT, "ana")
        except TransientError:
            self.faults.cancel_at = self.time.elapsed_s
        except UserError as error:
            if not self._run(ROOT).status.ended:
                self.watch.wrong.append(f"a run could not be cancelled: {error}")
        else:
            self.cancelled_at[ROOT] = self.time.now()

    async def _retry(self, engine: Engine) -> None:
        self.tell("somebody tries the run again")
        try:
            await engine.retry(ROOT, "ana")
        except TransientError:
            self.faults.retries += 1

    def _tried_again(self) -> None:
        for run_id in self.watch.runs:
            self.watch.tried_again(self._run(run_id), at_once(self.disk.entries(run_id)))

    async def _consider(self, request: Request, engine: Engine, journal: SimulatedJournal) -> bool:
        """Answer a request when its time has come."""
        plan = self.plans.setdefault((request.id, request.created_at), self._plan(request))
        if self.time.now() < plan.at or plan.answers > plan.twice:
            return False
        plan.tries += 1
        answer = self._answer(request, plan.verdict)
        self.tell(f"somebody answers {request.key}: {answer.verdict}")
        try:
            if self.people.random() < 0.3:
                journal.changed_by_others = True
                at_once(self.disk.answer(request.id, answer))
            else:
                await engine.answer(request.id, answer)
        except TransientError:
            return True
        except UserError as error:
            self._refused(request, error, plan)
        plan.answers += 1
        return True

    def _plan(self, request: Request) -> _Plan:
        people = self.people
        at = self.time.now() + self.unit_s * 10 ** people.uniform(-2.5, 0.9)
        if people.random() < 0.1:
            at += 20 * self.unit_s
        verdicts: Mapping[str, Sequence[str]] = {
            "human": ("answered",) * 6 + ("rejected",),
            "approval": ("approved", "approved", "rejected"),
            "interrupted": ("truth", "truth", "failed"),
        }
        return _Plan(at, people.choice(verdicts[request.question.kind]), people.random() < 0.15)

    def _answer(self, request: Request, verdict: str) -> Answer:
        now, value = self.time.now(), Datum()
        if verdict == "answered":
            value = Datum({"n": self.people.randint(0, 99)})
        if verdict == "truth":
            key = request.key.partition("/interrupted/")[0]
            calls = [call for call in self.world.performed if (call.run_id, call.key) == (request.run_id, key)]
            verdict = "performed" if any(call.happened for call in calls) else "again"
            value = Datum({"settled": key}) if verdict == "performed" else value
        return Answer(verdict=verdict, by="ana", at=now, value=value)  # pyright: ignore[reportArgumentType] one of the plan's

    def _refused(self, request: Request, error: UserError, plan: _Plan) -> None:
        now = at_once(self.disk.request(request.id))
        due = {
            "already-decided": plan.tries > 1,
            "request-expired": request.expires_at is not None and request.expires_at <= self.time.now(),
            "request-withdrawn": now is not None and now.status is RequestStatus.WITHDRAWN,
        }
        if not due.get(error.code, False):
            self.watch.wrong.append(f"an answer to {request.key} was refused: {error}")

    # --- judging ---

    def _judge(self) -> None:
        """Compare every run with what its document means, and the world with what may have happened to it."""
        for run_id in self.watch.runs:
            try:
                self._judge_run(self._run(run_id))
            except Wrong as error:
                self.watch.wrong.append(f"run {run_id}: {error}")
        for request in at_once(self.disk.requests(status=RequestStatus.OPEN)):
            self.watch.wrong.append(f"the request at {request.key} is open though its run has ended")

    def _judge_run(self, run: Run) -> None:
        seen = self.watch.runs[run.id]
        entries = {entry.key: entry for entry in at_once(self.disk.entries(run.id))}
        if {key: (e.status, e.output) for key, e in entries.items()} != {
            key: (e.status, e.output) for key, e in seen.entries.items()
        }:
            raise Wrong("the journal holds something else than was committed")
        index = next(i for i, document in enumerate(self.documents) if document.digest == run.digest)
        record = Record(entries, seen.first)
        model = Model(self.nodes[index], record, run.workflow, run.id, self._children())
        cancelled = run.status is RunStatus.CANCELLED
        try:
            status, result = model.outcome(run.input, partial=cancelled)
        except Stopped:
            status, result = "cancelled", None
        if unvisited := record.unvisited():
            raise Wrong(f"the document does not account for {', '.join(unvisited)}")
        if any(entry.status is EntryStatus.INTENT and entry.kind in {"leaf", "request", "child"} for entry in entries.values()):
            raise Wrong("an intent was left open")
        self._judge_end(run, status, result)

    def _judge_end(self, run: Run, status: str, result: Json) -> None:
        if run.status is RunStatus.CANCELLED:
            if run.cancel_requested_by is None:
                raise Wrong("it was cancelled though nobody asked for it")
            return
        if run.status.value != status:
            raise Wrong(f"it is {run.status} with {run.problem!r} where the document says {status} {result!r}")
        if status == "completed" and run.output != result:
            raise Wrong(f"its output is {run.output!r} where the document gives {result!r}")
        if status == "faulted":
            problem = cast("Mapping[str, Any]", run.problem)
            if (problem["type"], problem["status"], problem.get("instance", "")) != result:
                raise Wrong(f"it failed with {problem!r} where the document says {result!r}")

    def _children(self) -> Mapping[str, tuple[str, Json, Mapping[str, Any] | None]]:
        found: dict[str, tuple[str, Json, Mapping[str, Any] | None]] = {}
        for run_id in self.watch.runs:
            run = self._run(run_id)
            found[run_id] = (run.status.value, run.output, cast("Mapping[str, Any] | None", run.problem))
        return found


async def _follow(engine: Engine, poll_s: float) -> None:
    async for _ in engine.follow(poll_s):
        pass


def _read(node: Mapping[str, Any]) -> Document:
    reading = read(json.dumps(node))
    if reading.document is None:
        raise AssertionError(f"the generator wrote an invalid document: {reading.errors[0]}")
    return reading.document
