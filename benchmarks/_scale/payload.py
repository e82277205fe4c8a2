"""Large values through runs: the memory of the owner and of its expression workers while a gigabyte passes.

`payload.py FOLDER RUNS MB HOPS`: so many runs, each handing a value of so many MB from task to task.
"""

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from measuring import peak_mb, rss_mb, say

from orchestrion.app import run_process
from orchestrion.core import Datum, Json, LeafContext, Outcome, RunStatus, SystemClock
from orchestrion.expressions import Expressions
from orchestrion.journal import DurableJournal
from orchestrion.store import Store
from orchestrion.testing import Scripted, Stage, interpreting, read_document, run_of

HEAD = "document: { dsl: '1.0.3', namespace: scale, name: payload, version: '1.0.0' }\ndo:\n"


def document_of(hops: int) -> str:
    """The first task makes a value; each later one is handed the value before, and gives one as large."""
    later = "".join(
        f"  - hop{i}: {{ call: 'hop:1.0.0@default', with: {{ text: '${{ .text }}' }} }}\n" for i in range(hops)
    )
    return (
        HEAD
        + "  - make: { call: 'make:1.0.0@default', with: { n: '${ .n }' } }\n"
        + later
        + "  - last: { set: { done: true } }\n"
    )


async def main(folder: Path, runs: int, megabytes: int, hops: int) -> None:
    document = read_document(document_of(hops))
    passed = 0

    async def make(arguments: Mapping[str, Json], _: LeafContext) -> Outcome:
        return Outcome(
            output=Datum(
                {"n": arguments["n"], "text": chr(97 + int(str(arguments["n"])) % 26) * (megabytes * 1_000_000)}
            )
        )

    async def hop(arguments: Mapping[str, Json], _: LeafContext) -> Outcome:
        nonlocal passed
        text = str(arguments["text"])
        passed += len(text)
        return Outcome(output=Datum({"text": text[1:] + chr(ord(text[0]) + 1)}))

    clock = SystemClock()
    store = Store.open(folder / "payload.db", mode="own", clock=clock)
    journal = DurableJournal(store, clock)
    workers: list[float] = []
    began = time.perf_counter()
    async with Expressions() as expressions:
        stage = Stage(
            functions=(Scripted(name="make", act=make, effect="write"), Scripted(name="hop", act=hop, effect="write"))
        )
        async with stage.engine(journal, interpreting({document.digest: document}, expressions)) as engine:
            empty = rss_mb()
            watch = asyncio.ensure_future(_watch(expressions, workers))
            ids = [(await engine.start(run_of(document, {"n": n}))).id for n in range(runs)]
            ended = [await engine.settle(run_id) for run_id in ids]
            watch.cancel()
    await journal.close()
    store.close()
    if any(run.status is not RunStatus.COMPLETED for run in ended):
        raise SystemExit(str([run.problem for run in ended]))
    say(
        {
            "passed_gb": round(passed / 1e9, 2),
            "seconds": round(time.perf_counter() - began, 1),
            "rss_empty_mb": empty,
            "owner_peak_mb": peak_mb(),
            "workers_peak_mb": max(workers, default=0.0),
        }
    )


async def _watch(expressions: Expressions, seen: list[float]) -> None:
    while True:
        seen.append(sum(rss_mb(pid) for pid in expressions.worker_pids()))
        await asyncio.sleep(0.05)


Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
run_process(lambda: main(Path(sys.argv[1]), *map(int, sys.argv[2:5])))
