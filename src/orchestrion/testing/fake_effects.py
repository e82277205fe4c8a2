"""Effects without an engine, for testing composites alone: a dictionary is the journal, and the process dies on demand.

A stand-in: it keeps the promises of `core.Effects` that composites rely on (a key is performed once, its digest is compared,
a decision comes first), and nothing else of the engine.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar, cast

from orchestrion.core import (
    Allow,
    Answer,
    ChildStart,
    Composite,
    Consumed,
    Cost,
    Datum,
    Decision,
    Deny,
    Diverged,
    Effects,
    Event,
    Faulted,
    Finished,
    Interest,
    Invocation,
    Json,
    LeafContext,
    Nature,
    NeedsApproval,
    OrchestrionError,
    Outcome,
    PolicyDenied,
    Problem,
    Question,
    RunContext,
    derived_id,
    dump,
    labels_from,
    labels_json,
    parse,
)

T = TypeVar("T")

Handler = Callable[[Invocation, LeafContext], Awaitable[Outcome]]


class ProcessDied(BaseException):
    """What a `kill -9` looks like from within: nothing may catch it."""


@dataclass
class FakeEffects:
    """`journal` survives a death; everything else is made anew for the next life."""

    journal: dict[str, str] = field(default_factory=dict[str, str])
    """Key → JSON text: only what survives serialisation survives."""
    leaves: Mapping[str, Handler] = field(default_factory=dict[str, Handler])
    composites: Mapping[str, Composite] = field(default_factory=dict[str, Composite])
    policy: Callable[[Invocation], Decision] = field(default=lambda _: Allow())
    approve: Callable[[Invocation], str | None] = field(default=lambda _: None)
    """Asked where policy needs approval: None approves, a text rejects with this reason."""
    child_workflow: Callable[[ChildStart], Json] = field(default=lambda _: None)
    die_after: int | None = None
    """The number of the journal write after which the process dies."""
    writes: int = 0
    performed: list[str] = field(default_factory=list[str])
    """`key` of everything really performed in this life."""
    waited: list[str] = field(default_factory=list[str])

    @property
    def run(self) -> RunContext:
        return RunContext(id="run-1", workflow="tests/agents", started_at=0.0, subject=None)

    async def invoke(self, invocation: Invocation) -> Outcome:
        composite = self.composites.get(invocation.function)
        if composite is not None:
            if invocation.acting is not None:
                self._permit(invocation)
            return await composite.run(invocation, self)
        context = LeafContext(
            run_id=self.run.id,
            idempotency_key=derived_id(self.run.id, invocation.operation(), invocation.digest()),
            secrets=NoSecrets(),
        )
        handler = self.leaves[invocation.function]
        return await self._once(invocation, lambda: handler(invocation, context))

    async def decide(self, invocation: Invocation) -> Decision:
        return self.policy(invocation)

    async def record(
        self, invocation: Invocation, nature: Nature, perform: Callable[[], Awaitable[Outcome]]
    ) -> Outcome:
        return await self._once(invocation, perform)

    async def child(self, key: str, task: str, start: ChildStart) -> Datum:
        if key not in self.journal:
            self.performed.append(key)
            self._write(key, {"output": self.child_workflow(start)})
        return Datum(cast("dict[str, Json]", parse(self.journal[key]))["output"])

    async def _once(self, invocation: Invocation, perform: Callable[[], Awaitable[Outcome]]) -> Outcome:
        stored = self.journal.get(invocation.key)
        if stored is None:
            self._permit(invocation)
            self.performed.append(invocation.key)
            try:
                entry = _entry(await perform())
            except OrchestrionError as error:
                entry = {"problem": cast("Json", error.problem.to_json())}
            self._write(invocation.key, {"digest": invocation.digest(), **entry})
        entry = cast("dict[str, Json]", parse(self.journal[invocation.key]))
        if entry["digest"] != invocation.digest():
            raise Diverged(invocation.key, "the digest differs")
        if "problem" in entry:
            raise Faulted(Problem.model_validate(entry["problem"]), source_key=invocation.key)
        return _outcome(entry)

    def _permit(self, invocation: Invocation) -> None:
        decision = self.policy(invocation)
        match decision:
            case Allow():
                return
            case Deny(reason=reason):
                refusal: str | None = reason
            case NeedsApproval():
                self.waited.append(invocation.key)
                refusal = self.approve(invocation)
        if refusal is not None:
            by = "person" if isinstance(decision, NeedsApproval) else "policy"
            denied = PolicyDenied("policy-denied", refusal).problem
            problem = Problem.model_validate({**denied.to_json(), "refused_by": by})
            self._write(invocation.key, {"digest": invocation.digest(), "problem": cast("Json", problem.to_json())})
            raise Faulted(problem, source_key=invocation.key)

    def _write(self, key: str, entry: Mapping[str, Json]) -> None:
        self.journal[key] = dump(entry)
        self.writes += 1
        if self.writes == self.die_after:
            raise ProcessDied(key)

    def next_life(self, *, die_after: int | None = None) -> "FakeEffects":
        """A new process over the same journal."""
        return FakeEffects(
            journal=self.journal,
            leaves=self.leaves,
            composites=self.composites,
            policy=self.policy,
            approve=self.approve,
            child_workflow=self.child_workflow,
            die_after=die_after,
        )

    # --- what composites of these tests do not use ---

    async def ask(self, key: str, task: str, question: Question) -> Answer:
        _unused("ask")

    async def sleep(self, key: str, task: str, seconds: float) -> None:
        _unused("sleep")

    async def now(self, key: str, task: str) -> float:
        _unused("now")

    async def random(self, key: str, task: str) -> float:
        _unused("random")

    async def fork(self, key: str, task: str, branches: "Sequence[Callable[[Effects], Awaitable[T]]]") -> list[T]:
        """One after the other, in order."""
        return [await branch(self) for branch in branches]

    async def race(self, key: str, task: str, branches: "Sequence[Callable[[Effects], Awaitable[T]]]") -> T:
        _unused("race")

    async def within(self, key: str, task: str, seconds: float, body: "Callable[[Effects], Awaitable[T]]") -> T:
        _unused("within")

    def trace(self, key: str, task: str, kind: str, output: Datum, *, why: Json = None) -> None:
        written = dump({"kind": kind, "output": output.value, "labels": labels_json(output.labels)})
        if self.journal.setdefault(key, written) != written:
            raise Diverged(key, "a pure task gave another result")

    def saved(self, key: str) -> Json:
        return None

    def save(self, key: str, state: Json, finished: Finished) -> None:
        _unused("save")

    def emit(self, key: str, task: str, event: Datum) -> Awaitable[Datum]:
        _unused("emit")

    async def subscribe(self, key: str, task: str, interests: Sequence[Interest]) -> None:
        _unused("subscribe")

    async def receive(
        self, key: str, task: str, listening_key: str, accepts: Callable[[Event], Awaitable[Json]]
    ) -> Consumed:
        _unused("receive")

    def consumed(self, key: str) -> Consumed | None:
        _unused("consumed")

    async def unsubscribe(self, key: str) -> None:
        _unused("unsubscribe")


class NoSecrets:
    """Knows none."""

    def get(self, name: str) -> Json:
        raise KeyError(name)


def _unused(what: str) -> NoReturn:
    raise NotImplementedError(f"FakeEffects does not {what}: test it with the engine")


def _entry(outcome: Outcome) -> dict[str, Json]:
    return {
        "output": outcome.output.value,
        "labels": labels_json(outcome.output.labels),
        "cost": outcome.cost.to_json() if outcome.cost else None,
        "model": outcome.model,
        "why": outcome.why,
    }


def _outcome(entry: Mapping[str, Json]) -> Outcome:
    cost = cast("Mapping[str, int] | None", entry["cost"])
    return Outcome(
        output=Datum(entry["output"], labels_from(entry["labels"])),
        cost=Cost(**cost) if cost else None,
        model=cast("str | None", entry["model"]),
        why=entry["why"],
    )
