"""A loop over many items, killed near its end: what recovery takes, and whether an iteration costs more the later it comes.

`looping.py run FOLDER SHAPE COUNT KILLED` runs until the item KILLED and dies there; `looping.py again FOLDER SHAPE COUNT` goes on.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from measuring import peak_mb, rss_mb, say

from orchestrion.core import Datum, Json, LeafContext, Outcome, Run, RunStatus, SystemClock
from orchestrion.engine import Engine
from orchestrion.expressions import Expressions
from orchestrion.journal import DurableJournal
from orchestrion.store import Store
from orchestrion.testing import Scripted, Stage, interpreting, read_document, run_of

HEAD = "document: { dsl: '1.0.3', namespace: scale, name: loop, version: '1.0.0' }\n"
CALL = "{ call: 'act:1.0.0@default', with: { n: '${ $item }' } }"
SHAPES = {
    "flat": f"do:\n  - all:\n      for: {{ each: item, in: '${{ .items }}' }}\n      do:\n        - act: {CALL}\n",
    "nested": (
        "do:\n  - all:\n      for: { each: row, in: '${ .rows }' }\n      do:\n"
        "        - inner:\n            for: { each: item, in: '${ $row }' }\n            do:\n"
        f"              - act: {CALL}\n"
    ),
    "forked": (
        "do:\n  - all:\n      for: { each: item, in: '${ .items }' }\n      do:\n"
        f"        - both:\n            fork:\n              branches:\n                - left: {CALL}\n                - right: {CALL}\n"
    ),
}


def given(shape: str, count: int) -> Json:
    if shape == "nested":
        return {"rows": [list(range(at, at + 100)) for at in range(0, count, 100)]}
    return {"items": list(range(count))}


async def main(what: str, folder: Path, shape: str, count: int, killed: int) -> None:
    document = read_document(HEAD + SHAPES[shape])
    stamps: list[float] = []
    cpu: list[float] = []

    async def act(arguments: Mapping[str, Json], _: LeafContext) -> Outcome:
        stamps.append(time.perf_counter())
        cpu.append(time.process_time())
        if arguments["n"] == killed:
            third = len(stamps) // 3
            rates = [third / (stamps[at + third - 1] - stamps[at]) for at in (0, 2 * third)]
            say({"first_per_s": round(rates[0]), "last_per_s": round(rates[1]), "rss_peak_mb": peak_mb()})
            os._exit(0)
        return Outcome(output=Datum(arguments["n"]))

    began, began_cpu = time.perf_counter(), time.process_time()
    clock = SystemClock()
    store = Store.open(folder / f"{shape}.db", mode="own", clock=clock)
    journal = DurableJournal(store, clock)
    async with Expressions() as expressions:
        stage = Stage(functions=(Scripted(name="act", act=act, effect="write"),))
        async with stage.engine(journal, interpreting({document.digest: document}, expressions)) as engine:
            run_id = await _started(engine, journal, what, run_of(document, given(shape, count)))
            ended = await engine.settle(run_id)
    await journal.close()
    store.close()
    if ended.status is not RunStatus.COMPLETED:
        raise SystemExit(f"{ended.status}: {ended.problem}")
    say(
        {
            "first_effect_s": round(stamps[0] - began, 3),
            "first_effect_cpu_s": round(cpu[0] - began_cpu, 3),
            "effects": len(stamps),
            "rss_peak_mb": peak_mb(),
            "rss_mb": rss_mb(),
        }
    )


async def _started(engine: Engine, journal: DurableJournal, what: str, new: Run) -> str:
    if what == "run":
        return (await engine.start(new)).id
    (run_id,) = await journal.runnable(time.time(), 10)
    run = await journal.run(run_id)
    assert run is not None
    engine.advance(run)
    return run_id


what, folder, shape, count = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
folder.mkdir(parents=True, exist_ok=True)
asyncio.run(main(what, folder, shape, count, int(sys.argv[5]) if what == "run" else -1))
