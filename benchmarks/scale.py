"""How large one machine may grow: waiting runs, long loops, large values, old stores, and retention, each against its target.

Run: make bench NAME=scale [QUICK=1]. Prints a table, whether each target is met, and one line of JSON.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from orchestrion.core import Json, dump, parse

QUICK = bool(os.environ.get("QUICK"))
PARTS = Path(__file__).with_name("_scale")
Figures = dict[str, Any]
"""What a part measured; nested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    what: str
    of: Callable[[Figures], float]
    most: float
    unit: str


def part(name: str, *arguments: object) -> Figures:
    """Run a part in a process of its own, so that memory is its own; its last line is the result."""
    process = subprocess.run(
        [sys.executable, PARTS / f"{name}.py", *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True
    )
    return cast("Figures", parse(process.stdout.splitlines()[-1]))


def measure(folder: Path) -> Figures:
    waiting, items, small, many, old = (
        (1_200, 1_000, 1_000, 20_000, 5_000) if QUICK else (100_000, 10_000, 1_000, 1_000_000, 100_000)
    )
    found: Figures = {"grow": part("waiting", "grow", folder / "waiting", waiting)}
    found["wake"] = part("waiting", "wake", folder / "waiting")
    found["listed"] = part("history", folder / "waiting")
    for shape in ("flat", "nested", "forked"):
        died = part("looping", "run", folder, shape, items, items - 10)
        found[f"loop_{shape}"] = {**died, **part("looping", "again", folder, shape, items)}
    found["payload_many"] = part("payload", folder / "many", *((8, 4, 2) if QUICK else (64, 16, 1)))
    found["payload_one"] = part("payload", folder / "one", *((1, 8, 4) if QUICK else (1, 32, 8)))
    for name, runs in (("few", small), ("million", many)):
        part("generating", folder / name / ".orchestrion" / "orchestrion.db", runs)
        found[name] = part("history", folder / name)
    found["retaining"] = part("retaining", folder / "retaining", old)
    return found


TARGETS = (
    Target(what="memory with all runs asleep", of=lambda f: f["grow"]["rss_asleep_mb"], most=200, unit="MB"),
    Target(
        what="wake by an answer in the same process, p99",
        of=lambda f: f["grow"]["answered_here"]["p99_ms"],
        most=50,
        unit="ms",
    ),
    Target(
        what="wake by an answer from another process, p99",
        of=lambda f: f["wake"]["answered_by_another_process"]["p99_ms"],
        most=50,
        unit="ms",
    ),
    Target(what="wake by a timer, p99", of=lambda f: f["grow"]["timer"]["p99_ms"], most=50, unit="ms"),
    Target(what="start of an owner that finds them", of=lambda f: f["wake"]["open_s"], most=1, unit="s"),
    Target(
        what="recovery of a loop killed near its end", of=lambda f: f["loop_flat"]["first_effect_s"], most=1, unit="s"
    ),
    Target(what="  of a loop within a loop", of=lambda f: f["loop_nested"]["first_effect_s"], most=1, unit="s"),
    Target(what="  of a loop with a fork inside", of=lambda f: f["loop_forked"]["first_effect_s"], most=1, unit="s"),
    Target(
        what="an iteration at the end, in iterations at the beginning",
        of=lambda f: f["loop_flat"]["first_per_s"] / f["loop_flat"]["last_per_s"],
        most=1.5,
        unit="x",
    ),
    Target(
        what="memory while many runs pass large values",
        of=lambda f: f["payload_many"]["owner_peak_mb"] + f["payload_many"]["workers_peak_mb"],
        most=300,
        unit="MB",
    ),
    Target(
        what="memory while one run passes larger ones",
        of=lambda f: f["payload_one"]["owner_peak_mb"] + f["payload_one"]["workers_peak_mb"],
        most=300,
        unit="MB",
    ),
    Target(what="slowest list, beside few finished runs", of=lambda f: _slowest(f, "list"), most=2, unit="x"),
    Target(
        what="finding a run by its id, beside few",
        of=lambda f: f["million"]["find_whole"] / max(f["few"]["find_whole"], 5),
        most=2,
        unit="x",
    ),
    Target(
        what="a run from start to end, beside few",
        of=lambda f: f["million"]["start_to_end"] / f["few"]["start_to_end"],
        most=2,
        unit="x",
    ),
    Target(
        what="a step while retention works, p99, in those without",
        of=lambda f: f["retaining"]["step_during"]["p99_ms"] / f["retaining"]["step_without"]["p99_ms"],
        most=2,
        unit="x",
    ),
)


def _slowest(found: Figures, kind: str) -> float:
    """The greatest ratio of a kind of question in the large store to the small one; below 5 ms nobody can tell."""
    return max(took / max(found["few"][name], 5.0) for name, took in found["million"].items() if name.startswith(kind))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="orchestrion-scale-") as folder:
        found = measure(Path(folder))
    for name, figures in found.items():
        sys.stdout.write(f"{name:13}" + "  ".join(f"{key} {value}" for key, value in figures.items()) + "\n")
    met = {target.what.strip(): target.of(found) <= target.most for target in TARGETS}
    for target in TARGETS:
        value = target.of(found)
        said = "met" if value <= target.most else "MISSED"
        sys.stdout.write(f"{target.what:58}{value:>10,.2f} {target.unit:3} at most {target.most:g}  {said}\n")
    sys.stdout.write(dump(cast("Json", {**found, "met": met})) + "\n")


main()
