"""Our engine with very many runs that wait: what they cost in memory, and how soon one goes on when it is answered.

Half of them wait for a person's answer, half for a day to pass. A wake lasts from the sending of an answer to the recorded end
of its run.
"""

import asyncio
import gc
import random
import time
from pathlib import Path

import psutil
from _workload import place, say

from orchestrion.app import run_process
from orchestrion.core import Answer, Datum, RunStatus, SystemClock
from orchestrion.engine import Limits
from orchestrion.functions import Human
from orchestrion.journal import DurableJournal
from orchestrion.store import Store
from orchestrion.testing import NoExpressions, Stage, interpreting, read_document, run_of

ASKED = read_document("""
document: { dsl: '1.0.3', namespace: bench, name: asked, version: '1.0.0' }
do:
  - ask: { call: 'human:1.0.0@default', with: { title: Go on?, role: clerk, form: { type: object, properties: { yes: { type: boolean } } } } }
""")
ASLEEP = read_document("""
document: { dsl: '1.0.3', namespace: bench, name: asleep, version: '1.0.0' }
do:
  - wait: { wait: { days: 1 } }
""")
AT_ONCE = 200


def _memory_mb() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 1_000_000


async def main() -> None:
    where, clock = place(), SystemClock()
    store = Store.open(Path(where["folder"]) / "waiting.db", mode="own", clock=clock)
    journal = DurableJournal(store, clock)
    stage = Stage(functions=(Human(),), limits=Limits(concurrency=AT_ONCE))
    interpret = interpreting({document.digest: document for document in (ASKED, ASLEEP)}, NoExpressions())
    async with stage.engine(journal, interpret) as engine:
        say({"ready": {}})
        before = _memory_mb()
        numbers = iter(range(where["runs"]))

        async def lane() -> None:
            for number in numbers:
                run = await engine.start(run_of(ASLEEP if number % 2 else ASKED, None))
                await engine.settle(run.id)

        began = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(AT_ONCE)))
        seconds = time.perf_counter() - began
        holding = _memory_mb()
        requests = random.Random(7).sample([request.id for request in await journal.requests()], where["wakes"])
        wakes: list[float] = []
        for request in requests:
            began = time.perf_counter()
            answered = await engine.answer(
                request, Answer(verdict="answered", by="ana", at=clock.now(), value=Datum({"yes": True}))
            )
            ended = await engine.settle(answered.run_id)
            wakes.append(1000 * (time.perf_counter() - began))
            assert ended.status is RunStatus.COMPLETED, ended
        waiting = (await journal.count())[RunStatus.WAITING]
    await journal.close()
    store.close()
    say({"waiting": waiting, "rss_mb": holding, "empty_mb": before, "fill_s": seconds, "wakes_ms": wakes})


run_process(main)
