"""What every part of a document is read against."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from orchestrion.core import Declaration, Json

from ._model import ExpressionAt, Goto, Task
from ._report import Object, Report
from ._schema import Schema

Variables = frozenset[str]

WORKFLOW_VARIABLES: Variables = frozenset({"context", "input", "output", "runtime", "workflow"})
TASK_VARIABLES: Variables = WORKFLOW_VARIABLES | {"task"}
RESERVED_VARIABLES: Variables = TASK_VARIABLES | {"authorization", "secrets", "ENV"}

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where a task stands."""

    variables: Variables = TASK_VARIABLES
    names: tuple[str, ...] = ()
    """The names of the tasks in the same list."""
    branches: bool = False
    """The list holds the branches of a fork, which run side by side."""
    bounded: bool = False
    """Something around the task limits its time."""

    def target(self, name: str) -> Goto | None:
        return Goto(name, self.names.index(name)) if name in self.names else None


@dataclass(slots=True, kw_only=True)
class Context:
    """One reading of one document."""

    report: Report
    use: Object
    """The document's `use`, as written."""
    functions: Mapping[str, Declaration] | None
    workflows: Collection[str] | None
    names: dict[str, str] = field(default_factory=dict[str, str])
    """Task name → pointer of the first task that has it."""
    expressions: list[ExpressionAt] = field(default_factory=list[ExpressionAt])
    defined: dict[str, Task] = field(default_factory=dict[str, Task])
    """The tasks of `use.functions` that have been read."""
    schemas: dict[str, Schema] = field(default_factory=dict[str, Schema])
    """The input schemas of catalog functions that were needed."""
    reading: list[str] = field(default_factory=list[str])
    """The names under `use.functions` that are being read, outermost first."""

    def definitions(self, kind: str) -> Object:
        """The named definitions of one kind: `errors`, `retries` ..."""
        found = self.use.get(kind)
        return found if isinstance(found, Mapping) else {}

    def definition(self, kind: str, what: str, name: str, at: str) -> Json:
        """The definition that `name` refers to; None, reported, when there is none."""
        known = self.definitions(kind)
        if name not in known:
            code = f"unknown-{what.split()[0]}"
            self.report.unknown(at, code, f"The {what}", name, list(known), none=f"Define it under `use.{kind}`.")
            return None
        return known[name]

    def variable(self, value: Json, at: str) -> str:
        """The name of a variable that the document introduces."""
        name = self.report.text(value, at)
        if name and not _VARIABLE.fullmatch(name):
            self.report.error(
                at, "bad-variable", f"{name[:80]!r} cannot name a variable.", "Use letters, digits and _."
            )
        elif name in RESERVED_VARIABLES:
            self.report.error(
                at, "bad-variable", f"The variable {name!r} has a meaning already.", "Choose another name."
            )
        return name

    def secret(self, value: Json, at: str) -> None:
        """A reference to a secret by name."""
        name = self.report.text(value, at)
        secrets = self.use.get("secrets")
        known = [s for s in secrets if isinstance(s, str)] if isinstance(secrets, list) else []
        if name and name not in known:
            hint = f"List it: `use: {{ secrets: [{name[:80]}] }}`."
            self.report.error(
                at, "unknown-secret", f"The secret {name[:80]!r} is not listed under `use.secrets`.", hint
            )
        elif not name and isinstance(value, str):
            self.report.error(at, "unknown-secret", "The name of the secret is empty.")
