"""CPU time and memory of processes with all that they started, read from outside."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import psutil

SAMPLE_S = 0.5


def _tree(pids: Iterable[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found += [root, *root.children(recursive=True)]
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds, user and system, of these processes, their living descendants, and the descendants they have buried."""
    total = 0.0
    for process in _tree(pids):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def memory_mb(pids: Iterable[int]) -> float:
    """Proportional set size in MB: what several processes share counts once."""
    total = 0
    for process in _tree(pids):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += process.memory_full_info().pss
    return total / 1_000_000


@dataclass(slots=True)
class Peak:
    mb: float = 0.0


@asynccontextmanager
async def peak_memory(pids: Iterable[int]) -> AsyncGenerator[Peak]:
    """The highest of the samples taken while the block runs."""
    peak, watched = Peak(), list(pids)

    async def sample() -> None:
        while True:
            peak.mb = max(peak.mb, memory_mb(watched))
            await asyncio.sleep(SAMPLE_S)

    sampling = asyncio.ensure_future(sample())
    try:
        yield peak
    finally:
        sampling.cancel()
        peak.mb = max(peak.mb, memory_mb(watched))
