"""What a task can call: declarations, invocations and their outcomes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeGuard, runtime_checkable

from ._datum import Datum
from ._json import Json, fingerprint

_ATTEMPT = re.compile(r"~\d+")

Effect = Literal["none", "read", "write"]
"""none: computes within this process; read: asks the outside without changing it; write: changes the outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """What one call would do: recovery and policy both depend on it."""

    effect: Effect
    idempotent: bool
    resource: tuple[str, str]
    """What it acts on, in policy terms: ("Connection", "bank"), ("Host", "api.example.com"), ("Function", "route")."""
    seen: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """What policies see beside the arguments, such as the region where a model computes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a function says of itself. Forms, validation, policies' schema and documentation come from it."""

    name: str
    version: str
    title: str
    description: str
    input_schema: Mapping[str, Json]
    output_schema: Mapping[str, Json]
    effect: Effect
    idempotent: bool
    output_labels: frozenset[str] = frozenset()
    """What every output carries: `untrusted` where it comes from outside."""

    @property
    def id(self) -> str:
        return f"{self.name}:{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """Who calls, under which name, with which arguments, when it is not the workflow itself: an agent using a tool."""

    principal: tuple[str, str]
    action: str
    arguments: Mapping[str, Json]
    version: str = ""
    """The version (digest) of the agent; an approval binds to it."""
    resource: tuple[str, str] | None = None
    """What is acted on, where the function itself does not tell: the agent that is engaged."""
    origins: Mapping[str, str] = field(default_factory=dict[str, str])
    """Argument → where it came from, in words: for people who approve it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """A call as data: nothing of it is a closure, so it can be recorded, decided, repeated and compared."""

    key: str
    """Position in the document with visit numbers, and the attempt: where its journal entry stands."""
    task: str
    """JSON pointer of the task in the document."""
    function: str
    """`name:version` in the catalog."""
    arguments: Datum
    acting: Acting | None = None
    idempotent: bool | None = None
    """What the author says of this call, where the function alone cannot know (`metadata.idempotent`)."""
    catches_interrupted: bool = False
    """Whether an enclosing `try` would catch an `interrupted` problem; otherwise a person is asked."""
    metadata: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """The function's own settings that are not arguments, such as a resolved authentication policy by reference."""

    def digest(self) -> str:
        """Identifies what is called with what, wherever it stands."""
        acting = self.acting
        who = [acting.principal[0], acting.principal[1], acting.action, acting.arguments] if acting else None
        return fingerprint([self.function, self.arguments.value, who, self.metadata])

    def operation(self) -> str:
        """The key without attempts: with the digest, what an idempotency key is derived from, so that a retry repeats nothing."""
        return _ATTEMPT.sub("", self.key)

    def at(self, key: str) -> "Invocation":
        return replace(self, key=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a call consumed."""

    usd_micros: int = 0
    """Millionths of a US dollar."""
    input_tokens: int = 0
    output_tokens: int = 0

    def to_json(self) -> dict[str, Json]:
        return {
            "usd_micros": self.usd_micros,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a function gives back: its output, and what the record should know about how it came about."""

    output: Datum
    cost: Cost | None = None
    model: str | None = None
    why: Json = None
    """Evidence for the output a person can understand, such as the nearest examples of a routing."""


class Secrets(Protocol):
    """Secrets by name. Values reach leaf functions only, after recording."""

    def get(self, name: str) -> Json:
        """The secret's value: text, or an object for several fields. Raises: UserError `unknown-secret`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafContext:
    """What the engine hands to a leaf function beside its invocation."""

    run_id: str
    idempotency_key: str
    """Stable across recovery and retries of the same operation; empty for a function without effect."""
    secrets: Secrets
    subject: str | None = None


class Leaf(Protocol):
    """A function that does one thing, performed and recorded as one entry."""

    @property
    def declaration(self) -> Declaration: ...

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        """What a call with these arguments would do. Pure."""
        ...

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Do it. Raises: OrchestrionError; anything else is a bug in the function. Cancellation must stop it."""
        ...


class Composite(Protocol):
    """A function made of other calls: code over Effects, always walked again, never recorded as a whole."""

    @property
    def declaration(self) -> Declaration: ...

    async def run(self, invocation: Invocation, effects: "Effects") -> Outcome:
        """Do it, giving every inner call a key below `invocation.key`."""
        ...


Function = Leaf | Composite


@runtime_checkable
class Shaped(Protocol):
    """A function that can say more about the output of one call than its declaration says about all of them."""

    def output_schema(self, arguments: Mapping[str, Json]) -> Mapping[str, Json]: ...


def output_schema_of(function: Function, arguments: Mapping[str, Json]) -> Mapping[str, Json]:
    """JSON Schema of what a call with these arguments gives."""
    return function.output_schema(arguments) if isinstance(function, Shaped) else function.declaration.output_schema


@runtime_checkable
class Sourced(Protocol):
    """A function whose text is not the platform's own: a statement of the project, Python of a package."""

    @property
    def made_of(self) -> str:
        """What tells one text of it from another: a digest, or the version of a package."""
        ...


def is_composite(function: Function) -> TypeGuard[Composite]:
    """Whether a function is made of other calls."""
    return hasattr(function, "run")


class Catalog(Protocol):
    """The functions a workflow may call."""

    def resolve(self, name: str) -> Function:
        """The function of `name` or `name:version`. Raises: UserError `unknown-function` naming near ones."""
        ...

    def declarations(self) -> Iterable[Declaration]:
        """All of them, for validation, forms and documentation."""
        ...


from ._effects import Effects  # noqa: E402  Composite and Effects name each other
