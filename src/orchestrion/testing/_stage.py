"""A stage for tests: functions that count, a clock that is moved, and an engine over any journal."""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from orchestrion.core import (
    Catalog,
    ChildStart,
    Clock,
    Declaration,
    Effect,
    Function,
    Gate,
    Invocation,
    Journal,
    Json,
    LeafContext,
    Nature,
    OpenGate,
    Outcome,
    Run,
    Secrets,
    SystemClock,
    UserError,
    derived_id,
)
from orchestrion.engine import DryRun, Engine, Interpret, Limits, Outside, Routing

Act = Callable[[Mapping[str, Json], LeafContext], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """A leaf function for tests: it does what it is told and says how often it was performed."""

    name: str
    act: Act
    effect: Effect = "none"
    idempotent: bool = True

    @property
    def declaration(self) -> Declaration:
        return Declaration(
            name=self.name,
            version="1.0.0",
            title=self.name,
            description="A function of the test.",
            input_schema={"type": "object"},
            output_schema={},
            effect=self.effect,
            idempotent=self.idempotent,
        )

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return Nature(effect=self.effect, idempotent=self.idempotent, resource=("Function", self.name))

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        return await self.act(cast("Mapping[str, Json]", invocation.arguments.value), context)


class FewFunctions:
    """A catalog of what a test brings."""

    def __init__(self, functions: Iterable[Function]) -> None:
        self._functions = {function.declaration.id: function for function in functions}

    def resolve(self, name: str) -> Function:
        if name not in self._functions:
            raise UserError("unknown-function", f"There is no function {name!r}.")
        return self._functions[name]

    def declarations(self) -> Iterable[Declaration]:
        return [function.declaration for function in self._functions.values()]


class Ledger:
    """The outside world of a test: what was done to it, counted per idempotency key."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.keys: dict[str, set[str]] = {}

    def note(self, what: str, context: LeafContext) -> None:
        self.calls[what] += 1
        self.keys.setdefault(what, set()).add(context.idempotency_key)


class NoSecrets:
    def get(self, name: str) -> Json:
        raise UserError("unknown-secret", f"There is no secret {name!r}.")


@dataclass(frozen=True, slots=True)
class Children:
    """Child workflows by name; the test's `interpret` tells them apart by `run.workflow`."""

    clock: Clock
    names: frozenset[str] = field(default_factory=frozenset[str])

    async def child(self, start: ChildStart, parent: Run, key: str) -> Run:
        if start.name not in self.names:
            raise UserError("unknown-workflow", f"There is no workflow {start.name!r}.")
        return Run(
            id=derived_id(parent.id, key),
            namespace=start.namespace,
            workflow=start.name,
            version=start.version,
            digest=start.name,
            semantics=1,
            input=start.input.value,
            parent_id=parent.id,
            parent_key=key,
            root_id=parent.root_id or parent.id,
            created_at=self.clock.now(),
        )


class NoExpressions:
    """For workflows without a single expression."""

    async def evaluate(self, programs: object, variables: object) -> list[Json]:
        raise UserError("no-expressions", "This test evaluates no expressions.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything an engine needs, with defaults for tests."""

    functions: tuple[Function, ...] = ()
    gate: Gate = field(default_factory=OpenGate)
    clock: Clock = field(default_factory=SystemClock)
    secrets: Secrets = field(default_factory=NoSecrets)
    children: frozenset[str] = field(default_factory=frozenset[str])
    limits: Limits = field(default_factory=Limits)
    express: bool = False
    dry: DryRun | None = None
    lifecycle: bool = False

    @property
    def catalog(self) -> Catalog:
        return FewFunctions(self.functions)

    @asynccontextmanager
    async def engine(
        self, journal: Journal, interpret: Interpret, routing: Routing | None = None
    ) -> AsyncGenerator[Engine]:
        outside = Outside(
            catalog=self.catalog,
            gate=self.gate,
            workflows=Children(self.clock, self.children),
            secrets=self.secrets,
            random=lambda: 0.5,
            express=self.express,
        )
        engine = Engine(
            journal=journal,
            interpret=interpret,
            outside=outside,
            clock=self.clock,
            semantics=1,
            limits=self.limits,
            routing=routing,
            dry=self.dry,
            lifecycle=self.lifecycle,
        )
        async with engine:
            yield engine


def new_run(run_id: str, *, workflow: str = "test", value: Json = None, clock: Clock | None = None) -> Run:
    """A pending run of a test's workflow."""
    return Run(
        id=run_id,
        namespace="test",
        workflow=workflow,
        version="1.0.0",
        digest=workflow,
        semantics=1,
        input=value,
        created_at=(clock or SystemClock()).now(),
    )
