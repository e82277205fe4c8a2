"""A simulation as text: what was wrong, how to replay it, the documents, and what happened."""

import io
from collections.abc import Iterator

from ruamel.yaml import YAML

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
            text = io.StringIO()
            YAML().dump(document, text)  # pyright: ignore[reportUnknownMemberType] ruamel.yaml is untyped here
            yield f"---\n{text.getvalue()}"
        yield from report.trace
    for wrong in report.wrong:
        yield f"WRONG: {wrong}"
    if report.wrong:
        yield f"replay: {command(report)}"
