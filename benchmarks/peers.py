"""Our engine beside its peers - DBOS, LangGraph, Temporal, Restate - on the same work with the same durability.

A workflow has ten steps, one after another. A step calls a function that returns 200 bytes, and its result is on disk before the
next one begins. In each round everybody is measured once, in processes and on a store of their own: first one workflow alone, then
as many at once as showed the most steps a second before the rounds began. Run: make bench NAME=peers [QUICK=1]
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from peer_measuring.environments import CACHE
from peer_measuring.postgres import Postgres, postgres
from peer_measuring.program import Failed, running
from peer_measuring.report import Result, as_json, sentence, show
from peer_measuring.rounds import FULL, QUICK, Scale, best, measure, quantile
from peer_measuring.subjects import SUBJECTS, Candidate, Subject

SCALE = QUICK if os.environ.get("QUICK") else FULL


def tell(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stdout.flush()


async def find_best(subjects: Sequence[Subject], server: Postgres, results: dict[str, Result]) -> dict[str, Candidate]:
    """Everybody's best settings; who cannot run at all gets the reason into its result."""
    chosen: dict[str, Candidate] = {}
    for subject in subjects:
        try:
            candidate, seen = await best(subject, server, SCALE)
        except Failed as failed:
            results[subject.name].failure = str(failed)
            tell(f"{subject.name}: {failed}")
            continue
        chosen[subject.name] = candidate
        results[subject.name].candidate = str(candidate)
        results[subject.name].tried = {each: round(rate) for each, rate in seen.items()}
        tell(f"{subject.name}: " + "; ".join(f"{each}: {rate:,.0f}/s" for each, rate in seen.items()))
    return chosen


async def run_round(number: int, server: Postgres, chosen: dict[str, Candidate], results: dict[str, Result]) -> None:
    """Everybody once, beginning with another than the last time."""
    for subject in (*SUBJECTS[number:], *SUBJECTS[:number]):
        if subject.name not in chosen:
            continue
        try:
            found = await measure(subject, chosen[subject.name], server, SCALE)
        except Failed as failed:
            results[subject.name].failure = f"in round {number + 1}: {failed}"
            tell(f"round {number + 1}  {subject.name}: {failed}")
            continue
        results[subject.name].rounds.append(found)
        tell(
            f"round {number + 1}  {subject.name}: {found.load.steps_per_s:,.0f} steps/s, {found.load.cpu_ms_per_step:.3f} ms"
            f" CPU a step, {found.load.rss_mb:.0f} MB; alone {found.step_p50_ms:.2f} ms a step (p99 {found.step_p99_ms:.2f})"
        )


async def waiting(scale: Scale) -> dict[str, Any]:
    """Very many runs that wait, and how soon one goes on."""
    tell(f"{scale.waiting_runs:,} runs are put to sleep")
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="waiting-") as folder:
        where = {"folder": folder, "name": "waiting", "runs": scale.waiting_runs, "wakes": scale.wakes}
        async with running(Path(sys.executable), "orchestrion_waiting.py", where) as program:
            told = await program.ask({}, timeout_s=1800)
    return {
        "runs": scale.waiting_runs,
        "rss_mb": round(told["rss_mb"], 1),
        "empty_mb": round(told["empty_mb"], 1),
        "fill_s": round(told["fill_s"], 1),
        "wake_ms": {
            "p50": round(quantile(told["wakes_ms"], 0.5), 2),
            "p99": round(quantile(told["wakes_ms"], 0.99), 2),
        },
    }


async def main() -> None:
    CACHE.mkdir(exist_ok=True)
    results = {subject.name: Result(subject=subject) for subject in SUBJECTS}
    loads = [os.getloadavg()[0]]
    asleep = await waiting(SCALE)
    tell(sentence(asleep))
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="postgres-") as folder:
        async with postgres(Path(folder)) as server:
            durable = await server.describe()
            tell(f"PostgreSQL: {durable}")
            chosen = await find_best(SUBJECTS, server, results)
            for number in range(SCALE.rounds):
                loads.append(os.getloadavg()[0])
                await run_round(number, server, chosen, results)
                line = as_json(list(results.values()), asleep, loads, durable, SCALE)
                (CACHE / "result.json").write_text(line)
    show(list(results.values()), asleep)
    sys.stdout.write((CACHE / "result.json").read_text() + "\n")


def run() -> int:
    loop = asyncio.new_event_loop()
    running_main = loop.create_task(main())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running_main.cancel)
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(running_main)
        return 0
    sys.stdout.write("stopped; everything that was started has ended\n")
    return 130


sys.exit(run())
