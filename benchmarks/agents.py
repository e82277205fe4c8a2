"""An agent's turn beside its peers - LangChain, OpenAI's agents SDK, and pydantic-ai alone, on which ours is built.

A turn is ten tool calls, one after another, with a model and a tool that cost nothing, so that the library's own work is what is
measured. In each round everybody runs turns for about the same time, one after another, in a process of its own. Then 200 of our
agents wait for a slow model at once. Run: make bench NAME=agents [QUICK=1]
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _agents.slow_model import slow_model
from peer_measuring.environments import CACHE, environment
from peer_measuring.program import Failed, Program, running

from orchestrion.core import Json, dump

QUICK = bool(os.environ.get("QUICK"))
ROUNDS, ROUND_S = (4, 1.0) if QUICK else (12, 3.0)
AGENTS = 200
MOST_MB = 40.0
MOST_MS = 2.0
DONE = "All are noted."
FLOOR = "pydantic-ai"
COMMITTING = "pydantic-ai, bare rows"
OURS = "orchestrion"
IN_MEMORY = "orchestrion, in memory"
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    name: str
    environment: str
    program: str
    record: str
    """What survives a kill in the middle of a turn."""
    where: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True, kw_only=True)
class Result:
    subject: Subject
    durability: str = ""
    cpu_ms: list[float] = field(default_factory=list[float])
    """A tool call with its model request, a value a round."""
    wall_ms: list[float] = field(default_factory=list[float])
    failure: str = ""


SUBJECTS: Sequence[Subject] = (
    Subject(
        name=FLOOR,
        environment="ours",
        program="pydantic_ai_turn.py",
        record="nothing",
        where={"commits": False},
    ),
    Subject(
        name=COMMITTING,
        environment="ours",
        program="pydantic_ai_turn.py",
        record="rows that nothing resumes from",
        where={"commits": True},
    ),
    Subject(
        name=IN_MEMORY,
        environment="ours",
        program="orchestrion_turn.py",
        record="nothing",
        where={"database": None, "declared": "read", "memory": True},
    ),
    Subject(
        name=OURS,
        environment="ours",
        program="orchestrion_turn.py",
        record="each answer, each result",
        where={"database": None, "declared": "read", "memory": False},
    ),
    Subject(
        name="orchestrion, tool writes",
        environment="ours",
        program="orchestrion_turn.py",
        record="each answer, intent and result",
        where={"database": None, "declared": "write", "memory": False},
    ),
    Subject(
        name="langchain",
        environment="langchain",
        program="langchain_turn.py",
        record="nothing",
        where={"durable": False},
    ),
    Subject(
        name="langchain, saver",
        environment="langchain",
        program="langchain_turn.py",
        record="each step",
        where={"durable": True},
    ),
    Subject(
        name="openai-agents",
        environment="openai-agents",
        program="openai_agents_turn.py",
        record="nothing",
        where={"durable": False},
    ),
    Subject(
        name="openai-agents, session",
        environment="openai-agents",
        program="openai_agents_turn.py",
        record="what was said; no resuming",
        where={"durable": True},
    ),
)


def tell(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stdout.flush()


async def turns(program: Program, count: int) -> tuple[float, float, float]:
    """CPU and wall milliseconds for each tool call, and seconds in all. Raises: Failed."""
    told = await program.ask({"turns": count}, timeout_s=PATIENCE_S)
    if told["calls"] != 10 * count:
        raise Failed(f"{told['calls']} tool calls in {count} turns")
    return 1000 * told["cpu_s"] / told["calls"], 1000 * told["wall_s"] / told["calls"], told["wall_s"]


async def measure(results: Sequence[Result]) -> None:
    """All rounds, beginning each with another subject."""
    async with AsyncExitStack() as stack:
        started: list[tuple[Result, Program, int]] = []
        for result in results:
            try:
                python = await environment(result.subject.environment)
                folder = stack.enter_context(tempfile.TemporaryDirectory(dir=CACHE, prefix="turns-"))
                where = {**result.subject.where, "folder": folder, "name": "turns"}
                program = await stack.enter_async_context(running(python, result.subject.program, where))
                result.durability = program.ready["durability"]
                await turns(program, 3)
                _, _, seconds = await turns(program, 5)
            except Failed as failed:
                result.failure = str(failed)
                tell(f"{result.subject.name}: {failed}")
                continue
            started.append((result, program, max(2, round(5 * ROUND_S / seconds))))
        for number in range(ROUNDS):
            turned = number % len(started)
            for result, program, count in (*started[turned:], *started[:turned]):
                cpu_ms, wall_ms, _ = await turns(program, count)
                result.cpu_ms.append(cpu_ms)
                result.wall_ms.append(wall_ms)
            told = ", ".join(f"{result.subject.name} {result.cpu_ms[-1]:.2f}" for result, _, _ in started)
            tell(f"round {number + 1}, ms of CPU a call: {told}")


async def wait_together() -> dict[str, float]:
    """What so many agents add to an engine that has run one, while all wait for the model at once. Raises: Failed."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=CACHE, prefix="agents-"))
        model = await stack.enter_async_context(slow_model(DONE))
        where = {"folder": folder, "name": "waiting", "agents": AGENTS, "address": model.address}
        program = await stack.enter_async_context(running(Path(sys.executable), "orchestrion_agents_waiting.py", where))
        empty_mb = program.ready["empty_mb"]
        model.may_answer.clear()
        await program.tell({})
        began = time.perf_counter()
        while model.waiting < AGENTS:
            if time.perf_counter() - began > PATIENCE_S:
                raise Failed(f"only {model.waiting} of {AGENTS} requests came to the model")
            await asyncio.sleep(0.05)
        all_wait_s = time.perf_counter() - began
        holding = await program.ask({}, timeout_s=PATIENCE_S)
        model.may_answer.set()
        began = time.perf_counter()
        while True:
            ended = await program.ask({}, timeout_s=PATIENCE_S)
            if ended["ended"]:
                break
            await asyncio.sleep(0.05)
        return {
            "agents": AGENTS,
            "grown_mb": round(holding["rss_mb"] - empty_mb, 1),
            "empty_mb": round(empty_mb, 1),
            "after_mb": round(ended["rss_mb"], 1),
            "all_wait_s": round(all_wait_s, 2),
            "all_end_s": round(time.perf_counter() - began, 2),
        }


def spread(values: Sequence[float]) -> dict[str, Json]:
    return {
        "median": round(statistics.median(values), 2),
        "least": round(min(values), 2),
        "most": round(max(values), 2),
    }


def added_ms(ours: Result, other: Result) -> float:
    """The median of the rounds' differences."""
    return statistics.median(mine - its for mine, its in zip(ours.cpu_ms, other.cpu_ms, strict=True))


def show(results: Sequence[Result], beyond: Mapping[str, float], waiting: Mapping[str, float]) -> None:
    head = f"{'':24}{'CPU a call, ms':>24}{'wall, ms':>10}  survives a kill; durability\n"
    lines = [head]
    for result in results:
        name = result.subject.name
        if result.failure:
            lines.append(f"{name:24}  {result.failure}\n")
            continue
        cpu = f"{statistics.median(result.cpu_ms):.2f} ({min(result.cpu_ms):.2f} - {max(result.cpu_ms):.2f})"
        wall = f"{statistics.median(result.wall_ms):.2f}"
        lines.append(f"{name:24}{cpu:>24}{wall:>10}  {result.subject.record}; {result.durability}\n")
    lines += [
        f"beyond {FLOOR}: {beyond[f'{OURS}; {FLOOR}']:.2f} ms of CPU a call, aim {MOST_MS}:"
        f" {_met(beyond[f'{OURS}; {FLOOR}'], MOST_MS)}; beyond {COMMITTING}: {beyond[f'{OURS}; {COMMITTING}']:.2f} ms;"
        f" in memory beyond {FLOOR}: {beyond[f'{IN_MEMORY}; {FLOOR}']:.2f} ms\n",
        f"{AGENTS} agents that wait for a model at once: {waiting['grown_mb']} MB beyond {waiting['empty_mb']} MB,"
        f" aim {MOST_MB:.0f}: {_met(waiting['grown_mb'], MOST_MB)}\n",
    ]
    sys.stdout.write("".join(lines))


def _met(value: float, most: float) -> str:
    return "met" if value <= most else "MISSED"


async def main() -> None:
    CACHE.mkdir(exist_ok=True)
    load = os.getloadavg()[0]
    try:
        waiting = await wait_together()
    except Failed as failed:
        raise SystemExit(f"{AGENTS} agents at once: {failed}") from failed
    tell(f"{AGENTS} agents wait: {waiting['grown_mb']} MB")
    results = [Result(subject=subject) for subject in SUBJECTS]
    await measure(results)
    by_name = {result.subject.name: result for result in results}
    beyond = {
        f"{ours}; {floor}": added_ms(by_name[ours], by_name[floor])
        for ours, floor in ((OURS, FLOOR), (OURS, COMMITTING), (IN_MEMORY, FLOOR))
    }
    show(results, beyond, waiting)
    figures: dict[str, Json] = {
        "turns": {
            name: {"failure": result.failure}
            if result.failure
            else {
                "cpu_ms": spread(result.cpu_ms),
                "wall_ms": spread(result.wall_ms),
                "survives": result.subject.record,
                "durability": result.durability,
            }
            for name, result in by_name.items()
        },
        "beyond_ms": {name: round(value, 2) for name, value in beyond.items()},
        "waiting": dict(waiting),
        "rounds": ROUNDS,
        "load": round(load, 2),
    }
    sys.stdout.write(dump(figures) + "\n")


asyncio.run(main())
