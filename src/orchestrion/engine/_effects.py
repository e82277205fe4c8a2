"""The only implementation of Effects: everything a run does passes here, and stands in its journal."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, cast

from orchestrion.core import (
    ERROR_TYPES,
    Allow,
    Answer,
    Ask,
    Begin,
    Catalog,
    ChildStart,
    CloseRequests,
    Consumed,
    Datum,
    Decision,
    Deny,
    Diverged,
    Effects,
    Entry,
    EntryKind,
    EntryStatus,
    Event,
    Evidence,
    Faulted,
    Finished,
    Gate,
    Interest,
    Invocation,
    Json,
    Leaf,
    LeafContext,
    Nature,
    NeedsApproval,
    Outcome,
    Problem,
    Put,
    Question,
    Request,
    RequestStatus,
    Run,
    RunContext,
    Secrets,
    UserError,
    derived_id,
    is_composite,
    labels_from,
)

from . import _listening as listening
from ._leaf import beginning, call_of, decide_and_wait, perform_leaf, recorded
from ._rows import outcome_of, problem_in, stored_labels
from ._strands import fork, race, within
from ._walk import DETACHED, Scope, Walk, WalkStopped

T = TypeVar("T")

EXPRESS_SLEEP_S = 10.0


class Workflows(Protocol):
    """Where child workflows come from."""

    async def child(self, start: ChildStart, parent: Run, key: str) -> Run:
        """A pending run of the workflow, pinned to a version. Raises: UserError `unknown-workflow`."""
        ...


@dataclass(frozen=True, slots=True)
class Outside:
    """What effects are made of: the same for every run of an engine."""

    catalog: Catalog
    gate: Gate
    workflows: Workflows
    secrets: Secrets
    random: Callable[[], float]
    express: bool = False
    """In memory, refusing what would wait or could not be repeated."""


class WalkEffects:
    """Effects over one walk, within one scope."""

    permits = True
    """Whether what is performed may reach outside."""

    def __init__(self, walk: Walk, outside: Outside, scope: Scope) -> None:
        self.walk = walk
        self.outside = outside
        self.scope = scope
        self.express = outside.express

    def scoped(self, scope: Scope) -> "WalkEffects":
        return WalkEffects(self.walk, self.outside, scope)

    def require_open(self) -> None:
        if not self.scope.open:
            raise WalkStopped

    @property
    def run(self) -> RunContext:
        run = self.walk.run
        return RunContext(
            id=run.id, workflow=self.walk.run_name, started_at=run.started_at or run.created_at, subject=run.subject
        )

    # --- calls ---

    async def invoke(self, invocation: Invocation) -> Outcome:
        self.require_open()
        function = self.outside.catalog.resolve(invocation.function)
        if is_composite(function):
            if invocation.acting is not None:
                await self.enter(invocation)
            return await function.run(invocation, self)
        leaf = cast("Leaf", function)
        nature = leaf.nature(cast("dict[str, Json]", invocation.arguments.value))
        perform = self.performing(leaf, invocation, nature)
        return await perform_leaf(self, self.outside.gate, invocation, nature, perform)

    def performing(self, leaf: Leaf, invocation: Invocation, nature: Nature) -> Callable[[str], Awaitable[Outcome]]:
        """What does the call once it is decided; it is given the call's digest."""

        async def perform(digest: str) -> Outcome:
            run = self.walk.run
            context = LeafContext(
                run_id=run.id,
                idempotency_key="" if nature.effect == "none" else derived_id(run.id, invocation.operation(), digest),
                secrets=self.outside.secrets,
                subject=run.subject,
            )
            return await leaf.perform(invocation, context)

        return perform

    async def enter(self, invocation: Invocation) -> None:
        """Policy decides before an agent enters a composite; the decision stands in an entry of its own."""
        key = f"{invocation.key}/enter"
        entry = self.walk.entries.get(key)
        if entry is not None and isinstance(recorded(self.walk, entry, invocation.digest()), Outcome):
            return
        entering, began_at = invocation.at(key), self.walk.clock.now()

        def begin(decision: Json) -> Entry:
            return beginning(self.walk, entering, invocation.digest(), began_at, decision)

        record = await decide_and_wait(self, self.outside.gate, invocation, _entering(invocation), begin)
        await self.walk.commit(Put(begin(record).ended(EntryStatus.COMPLETED, self.walk.clock.now())))

    async def record(
        self, invocation: Invocation, nature: Nature, perform: Callable[[], Awaitable[Outcome]]
    ) -> Outcome:
        return await perform_leaf(self, self.outside.gate, invocation, nature, lambda _: perform())

    async def decide(self, invocation: Invocation) -> Decision:
        self.require_open()
        function = self.outside.catalog.resolve(invocation.function)
        nature = (
            _entering(invocation)
            if is_composite(function)
            else cast("Leaf", function).nature(cast("dict[str, Json]", invocation.arguments.value))
        )
        if nature.effect == "none":
            return Allow()
        if (decision := self._decided(invocation.key)) is not None:
            return decision
        run = self.walk.run
        return self.outside.gate.decide(
            call_of(invocation, nature, self.walk.run_name),
            Evidence(run_id=run.id, workflow=self.walk.run_name, subject=run.subject),
        )

    def _decided(self, key: str) -> Decision | None:
        """What was decided about the call at `key` on an earlier walk, whatever policies say by now."""
        if (asked := self.walk.entries.get(f"{key}/approval/1")) is not None:
            question = Question.from_json(asked.input)
            return NeedsApproval(role=question.role or "", reason=question.title)
        entry = self.walk.entries.get(key) or self.walk.entries.get(f"{key}/enter")
        match cast("dict[str, str] | None", entry.decision if entry else None):
            case {"verdict": "allow"}:
                return Allow()
            case {"verdict": "deny", "reason": reason}:
                return Deny(reason=reason)
            case _:
                return None

    # --- people, time, children ---

    async def ask(self, key: str, task: str, question: Question) -> Answer:
        self.require_open()
        walk = self.walk
        entry = walk.entries.get(key)
        if entry is None:
            entry = await self._open_request(key, task, question)
        self.require_kind(entry, EntryKind.REQUEST)
        if entry.status is EntryStatus.COMPLETED:
            return Answer.from_json(entry.output)
        if entry.status is not EntryStatus.INTENT:
            raise Faulted(problem_in(entry.problem), source_key=key)
        expires_at = cast("dict[str, float | None]", entry.input)["expires_at"]
        message = await walk.park(key, expires_at)
        if message is None:
            await walk.refresh()
            message = walk.inbox.get(key)
        self.require_open()
        now = walk.clock.now()
        if message is None:
            problem = _timeout(task, "Nobody answered in time")
            failed = replace(entry, status=EntryStatus.FAILED, problem=problem.to_json(), ended_at=now)
            await walk.commit(CloseRequests(key, RequestStatus.EXPIRED), Put(failed))
            raise Faulted(problem, source_key=key)
        answer = Answer.from_json(message.body)
        walk.attach(
            Put(
                replace(
                    entry,
                    status=EntryStatus.COMPLETED,
                    output=answer.to_json(),
                    labels=stored_labels(answer.value.labels),
                    subject=f"User::{answer.by}",
                    ended_at=now,
                )
            )
        )
        return answer

    async def _open_request(self, key: str, task: str, question: Question) -> Entry:
        if self.express:
            raise UserError(
                "express-wait",
                f"{task} would wait for a person: {question.title!r}.",
                hint="Run it without --express.",
            )
        walk = self.walk
        now = walk.clock.now()
        expires_at = None if question.expires_after_s is None else now + question.expires_after_s
        entry = Entry(
            key=key,
            kind=EntryKind.REQUEST,
            status=EntryStatus.INTENT,
            task=task,
            function=question.kind,
            input={**question.to_json(), "expires_at": expires_at},
            started_at=now,
            epoch=walk.run.epoch,
        )
        request = Request(
            id=derived_id(walk.run.id, key),
            run_id=walk.run.id,
            key=key,
            task=task,
            question=question,
            created_at=now,
            expires_at=expires_at,
        )
        await walk.commit(Put(entry), Ask(request))
        return entry

    def asked_role(self, key: str) -> str | None:
        """The role that was asked at `key`."""
        return cast("dict[str, str | None]", self.walk.entries[key].input)["role"]

    async def sleep(self, key: str, task: str, seconds: float) -> None:
        self.require_open()
        if self.express and seconds > EXPRESS_SLEEP_S:
            raise UserError("express-wait", f"{task} would wait {seconds:g} s.", hint="Run it without --express.")
        walk = self.walk
        entry = walk.entries.get(key)
        if entry is None:
            now = walk.clock.now()
            entry = Entry(
                key=key,
                kind=EntryKind.TIMER,
                status=EntryStatus.INTENT,
                task=task,
                output={"until": now + seconds},
                started_at=now,
                epoch=walk.run.epoch,
            )
            await walk.commit(Put(entry))
        self.require_kind(entry, EntryKind.TIMER)
        if entry.status is EntryStatus.COMPLETED:
            return
        await walk.park(None, cast("dict[str, float]", entry.output)["until"])
        self.require_open()
        walk.attach(Put(replace(entry, status=EntryStatus.COMPLETED, ended_at=walk.clock.now())))

    async def child(self, key: str, task: str, start: ChildStart) -> Datum:
        self.require_open()
        walk = self.walk
        entry = walk.entries.get(key)
        if entry is None:
            child = await self.outside.workflows.child(start, walk.run, key)
            entry = Entry(
                key=key,
                kind=EntryKind.CHILD,
                status=EntryStatus.INTENT if start.awaited else EntryStatus.COMPLETED,
                task=task,
                function=f"{child.namespace}/{child.workflow}:{child.version}",
                input=start.input.value,
                output={"run": child.id},
                why=None if start.awaited else DETACHED,
                versions={"document": child.digest},
                started_at=walk.clock.now(),
                ended_at=None if start.awaited else walk.clock.now(),
                epoch=walk.run.epoch,
            )
            await walk.commit(Put(entry), Begin(child))
        elif entry.status is EntryStatus.INTENT or entry.why == DETACHED:
            walk.engage(cast("dict[str, str]", entry.output)["run"], walk.run)
        self.require_kind(entry, EntryKind.CHILD)
        if not start.awaited:
            return start.input
        if entry.status is EntryStatus.COMPLETED:
            return outcome_of(entry).output
        if entry.status is not EntryStatus.INTENT:
            raise Faulted(problem_in(entry.problem), source_key=key)
        message = await walk.park(key, None)
        self.require_open()
        body = cast("dict[str, Json]", message.body if message else {})
        ended = replace(entry, ended_at=walk.clock.now())
        if body.get("problem") is not None:
            problem = problem_in(body["problem"])
            walk.attach(Put(replace(ended, status=EntryStatus.FAILED, problem=problem.to_json())))
            raise Faulted(problem, source_key=key)
        output = Datum(body.get("output"), labels_from(body.get("labels")))
        walk.attach(
            Put(
                replace(
                    ended,
                    status=EntryStatus.COMPLETED,
                    output=output.value,
                    labels=stored_labels(output.labels),
                    why=entry.output,
                )
            )
        )
        return output

    async def now(self, key: str, task: str) -> float:
        return cast("float", await self._value(key, task, self.walk.clock.now))

    async def random(self, key: str, task: str) -> float:
        return cast("float", await self._value(key, task, self.outside.random))

    # --- events ---

    async def emit(self, key: str, task: str, event: Datum) -> Datum:
        return await listening.emit(self, key, task, event)

    async def subscribe(self, key: str, task: str, interests: Sequence[Interest]) -> None:
        await listening.subscribe(self, key, task, interests)

    async def receive(
        self, key: str, task: str, listening_key: str, accepts: Callable[[Event], Awaitable[Json]]
    ) -> Consumed:
        return await listening.receive(self, key, task, listening_key, accepts)

    def consumed(self, key: str) -> Consumed | None:
        return listening.consumed(self, key)

    async def unsubscribe(self, key: str) -> None:
        await listening.unsubscribe(self, key)

    async def _value(self, key: str, task: str, draw: Callable[[], Json]) -> Json:
        self.require_open()
        entry = self.walk.entries.get(key)
        if entry is None:
            now = self.walk.clock.now()
            entry = Entry(
                key=key,
                kind=EntryKind.VALUE,
                status=EntryStatus.COMPLETED,
                task=task,
                output=draw(),
                started_at=now,
                ended_at=now,
                epoch=self.walk.run.epoch,
            )
            await self.walk.commit(Put(entry))
        self.require_kind(entry, EntryKind.VALUE)
        return entry.output

    # --- structure ---

    async def fork(self, key: str, task: str, branches: Sequence[Callable[[Effects], Awaitable[T]]]) -> list[T]:
        self.require_open()
        return await fork(self, key, task, branches)

    async def race(self, key: str, task: str, branches: Sequence[Callable[[Effects], Awaitable[T]]]) -> T:
        self.require_open()
        return await race(self, key, task, branches)

    async def within(self, key: str, task: str, seconds: float, body: Callable[[Effects], Awaitable[T]]) -> T:
        self.require_open()
        return await within(self, key, task, seconds, body)

    def trace(self, key: str, task: str, kind: str, output: Datum, *, why: Json = None) -> None:
        self.require_open()
        entry = self.walk.entries.get(key)
        if entry is None:
            now = self.walk.clock.now()
            self.walk.attach(
                Put(
                    Entry(
                        key=key,
                        kind=EntryKind.TRACE,
                        status=EntryStatus.COMPLETED,
                        task=task,
                        function=kind,
                        output=output.value,
                        labels=stored_labels(output.labels),
                        why=why,
                        started_at=now,
                        ended_at=now,
                        epoch=self.walk.run.epoch,
                    )
                )
            )
        elif entry.kind is not EntryKind.TRACE or entry.output != output.value or entry.function != kind:
            raise self.walk.stop(Diverged(key, "a pure task gave another result"))

    def saved(self, key: str) -> Json:
        entry = self.walk.entries.get(key)
        return entry.output if entry is not None and entry.kind is EntryKind.SCOPE else None

    def save(self, key: str, state: Json, finished: Finished) -> None:
        self.require_open()
        now = self.walk.clock.now()
        self.walk.finished[key] = finished
        self.walk.attach(
            Put(
                Entry(
                    key=key,
                    kind=EntryKind.SCOPE,
                    status=EntryStatus.COMPLETED,
                    input=finished.to_json(),
                    output=state,
                    ended_at=now,
                    epoch=self.walk.run.epoch,
                )
            )
        )

    def require_kind(self, entry: Entry, kind: EntryKind) -> None:
        if entry.kind is not kind:
            raise self.walk.stop(Diverged(entry.key, f"it holds a {entry.kind}, not a {kind}"))


def _entering(invocation: Invocation) -> Nature:
    acting = invocation.acting
    resource = acting.resource if acting is not None else None
    return Nature(
        effect="write",
        idempotent=True,
        resource=resource or ("Function", invocation.function.partition(":")[0]),
    )


def _timeout(task: str, title: str) -> Problem:
    return Problem(type=ERROR_TYPES["timeout"], status=408, title=title, instance=task, code="timed-out")
