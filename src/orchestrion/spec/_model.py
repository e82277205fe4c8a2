"""The typed workflow: what a document means, with every reference in it resolved."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, assert_never

from orchestrion.core import Json, Problem, canonical_error_type

from ._calendar import Schedule
from ._schema import Schema
from ._template import Expression, Template

Metadata: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Duration:
    """A fixed length of time."""

    seconds: float


Length: TypeAlias = Duration | Expression
"""A length of time; an expression gives ISO 8601 text or an object of days, hours, minutes, seconds, milliseconds:
see `duration_of`."""


@dataclass(frozen=True, slots=True)
class Continue:
    """The next task of the list; after the last, the list is done."""


@dataclass(frozen=True, slots=True)
class Exit:
    """Leave the list the task stands in."""


@dataclass(frozen=True, slots=True)
class End:
    """Complete the workflow."""


@dataclass(frozen=True, slots=True)
class Goto:
    """Another task of the same list."""

    task: str
    index: int
    """Its position in that list."""


Then: TypeAlias = Continue | Exit | End | Goto


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """`input`: `schema` holds for the raw input, which `from_` then transforms."""

    from_: Template | None = None
    schema: Schema | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """`output`: `as_` transforms the raw output; `schema` holds for the result."""

    as_: Template | None = None
    schema: Schema | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """`export`: `as_`, evaluated on the transformed output, becomes `$context`; `schema` holds for the result."""

    as_: Template | None = None
    schema: Schema | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    name: str
    pointer: str
    """JSON pointer of the task, its name included: `/do/0/tryIt/try/0/getPet`."""
    condition: str | None = None
    """The program of `if`."""
    input: Input = field(default_factory=Input)
    output: Output = field(default_factory=Output)
    export: Export = field(default_factory=Export)
    timeout: Length | None = None
    then: Then = field(default_factory=Continue)
    metadata: Metadata = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTask(_Common):
    """Call a function. `arguments` is `with`; a referenced authentication policy stands resolved in it.

    `defined`: a task of `use.functions`, which takes `arguments` as its raw input; several calls may share one.
    `definition`: where such a task stands outside the document, as the arguments of the function `definition`.
    """

    function: str
    """`name:version` in the catalog; for `defined`, the name under `use.functions`; for `elsewhere`, what `call` says."""
    kind: Literal["service", "function", "defined", "elsewhere"]
    """`service`: the language itself names it, such as `http`. `elsewhere`: defined in another catalog or at an address."""
    arguments: Template
    addresses: tuple[str, ...] = ()
    """Pointers at which `arguments` may hold a URI template that the author wrote out."""
    defined: "Task | None" = None
    definition: Template | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoTask(_Common):
    do: "tuple[Task, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForTask(_Common):
    """`in_` gives the list; `each` and `at` name the variables of the item and its index; `while_` is asked before each."""

    in_: Template
    do: "tuple[Task, ...]"
    each: str = "item"
    at: str = "index"
    while_: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkTask(_Common):
    branches: "tuple[Task, ...]"
    compete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitTask(_Common):
    event: Template
    """The CloudEvent's attributes and `data`, as under `emit.event.with`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseTask(_Common):
    error: Template
    """Problem details: `type` (canonical where it is literal), `status`, and `title`, `detail`, `instance` if given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWorkflowTask(_Common):
    """Run another workflow; without `arguments` (its `input`) it gets this task's input."""

    namespace: str
    workflow: str
    version: str
    """A semantic version, or `latest`."""
    arguments: Template | None = None
    await_: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTask(_Common):
    value: Template


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchCase:
    name: str
    then: Then
    when: str | None = None
    """A program; None is the default case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchTask(_Common):
    """The first case that matches gives the way; when none does, the task's own `then`."""

    cases: tuple[SwitchCase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFilter:
    """`catch.errors.with`: what is given must be equal; types are compared in their canonical form."""

    type: str | None = None
    status: int | None = None
    instance: str | None = None
    title: str | None = None
    detail: str | None = None

    def matches(self, problem: Problem) -> bool:
        return (
            (self.type is None or self.type == canonical_error_type(problem.type))
            and (self.status is None or self.status == problem.status)
            and (self.instance is None or self.instance == problem.instance)
            and (self.title is None or self.title == problem.title)
            and (self.detail is None or self.detail == problem.detail)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A retry policy. A limit that is None does not limit."""

    when: str | None = None
    except_when: str | None = None
    delay: Length = Duration(0.0)
    backoff: Literal["constant", "linear", "exponential"] = "constant"
    jitter: tuple[Length, Length] | None = None
    attempts: int | None = None
    """How many times the task may be tried again."""
    attempt_timeout: Length | None = None
    duration: Length | None = None
    """How long all attempts together may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catch:
    """What a `try` catches and does then. `when` and `except_when` see the error as the variable named by `as_`."""

    errors: ErrorFilter = field(default_factory=ErrorFilter)
    as_: str = "error"
    when: str | None = None
    except_when: str | None = None
    retry: Retry | None = None
    do: "tuple[Task, ...]" = ()
    then: Then | None = None
    """Where to go after an error was caught; None leaves it to the task's own `then`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TryTask(_Common):
    try_: "tuple[Task, ...]"
    catch: Catch


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitTask(_Common):
    duration: Length


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What an event must have at one place: a value, a text that fits a pattern, or what an expression says.

    An expression sees the value at the place as `.`; one that gives true or false decides, any other result must be equal.
    """

    at: tuple[str, ...]
    """("source",), ("data", "order", "id")"""
    literal: Json = None
    pattern: str | None = None
    """A regular expression for the whole text, unless the text is this very one."""
    program: str | None = None
    template: Template | None = None
    """A value with expressions in it, which must be equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """`from_` gives a value of each event; it must be `expect`, or what the first event gave."""

    name: str
    from_: str
    """A program over the whole event."""
    expect: Template | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPattern:
    """One kind of event that is listened for."""

    conditions: tuple[Condition, ...]
    correlate: tuple[Correlation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """Which events are consumed. `any` without patterns takes every event.

    `until`: the program that ends an `any` once it holds; or the events that end it.
    """

    kind: Literal["one", "any", "all"]
    patterns: tuple[EventPattern, ...]
    until: "str | Strategy | None" = None


ReadAs: TypeAlias = Literal["data", "envelope", "raw"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreach:
    """What is done with each event before the next is taken."""

    item: str = "item"
    at: str = "index"
    do: "tuple[Task, ...]" = ()
    output: Output = field(default_factory=Output)
    export: Export = field(default_factory=Export)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenTask(_Common):
    to: Strategy
    read: ReadAs = "data"
    foreach: Foreach | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """`schedule.on`: the events that start a run, which are its input, as a list."""

    on: Strategy
    read: ReadAs = "data"


Task: TypeAlias = (
    CallTask
    | DoTask
    | ForTask
    | ForkTask
    | EmitTask
    | ListenTask
    | RaiseTask
    | RunWorkflowTask
    | SetTask
    | SwitchTask
    | TryTask
    | WaitTask
)


Extent: TypeAlias = Literal[
    "call", "composite", "emit", "for", "listen", "raise", "run", "set", "switch", "try", "wait", "all"
]
"""The kind of task that an extension extends. composite: `do` and `fork`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """Tasks around the tasks of a kind. Of several that apply, the first declared is the outermost."""

    name: str
    pointer: str
    """JSON pointer, its name included: `/use/extensions/0/mockService`."""
    extend: Extent
    when: str | None = None
    """A program that is asked before each task of that kind; None extends them all."""
    before: tuple[Task, ...] = ()
    after: tuple[Task, ...] = ()

    def extends(self, task: Task) -> bool:
        """Whether it is made for this kind of task."""
        return self.extend in ("all", extent_of(task))


def extent_of(task: Task) -> Extent:
    """The word by which extensions mean a task of this kind."""
    match task:
        case CallTask():
            return "call"
        case DoTask() | ForkTask():
            return "composite"
        case ForTask():
            return "for"
        case EmitTask():
            return "emit"
        case ListenTask():
            return "listen"
        case RaiseTask():
            return "raise"
        case RunWorkflowTask():
            return "run"
        case SetTask():
            return "set"
        case SwitchTask():
            return "switch"
        case TryTask():
            return "try"
        case WaitTask():
            return "wait"
        case _:
            assert_never(task)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionAt:
    """An expression of a document, for whoever can check it."""

    program: str
    pointer: str
    """JSON pointer of the string it stands in."""
    variables: frozenset[str]
    """The variables in scope, without `$`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A workflow that was read and found valid."""

    namespace: str
    name: str
    version: str
    dsl: str
    title: str | None = None
    summary: str | None = None
    tags: Metadata = field(default_factory=dict[str, Json])
    metadata: Metadata = field(default_factory=dict[str, Json])
    timezone: str = "UTC"
    """IANA name, from `document.metadata.timezone`."""
    schedule: Schedule | None = None
    """When it runs by itself, by the calendar."""
    input: Input = field(default_factory=Input)
    output: Output = field(default_factory=Output)
    timeout: Length | None = None
    trigger: Trigger | None = None
    """`schedule.on`."""
    tasks: tuple[Task, ...]
    functions: Mapping[str, Task] = field(default_factory=dict[str, Task])
    """`use.functions`."""
    extensions: tuple[Extension, ...] = ()
    """`use.extensions`, in the order of declaration."""
    secrets: tuple[str, ...] = ()
    """Names of the secrets the workflow may refer to."""
    expressions: tuple[ExpressionAt, ...] = ()
    json: Mapping[str, Json]
    """The whole document as plain JSON."""
    digest: str
    """SHA-256 of the canonical text of `json`: the version's identity."""
    text: str
    """The source it was read from."""

    @property
    def id(self) -> str:
        """`namespace/name`"""
        return f"{self.namespace}/{self.name}"

    def every_task(self) -> Iterator[Task]:
        """All tasks in document order, those inside other tasks included; then those of `use.functions`, of `use.extensions`."""
        yield from _walk(self.tasks)
        yield from _walk(tuple(self.functions.values()))
        for extension in self.extensions:
            yield from _walk((*extension.before, *extension.after))

    def task(self, name: str) -> Task | None:
        return next((task for task in self.every_task() if task.name == name), None)


def lists_of(task: Task) -> tuple[tuple[str, "tuple[Task, ...]"], ...]:
    """The task lists directly inside a task, each with the pointer it stands at."""
    at = task.pointer
    match task:
        case DoTask() | ForTask():
            return ((f"{at}/do", task.do),)
        case ForkTask():
            return ((f"{at}/fork/branches", task.branches),)
        case TryTask():
            return ((f"{at}/try", task.try_), (f"{at}/catch/do", task.catch.do))
        case ListenTask():
            return ((f"{at}/foreach/do", task.foreach.do),) if task.foreach is not None else ()
        case CallTask() | EmitTask() | RaiseTask() | RunWorkflowTask() | SetTask() | SwitchTask() | WaitTask():
            return ()
        case _:
            assert_never(task)


def _walk(tasks: "tuple[Task, ...]") -> Iterator[Task]:
    for task in tasks:
        yield task
        for _, inner in lists_of(task):
            yield from _walk(inner)
