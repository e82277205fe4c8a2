"""Whether runs feel retention: how long a step takes, without and with a sweep over many old runs. `retaining.py FOLDER RUNS`"""

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from generating import generate
from measuring import percentiles_ms, say

from orchestrion.core import Datum, Json, LeafContext, Outcome, Retention, RunStatus, SystemClock
from orchestrion.engine import Engine
from orchestrion.journal import DurableJournal
from orchestrion.spec import Document
from orchestrion.store import Store
from orchestrion.testing import NoExpressions, Scripted, Stage, interpreting, read_document, run_of

STEPS = 10
AT_ONCE = 10
DOCUMENT = read_document(
    "document: { dsl: '1.0.3', namespace: scale, name: steps, version: '1.0.0' }\ndo:\n"
    + "".join(f"  - step{i}: {{ call: 'act:1.0.0@default', with: {{ n: {i} }} }}\n" for i in range(STEPS))
)
POLICY = Retention(runs={RunStatus.COMPLETED: 0.0, RunStatus.FAULTED: 0.0, RunStatus.CANCELLED: 0.0})


async def main(path: Path, runs: int) -> None:
    generate(path, runs)
    steps: list[tuple[float, float]] = []
    last: dict[str, float] = {}

    async def act(_: Mapping[str, Json], context: LeafContext) -> Outcome:
        now = time.perf_counter()
        if context.run_id in last:
            steps.append((now, now - last[context.run_id]))
        last[context.run_id] = now
        return Outcome(output=Datum("done"))

    clock = SystemClock()
    store = Store.open(path, mode="own", clock=clock)
    journal = DurableJournal(store, clock)
    stage = Stage(functions=(Scripted(name="act", act=act),))
    async with stage.engine(journal, interpreting({DOCUMENT.digest: DOCUMENT}, NoExpressions())) as engine:
        working = asyncio.ensure_future(_work(engine, DOCUMENT))
        await asyncio.sleep(5)
        began = time.perf_counter()
        sweep = asyncio.ensure_future(journal.retain(POLICY))
        await asyncio.wait([sweep], timeout=15)
        ended = time.perf_counter()
        sweep.cancel()
        working.cancel()
        await asyncio.wait([working, sweep])
    left = await journal.look(
        lambda connection: int(
            connection.execute("select count(*) from runs where digest like 'digest%' or digest = ''").fetchone()[0]
        )
    )
    await journal.close()
    store.close()
    without = [took for at, took in steps if at < began]
    during = [took for at, took in steps if began <= at < ended]
    say(
        {
            "step_without": dict(percentiles_ms(without)),
            "step_during": dict(percentiles_ms(during)),
            "steps_per_s_without": round(len(without) / 5),
            "steps_per_s_during": round(len(during) / (ended - began)),
            "removed_per_s": round((runs - left) / (ended - began)),
        }
    )


async def _work(engine: Engine, document: Document) -> None:
    async def one() -> None:
        while True:
            await engine.settle((await engine.start(run_of(document, None))).id)

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))


asyncio.run(main(Path(sys.argv[1]) / "retaining.db", int(sys.argv[2])))
