"""What the walk of a workflow carries along."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar, cast

from orchestrion.core import Datum, Effects, Json, OrchestrionError, labels_from, labels_json
from orchestrion.spec import Catch, Document

T = TypeVar("T")


class Evaluator(Protocol):
    """Evaluates jq programs. Implemented by the expressions room."""

    async def evaluate(self, programs: Sequence[str], variables: Mapping[str, Json]) -> list[Json]:
        """One result for each program over the same variables; `.` is the input. Raises: OrchestrionError."""
        ...


class Extended(Protocol):
    """A task as the tasks of its extensions see it."""

    async def described(self, programs: Sequence[str]) -> Datum:
        """`$task`, as far as the programs may ask for it, with what the document says of the task."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A function defined outside the document, while it runs."""

    called: str
    """What `call` says."""
    place: str
    """Digest of where the definition is."""
    document: Json
    """What pointers of its tasks lead into."""
    labels: frozenset[str]
    """Of the definition, and so of whatever it says by itself."""


@dataclass(slots=True)
class Strand:
    """One line of execution: the workflow's own, or a branch of a fork. `context` is the only thing that changes."""

    document: Document
    effects: Effects
    input: Datum
    """The workflow's own input, transformed."""
    context: Datum
    variables: Mapping[str, Datum] = field(default_factory=dict[str, Datum])
    """Of the loops and catches around the current task."""
    catches: tuple[Catch, ...] = ()
    """The `try` tasks around the current task, innermost last."""
    extending: "Extended | None" = None
    """The task that the current task, one of an extension, extends."""
    foreign: tuple[Foreign, ...] = ()
    """The functions from elsewhere around the current task, innermost last."""

    def definition(self, pointer: str) -> Json:
        """What is written of the task at `pointer`."""
        if self.foreign and pointer.startswith("/functions/"):
            return value_at_pointer(self.foreign[-1].document, pointer)
        return value_at_pointer(self.document.json, pointer)

    def within_function(self, foreign: Foreign, arguments: Datum) -> "Strand":
        """The same line of execution in a function from elsewhere, which sees its arguments and nothing of the workflow."""
        return replace(self, input=arguments, context=Datum(), variables={}, foreign=(*self.foreign, foreign))

    def inside(
        self,
        *,
        effects: Effects | None = None,
        variables: Mapping[str, Datum] | None = None,
        catch: Catch | None = None,
        extending: "Extended | None" = None,
    ) -> "Strand":
        """The same line of execution further in; hand its `context` back with `leave`."""
        return replace(
            self,
            effects=effects or self.effects,
            variables={**self.variables, **variables} if variables else self.variables,
            catches=(*self.catches, catch) if catch else self.catches,
            extending=extending or self.extending,
        )

    def leave(self, inner: "Strand") -> None:
        self.context = inner.context


async def within(strand: Strand, key: str, pointer: str, seconds: float, body: Callable[[Strand], Awaitable[T]]) -> T:
    """`body` on a line of its own, against a deadline.

    What it exported counts however it ended by itself. When the deadline came first nothing of it does: a later walk, which
    finds the deadline recorded and does not enter the body, could not know it.
    """
    inner: list[Strand] = []
    failures: list[OrchestrionError] = []

    async def run(effects: Effects) -> T:
        inner.append(strand.inside(effects=effects))
        try:
            return await body(inner[0])
        except OrchestrionError as error:
            failures.append(error)
            raise

    try:
        result = await strand.effects.within(key, pointer, seconds, run)
    except OrchestrionError as error:
        if error in failures:
            strand.leave(inner[0])
        raise
    strand.leave(inner[0])
    return result


@dataclass(frozen=True, slots=True)
class Passed:
    """How a list or task was left: its output, and whether the whole workflow is to end."""

    output: Datum
    end: bool = False
    exited: bool = False
    """Whether a list was left by `exit`. Only extensions ask."""


def value_at_pointer(document: Json, pointer: str) -> Json:
    value = document
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            value = value[int(name)]
    return value


def datum_json(datum: Datum) -> dict[str, Json]:
    return {"value": datum.value, "labels": labels_json(datum.labels)}


def datum_from(stored: Json) -> Datum:
    body = cast("Mapping[str, Json]", stored)
    return Datum(body["value"], labels_from(body["labels"]))


def finished(passed: Passed, context: Datum) -> dict[str, Json]:
    """The scope row of something that is done."""
    return {"output": datum_json(passed.output), "context": datum_json(context), "end": passed.end}


def from_finished(stored: Json) -> tuple[Passed, Datum]:
    body = cast("Mapping[str, Json]", stored)
    return Passed(datum_from(body["output"]), bool(body["end"])), datum_from(body["context"])
