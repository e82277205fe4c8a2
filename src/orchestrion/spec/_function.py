"""A function's definition that stands alone: a task with its input and output, as catalogs hold them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrion.core import Json

from ._context import Context, Scope
from ._model import ExpressionAt, Task
from ._report import Report
from ._source import Finding
from ._tasks import task
from ._yaml import parse


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionReading:
    """What reading gave. `task` is None exactly when one of `findings` is an error."""

    task: Task | None
    json: Json = None
    expressions: tuple[ExpressionAt, ...] = ()
    findings: list[Finding] = field(default_factory=list[Finding])


def read_function(text: str | bytes, *, name: str, file: str = "<function>", at: str = "") -> FunctionReading:
    """Read the task at the pointer `at` of a text in YAML 1.2 or JSON, on its own: it sees nothing of any document's `use`.

    So it can call services, functions of the default catalog and functions by their address, and refers to no secret.
    Never raises.
    """
    source, findings = parse(text, file=file)
    if source is None:
        return FunctionReading(task=None, findings=findings)
    report = Report(source)
    value = source.at(at)
    c = Context(report=report, use={}, functions=None, workflows=None)
    found = task(c, value if isinstance(value, Mapping) else report.object(value, at), at, name, Scope())
    findings = sorted([*findings, *report.findings], key=lambda f: (f.line, f.column))
    broken = any(finding.severity == "error" for finding in findings)
    return FunctionReading(
        task=None if broken else found, json=value, expressions=tuple(c.expressions), findings=findings
    )
