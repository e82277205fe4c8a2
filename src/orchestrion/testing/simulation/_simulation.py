"""One simulation: documents, a schedule, faults and people, all from one seed, and what came of them."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from orchestrion.core import (
    Datum,
    Effects,
    Journal,
    Json,
    Run,
    TransientError,
)
from orchestrion.engine import Engine, Limits, Outside
from orchestrion.interpreter import SEMANTICS, Interpreter
from orchestrion.journal import MemoryJournal
from orchestrion.spec import Document, read
from orchestrion.testing import NoSecrets
from orchestrion.testing._routing import DocumentRouting

from ._faults import Faults
from ._generate import generate
from ._journal import SimulatedJournal, at_once
from ._judge import Judge
from ._loop import Died, SimulatedLoop, SimulatedTime
from ._people import People
from ._programs import evaluate
from ._watch import Watch
from ._world import ArgumentGate, Shelf, World, run_of

ROOT = "root"
LARGEST = 14
"""Tasks of the largest documents, about."""
SLACK_S = 15.0
"""How long it may take to notice that a time has come, with commits that fail on the way."""
CROWDED_UNITS = 8
"""How much longer when only one or two runs may be in memory, and others are there."""
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
        self.nodes = generate(choices, size=self.size, unit_s=self.unit_s)
        self.random = Random(f"{seed} schedule")  # noqa: S311
        self.time = SimulatedTime()
        self.trace: list[str] = []
        self.verbose = verbose
        self.poll_s = max(0.5, self.unit_s / 2)
        self.watch = Watch(self.time.now, self.tell, slack_s=0)
        self.world = World(Random(f"{seed} world"), self.time, self.unit_s, began=self.watch.performs)  # noqa: S311
        self.faults = Faults.drawn(Random(f"{seed} faults"), self.unit_s)  # noqa: S311
        self.world.stubborn = self.faults.stubborn
        self.watch.slack_s = SLACK_S + self.poll_s + (CROWDED_UNITS * self.unit_s if self.faults.concurrency < 5 else 0)
        self.disk = cast("Journal", MemoryJournal(self.time))
        self.people = People(
            random=Random(f"{seed} people"),  # noqa: S311
            time=self.time,
            unit_s=self.unit_s,
            disk=self.disk,
            world=self.world,
            root=ROOT,
            wrong=self.watch.wrong.append,
            listening=lambda: self.watch.listening,
            tell=self.tell,
        )
        self.documents = [_read(node) for node in self.nodes]
        self.interpreter = Interpreter(Evaluator(self.random))
        self.steps = 0
        self.lives = 0

    def tell(self, what: str) -> None:
        if self.verbose:
            self.trace.append(f"{self.time.elapsed_s:12.6f}  {what}")

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
            self.watch.wrong += self._judge().wrong()
        return Report(
            seed=self.seed,
            size=self.size,
            documents=self.nodes,
            wrong=list(self.watch.wrong),
            trace=self.trace,
            steps=self.steps,
            lives=self.lives,
            statuses=self._statuses(),
            elapsed_s=self.time.elapsed_s,
        )

    def _statuses(self) -> dict[str, str]:
        runs = {run_id: at_once(self.disk.run(run_id)) for run_id in self.watch.runs}
        return {run_id: run.status.value if run else "never begun" for run_id, run in runs.items()}

    def _judge(self) -> Judge:
        nodes = {document.digest: node for document, node in zip(self.documents, self.nodes, strict=True)}
        return Judge(
            documents=nodes,
            disk=self.disk,
            watch=self.watch,
            world=self.world,
            people=self.people,
            poll_s=self.poll_s,
        )

    def _tried_again(self) -> None:
        for run_id in self.watch.runs:
            run = at_once(self.disk.run(run_id))
            assert run is not None
            self.watch.tried_again(run, at_once(self.disk.entries(run_id)))

    def _live(self) -> bool:
        """One process, until everything is over, or it is stopped or killed."""
        dies_after = self.faults.deaths.pop(0) if self.faults.deaths else None
        loop = SimulatedLoop(self.time, self.random, dies_after=dies_after)
        journal = SimulatedJournal(
            self.disk,
            loop,
            self.random,
            weather=self.faults.weather,
            heard=self.watch.wrote,
            tried_again=self._tried_again,
            refused=self.watch.refused,
            tell=self.tell,
        )
        self.lives += 1
        self.watch.awake_since = self.time.now()
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
            following = asyncio.ensure_future(_follow(engine, self.poll_s, self.watch.wrong.append))
            over = await self._until_over(engine, journal)
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
            routing=DocumentRouting([], Evaluator(self.random)),
            limits=Limits(concurrency=self.faults.concurrency),
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

    async def _until_over(self, engine: Engine, journal: SimulatedJournal) -> bool:
        """Let people act until all is over: True; or until the process is to be stopped: False."""
        pause = 0.01 * self.unit_s
        while not self.people.content(all_ended=self.watch.all_ended):
            if engine.broken is not None or self.watch.wrong:
                return True
            if self.time.elapsed_s > PATIENCE_UNITS * self.unit_s:
                open_runs = [run.id for run in self.watch.runs.values() if not run.ended]
                self.watch.wrong.append(f"stuck: {', '.join(open_runs)}")
                return True
            if self.faults.stops and self.time.elapsed_s > self.faults.stops[0]:
                self.faults.stops.pop(0)
                self.tell("the process is stopped")
                return False
            await asyncio.sleep(pause * (0.5 + self.random.random()))
            acted = await self.people.act(engine, journal, all_ended=self.watch.all_ended)
            pause = 0.01 * self.unit_s if acted else min(pause * 1.5, self.unit_s)
        return True


async def _follow(engine: Engine, poll_s: float, wrong: Callable[[str], None]) -> None:
    try:
        async for _ in engine.follow(poll_s):
            pass
    except Exception as error:
        wrong(f"nobody follows the runs any more: {type(error).__name__}: {error}")


def _read(node: Mapping[str, Any]) -> Document:
    reading = read(json.dumps(node))
    if reading.document is None:
        raise AssertionError(f"the generator wrote an invalid document: {reading.errors[0]}")
    return reading.document
