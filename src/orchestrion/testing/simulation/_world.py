"""What stands outside the platform in a simulation: functions with effects, a policy, and everything that was seen of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, cast

from orchestrion.core import (
    ERROR_TYPES,
    Allow,
    Call,
    Catalog,
    ChildStart,
    Datum,
    Decision,
    Declaration,
    Deny,
    Effect,
    Evidence,
    Faulted,
    Invocation,
    Json,
    LeafContext,
    Nature,
    NeedsApproval,
    Outcome,
    Problem,
    Run,
    UserError,
    derived_id,
)
from orchestrion.functions import Human
from orchestrion.interpreter import SEMANTICS
from orchestrion.spec import Document
from orchestrion.testing import FewFunctions

from ._loop import SimulatedTime

NATURES: Mapping[str, tuple[Effect, bool]] = {
    "compute": ("none", True),
    "read": ("read", True),
    "put": ("write", True),
    "post": ("write", False),
}
"""Function → its effect, and whether it is idempotent."""


@dataclass(slots=True, kw_only=True)
class Performed:
    """One performance of a function, as the other side saw it."""

    run_id: str
    key: str
    function: str
    operation: str
    idempotent: bool
    idempotency_key: str
    arguments: Json
    began_at: float
    happened: bool = False
    """Whether the effect was reached."""
    ended_at: float | None = None
    output: Json = None
    problem: Mapping[str, Any] | None = None


@dataclass(slots=True)
class World:
    """The functions' side of a simulation. It outlives every process."""

    random: Random
    time: SimulatedTime
    unit_s: float
    performed: list[Performed] = field(default_factory=list[Performed])
    began: Callable[[Performed, Invocation], None] = lambda _, __: None
    stubborn: float = 0.0
    """The probability that a function does not stop when it is cancelled."""

    def catalog(self) -> Catalog:
        return FewFunctions([*(SimulatedFunction(name, self) for name in NATURES), Human()])

    def happened(self, run_id: str, key: str) -> bool:
        """Whether the effect of a call was reached, as somebody finds out by looking."""
        return any(call.happened for call in self.performed if (call.run_id, call.key) == (run_id, key))

    def duration_s(self) -> float:
        """Most calls are quick; some take as long as a timeout."""
        if self.random.random() < 0.8:
            return self.random.random() ** 2 * 0.2
        return self.random.random() * self.unit_s * 2

    async def perform(self, name: str, invocation: Invocation, context: LeafContext) -> Outcome:
        arguments = cast("Mapping[str, Json]", invocation.arguments.value)
        call = Performed(
            run_id=context.run_id,
            key=invocation.key,
            function=name,
            idempotent=NATURES[name][1] if invocation.idempotent is None else invocation.idempotent,
            operation=invocation.operation(),
            idempotency_key=context.idempotency_key,
            arguments=arguments,
            began_at=self.time.now(),
        )
        self.began(call, invocation)
        self.performed.append(call)
        patience, fate = self.duration_s(), self.random.random()
        try:
            await asyncio.sleep(patience * fate)
            call.happened = True
            await asyncio.sleep(patience * (1 - fate))
        except asyncio.CancelledError:
            if self.random.random() >= self.stubborn:
                raise
            await asyncio.sleep(patience)
            call.happened = True
        return self._answer(call, arguments)

    def _answer(self, call: Performed, arguments: Mapping[str, Json]) -> Outcome:
        call.ended_at = self.time.now()
        match arguments["does"]:
            case "flaky" if self.random.random() < 0.5:
                raise self._fails(call, "communication", 503)
            case "fail":
                raise self._fails(call, "communication", 500)
            case "break":
                call.problem = {"type": ERROR_TYPES["runtime"], "status": 500}
                raise ZeroDivisionError
            case _:
                call.output = {"value": arguments["value"], "token": len(self.performed)}
                return Outcome(output=Datum(call.output))

    def _fails(self, call: Performed, kind: str, status: int) -> Faulted:
        call.problem = {"type": ERROR_TYPES[kind], "status": status}
        return Faulted(Problem(type=ERROR_TYPES[kind], status=status, title="Simulated", code="simulated"))


@dataclass(frozen=True, slots=True)
class SimulatedFunction:
    """A leaf function of the world."""

    name: str
    world: World

    @property
    def declaration(self) -> Declaration:
        effect, idempotent = NATURES[self.name]
        return Declaration(
            name=self.name,
            version="1.0.0",
            title=self.name,
            description="A function of the simulation.",
            input_schema={"type": "object"},
            output_schema={},
            effect=effect,
            idempotent=idempotent,
        )

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        effect, idempotent = NATURES[self.name]
        return Nature(effect=effect, idempotent=idempotent, resource=("Function", self.name))

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        return await self.world.perform(self.name, invocation, context)


@dataclass(frozen=True, slots=True)
class ArgumentGate:
    """A policy that reads what to decide from the call's own arguments: `gate: ask` or `gate: deny`."""

    unit_s: float
    version: str = "simulated"

    def decide(self, call: Call, evidence: Evidence) -> Decision:
        match call.arguments.get("gate"):
            case "deny":
                return Deny(reason="The simulation says no.", version=self.version)
            case "ask" if evidence.approved_by is None:
                return NeedsApproval(role="lead", reason="Asked.", expires_after_s=6 * self.unit_s)
            case _:
                return Allow(version=self.version)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The documents of a simulation."""

    documents: Sequence[Document]
    time: SimulatedTime

    async def child(self, start: ChildStart, parent: Run, key: str) -> Run:
        document = next((each for each in self.documents if each.name == start.name), None)
        if document is None:
            raise UserError("unknown-workflow", f"There is no workflow {start.name!r}.")
        run = run_of(document, start.input.value, derived_id(parent.id, key), self.time.now())
        return replace(run, parent_id=parent.id, parent_key=key, root_id=parent.root_id or parent.id)


def run_of(document: Document, value: Json, run_id: str, now: float) -> Run:
    return Run(
        id=run_id,
        namespace=document.namespace,
        workflow=document.name,
        version=document.version,
        digest=document.digest,
        semantics=SEMANTICS,
        input=value,
        created_at=now,
    )
