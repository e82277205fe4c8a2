"""What an event costs while many runs sleep, each listening for its own: from sending it until the run it is for has ended.

Run: make bench NAME=events [QUICK=1]. The last line is JSON.
"""

import asyncio
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

from orchestrion.core import Json, RunStatus, SystemClock, dump
from orchestrion.engine import Limits
from orchestrion.expressions import Expressions
from orchestrion.journal import DurableJournal
from orchestrion.store import Store
from orchestrion.testing import Desk, Stage, an_event, desk, run_of

QUICK = bool(os.environ.get("QUICK"))
LISTENERS = (1_000, 10_000) if QUICK else (10_000, 100_000)
AT_ONCE = 500
EVENTS = 50

BODY = """\
do:
  - keep: { set: { order: '${ .order }' }, export: { as: '${ . }' } }
  - paid:
      listen:
        to: { one: { with: { type: paid }, correlate: { order: { from: .data.order, expect: '${ $context.order }' } } } }
"""


async def _asleep(ears: Desk, count: int) -> float:
    """Start so many runs and wait until all of them listen; how many a second."""
    began = time.perf_counter()
    for first in range(0, count, AT_ONCE):
        numbers = range(first, min(count, first + AT_ONCE))
        runs = [run_of(ears.documents[0], {"order": number}, f"run-{number:07d}") for number in numbers]
        for run in runs:
            await ears.engine.start(run)
        await asyncio.gather(*(ears.engine.settle(run.id) for run in runs))
    return count / (time.perf_counter() - began)


async def _heard(ears: Desk, order: int) -> tuple[float, float]:
    """Milliseconds until it was decided who hears of an event, and until the run it is for had ended."""
    began = time.perf_counter()
    await ears.engine.receive(an_event("paid", {"order": order}))
    await ears.engine.routed()
    routed = time.perf_counter()
    run = await ears.engine.settle(f"run-{order:07d}")
    if run.status is not RunStatus.COMPLETED:
        raise SystemExit(f"run {run.id} is {run.status}")
    return (routed - began) * 1000, (time.perf_counter() - began) * 1000


async def _measure(count: int, folder: Path) -> dict[str, Json]:
    clock = SystemClock()
    store = Store.open(folder / "events.db", mode="own", clock=clock)
    journal = DurableJournal(store, clock)
    stage = Stage(limits=Limits(concurrency=200))
    async with Expressions() as expressions, desk([BODY], journal=journal, evaluator=expressions, stage=stage) as ears:
        rate = await _asleep(ears, count)
        figures = [await _heard(ears, number * 7919 % count) for number in range(EVENTS)]
        filters = len(await journal.interests("paid"))
    await journal.close()
    store.close()
    return {
        "listeners": count,
        "filters": filters,
        "listening_per_s": round(rate),
        "routed_ms": round(statistics.median(routed for routed, _ in figures), 2),
        "ended_ms": round(statistics.median(ended for _, ended in figures), 2),
        "ended_ms_worst": round(max(ended for _, ended in figures), 2),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    found: list[Json] = []
    for count in LISTENERS:
        with tempfile.TemporaryDirectory() as folder:
            figures = asyncio.run(_measure(count, Path(folder)))
        print(
            f"{count:>7,} listeners: routed in {figures['routed_ms']} ms, heard and ended in {figures['ended_ms']} ms "
            f"(worst {figures['ended_ms_worst']}), {figures['rss_mb']} MB"
        )
        found.append(figures)
    print(dump({"events": found}))


if __name__ == "__main__":
    main()
