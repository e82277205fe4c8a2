"""What was seen: a table for people, and one line of JSON."""

import json
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from .rounds import Round, Scale
from .subjects import Kind, Subject

AIM = {"file": 10, "postgres": 5}
"""Steps a second, as a multiple of the best peer's."""
AIM_CPU = 5
"""CPU a step, as a fraction of the thriftiest peer's."""
TITLES: Mapping[Kind, str] = {"file": "On a file of its own", "postgres": "On PostgreSQL"}


@dataclass(slots=True, kw_only=True)
class Result:
    """Everything about one subject."""

    subject: Subject
    candidate: str = ""
    tried: Mapping[str, int] = field(default_factory=dict[str, int])
    rounds: list[Round] = field(default_factory=list[Round])
    failure: str | None = None

    def median(self, figure: Callable[[Round], float]) -> float:
        return statistics.median(map(figure, self.rounds))

    def spread(self, figure: Callable[[Round], float]) -> tuple[float, float]:
        values = list(map(figure, self.rounds))
        return min(values), max(values)

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"failed": self.failure} if self.failure else {}
        if not self.rounds:
            return found
        return found | {
            "steps_per_s": round(self.median(rate)),
            "steps_per_s_spread": [round(value) for value in self.spread(rate)],
            "cpu_ms_per_step": round(self.median(cpu), 4),
            "cpu_ms_per_step_spread": [round(value, 4) for value in self.spread(cpu)],
            "step_p50_ms": round(self.median(lambda each: each.step_p50_ms), 3),
            "step_p99_ms": round(self.median(lambda each: each.step_p99_ms), 3),
            "run_p50_ms": round(self.median(lambda each: each.run_p50_ms), 2),
            "rss_mb": round(self.median(lambda each: each.load.rss_mb), 1),
            "rounds": len(self.rounds),
            "settings": self.candidate,
            "tried": self.tried,
            "durability": self.rounds[0].durability,
            "records_each_step": self.subject.alike,
        }


def rate(each: Round) -> float:
    return each.load.steps_per_s


def cpu(each: Round) -> float:
    return each.load.cpu_ms_per_step


def ours_on(results: Sequence[Result], kind: Kind) -> Result | None:
    """Ours on that store, as it compares to peers: one record a step."""
    found = [each for each in results if each.subject.ours and each.subject.kind == kind and each.rounds]
    return found[0] if found else None


def show(results: Sequence[Result], waiting: Mapping[str, Any]) -> None:
    console = Console(width=150)
    for kind, title in TITLES.items():
        here = [each for each in results if each.subject.kind == kind]
        console.print(_table(title, here, ours_on(here, kind)))
        for line in _aims(here, kind):
            console.print(line)
        console.print()
    console.print(sentence(waiting))


def sentence(waiting: Mapping[str, Any]) -> str:
    """What was seen of the runs that wait."""
    wake = waiting["wake_ms"]
    return (
        f"{waiting['runs']:,} waiting runs: {waiting['rss_mb']:.0f} MB (the empty engine {waiting['empty_mb']:.0f} MB);"
        f" from an answer to the run's recorded end {wake['p50']:.1f} ms (p99 {wake['p99']:.1f})"
    )


def _table(title: str, results: Sequence[Result], ours: Result | None) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in (
        "steps/s",
        "min - max",
        "ours is",
        "CPU ms/step",
        "min - max",
        "ours needs",
        "step p50",
        "p99 ms",
        "MB",
    ):
        table.add_column(column, justify="right")
    for result in results:
        if not result.rounds:
            table.add_row(result.subject.name, result.failure, *[""] * 8)
            continue
        table.add_row(*_cells(result, ours))
        if result.failure:
            table.add_row("", result.failure, *[""] * 8)
    return table


def _cells(result: Result, ours: Result | None) -> list[str]:
    rates, cpus = result.spread(rate), result.spread(cpu)
    faster = thriftier = ""
    if ours is not None and not result.subject.ours:
        faster = f"{ours.median(rate) / result.median(rate):.1f} x"
        thriftier = f"1/{result.median(cpu) / ours.median(cpu):.1f}"
    return [
        result.subject.name + ("" if result.subject.alike else " *"),
        f"{result.median(rate):,.0f}",
        f"{rates[0]:,.0f} - {rates[1]:,.0f}",
        faster,
        f"{result.median(cpu):.3f}",
        f"{cpus[0]:.3f} - {cpus[1]:.3f}",
        thriftier,
        f"{result.median(lambda each: each.step_p50_ms):.2f}",
        f"{result.median(lambda each: each.step_p99_ms):.2f}",
        f"{result.median(lambda each: each.load.rss_mb):.0f}",
    ]


def _aims(results: Sequence[Result], kind: Kind) -> list[str]:
    """How far ours is from what it aims at. Printed, never asserted: the machine decides too."""
    ours = ours_on(results, kind)
    peers = [each for each in results if each.rounds and each.subject.alike and not each.subject.ours]
    lines = [
        f"* {each.subject.name} writes the results of many steps at once: not the same durability, and not counted below"
        for each in results
        if not each.subject.alike
    ]
    if ours is None or not peers:
        return [*lines, "Nothing to compare: ours or every peer is missing."]
    alike = [each for each in peers if not each.subject.own_store]
    apart = [each for each in peers if each.subject.own_store]
    for group, where in ((alike, "on the same store"), (apart, "on a store of its own")):
        lines += _compared(ours, group, kind, where)
    return lines


def _compared(ours: Result, peers: Sequence[Result], kind: Kind, where: str) -> list[str]:
    if not peers:
        return []
    fastest, thriftiest = max(peers, key=lambda each: each.median(rate)), min(peers, key=lambda each: each.median(cpu))
    faster, thriftier = ours.median(rate) / fastest.median(rate), thriftiest.median(cpu) / ours.median(cpu)
    return [
        f"{_verdict(faster >= AIM[kind])}: at least {AIM[kind]} times the steps/s of the best peer {where}: "
        f"it is {faster:.1f} times {fastest.subject.name}'s",
        f"{_verdict(thriftier >= AIM_CPU)}: at most 1/{AIM_CPU} of the CPU a step of any peer {where}: "
        f"it is 1/{thriftier:.1f} of {thriftiest.subject.name}'s",
    ]


def _verdict(met: bool) -> str:
    return "met    " if met else "not met"


def as_json(
    results: Sequence[Result], waiting: Mapping[str, Any], loads: Sequence[float], postgres: str, scale: Scale
) -> str:
    """The line: ours by store, peers by name, the waiting runs, and under which conditions."""
    ours = {
        each.subject.name.removeprefix("orchestrion-").replace("-", "_"): each.to_json()
        for each in results
        if each.subject.ours
    }
    conditions = {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processor": _processor(),
        "load": [round(load, 1) for load in loads],
        "postgres": postgres,
        "rounds": max(len(each.rounds) for each in results),
        "window_s": scale.together_s,
    }
    peers = {each.subject.name: each.to_json() for each in results if not each.subject.ours}
    return json.dumps({"ours": ours, "peers": peers, "waiting": waiting, "conditions": conditions})


def _processor() -> str:
    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()
