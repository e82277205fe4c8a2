"""A simulation as text: what was wrong, how to replay it, the documents, and what happened."""

from collections.abc import Iterator

from orchestrion.core import Json
from orchestrion.spec import SetValue, edit, parse_yaml

from ._simulation import Report


def told(report: Report) -> str:
    """The report for a terminal."""
    return "\n".join(_lines(report)) + "\n"


def command(report: Report) -> str:
    """What replays the simulation exactly, and shows everything."""
    return f"python -m orchestrion.testing.simulation --seed {report.seed} --size {report.size} --verbose"


def _lines(report: Report) -> Iterator[str]:
    ends = ", ".join(f"{run_id[:8]} {status}" for run_id, status in report.statuses.items())
    yield f"seed {report.seed}, size {report.size}: {report.lives} processes, {report.steps} steps, {report.elapsed_s:.1f} s: {ends}"
    if report.trace:
        for document in report.documents:
            yield f"---\n{_yaml(document)}"
        yield from report.trace
    for wrong in report.wrong:
        yield f"WRONG: {wrong}"
    if report.wrong:
        yield f"replay: {command(report)}"


def _yaml(document: Json) -> str:
    source, _ = parse_yaml("in: place\n", file="generated")
    return "" if source is None else edit(source, [SetValue("", document)])
