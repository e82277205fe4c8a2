"""What the parts of the scale benchmark share: a project to measure with, memory, percentiles."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrion.core import Json, dump

QUICK = bool(os.environ.get("QUICK"))
COMMAND = Path(sys.executable).with_name("orchestrion")


def rss_mb(pid: int | str = "self") -> float:
    """Resident memory of a process now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)


def peak_mb() -> float:
    """The most that this process ever had resident."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 2),
        "max_ms": round(ordered[-1] * 1000, 2),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    seconds: float
    rss_mb: float
    out: str


def command(project: Path, *arguments: str) -> Ran:
    """One command of the command line, timed, with its greatest memory."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [COMMAND, *arguments, "--project", project], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        assert process.stderr is not None
        raise SystemExit(process.stderr.read())
    return Ran(seconds=round(time.perf_counter() - began, 3), rss_mb=round(usage.ru_maxrss * 1024 / 1e6, 1), out=out)


def make_project(folder: Path, settings: str = "name: scale\n", **workflows: str) -> Path:
    """A project with these workflows, each given as its tasks."""
    (folder / "workflows").mkdir(parents=True, exist_ok=True)
    (folder / "orchestrion.yaml").write_text(settings, encoding="utf-8")
    for name, tasks in workflows.items():
        head = f"document: {{ dsl: '1.0.3', namespace: scale, name: {name}, version: '1.0.0' }}\n"
        (folder / "workflows" / f"{name}.yaml").write_text(head + tasks, encoding="utf-8")
    return folder


def say(figures: dict[str, Json]) -> None:
    """The part's result, as its last line."""
    sys.stdout.write(dump(figures) + "\n")
    sys.stdout.flush()
