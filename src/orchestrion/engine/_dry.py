"""Dry runs: the workflow is walked and everything is decided as always, but nothing is performed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import cast

from orchestrion.core import (
    NO_LABELS,
    Answer,
    ChildStart,
    Consumed,
    Datum,
    Entry,
    EntryKind,
    EntryStatus,
    Event,
    EventFilter,
    Faulted,
    Function,
    Invocation,
    Json,
    Leaf,
    Nature,
    OrchestrionError,
    Outcome,
    Permit,
    Problem,
    Put,
    Question,
    RunContext,
    TransientError,
    UserError,
    derived_id,
    event_of,
    is_composite,
    output_schema_of,
    permitted,
)
from orchestrion.spec import example_of

from ._effects import Outside, WalkEffects
from ._leaf import call_of, perform_leaf
from ._mocks import DryRun, Mock, Noted, task_name
from ._walk import Scope, Walk

BY = "dry run"
NOT_ASKED = frozenset({"model-not-asked", "description-not-asked"})
"""Why a composite cannot go on: what it has to know is outside."""


class DryEffects(WalkEffects):
    """Effects over one walk of a dry run. No function gets a permit, so that even code that lies about itself stays inside.

    Only what `DryRun.reads` names gets one, for the moment of that read.
    """

    permits = False

    def __init__(self, walk: Walk, outside: Outside, scope: Scope, dry: DryRun) -> None:
        super().__init__(walk, outside, scope)
        self._dry = dry

    def scoped(self, scope: Scope) -> "DryEffects":
        return DryEffects(self.walk, self.outside, scope, self._dry)

    @property
    def run(self) -> RunContext:
        return replace(super().run, dry=True)

    # --- calls ---

    async def invoke(self, invocation: Invocation) -> Outcome:
        """A composite that does something is answered as a whole by a mock, or when it cannot go on without the outside."""
        function = self.outside.catalog.resolve(invocation.function)
        if not is_composite(function) or function.declaration.effect == "none":
            return await super().invoke(invocation)
        if self.walk.entries.get(invocation.key) is None:
            found = self._dry.mock(invocation.task, _tool(invocation))
            if found is None:
                try:
                    return await super().invoke(invocation)
                except OrchestrionError as error:
                    if error.problem.code not in NOT_ASKED:
                        raise
            return await self._whole(invocation, function, found)
        return await self._whole(invocation, function, None)

    async def _whole(self, invocation: Invocation, function: Function, found: tuple[str, Mock] | None) -> Outcome:
        name = function.declaration.name
        doing = Nature(effect=function.declaration.effect, idempotent=True, resource=("Function", name))
        self._note(invocation, doing)
        if invocation.acting is not None:
            await self.enter(invocation)

        async def perform(_: str) -> Outcome:
            return self._outcome(invocation, function, found)

        undecided = replace(doing, effect="none")
        return await perform_leaf(self, self.outside.gate, invocation, undecided, perform)

    def performing(self, leaf: Leaf, invocation: Invocation, nature: Nature) -> Callable[[str], Awaitable[Outcome]]:
        """Only what touches nothing outside is done, and reads that the dry run names."""
        perform = super().performing(leaf, invocation, nature)
        if nature.effect == "none":
            return perform
        self._note(invocation, nature)

        async def answer(digest: str) -> Outcome:
            found = self._dry.mock(invocation.task, _tool(invocation))
            if found is not None or not self._reads(nature):
                return self._outcome(invocation, leaf, found)
            self._count()
            with self._permitted(invocation):
                return await perform(digest)

        return answer

    def _reads(self, nature: Nature) -> bool:
        return nature.effect == "read" and self._dry.reads(nature)

    def _permitted(self, invocation: Invocation) -> AbstractContextManager[None]:
        run = self.walk.run
        return permitted(Permit(run_id=run.id, key=invocation.key, root_id=run.root_id or run.id))

    async def record(
        self, invocation: Invocation, nature: Nature, perform: Callable[[], Awaitable[Outcome]]
    ) -> Outcome:
        """A playbook answers; a model outside is not asked, unless the dry run names it."""
        if nature.effect == "none":
            return await super().record(invocation, nature, perform)
        self._note(invocation, nature)

        async def ask() -> Outcome:
            if self._reads(nature):
                with self._permitted(invocation):
                    return await perform()
            raise TransientError(
                "model-not-asked",
                f"A dry run does not ask {nature.resource[1]}.",
                hint=f"Mock what {task_name(invocation.task)!r} gives, or let a playbook stand in for the model.",
            )

        return await super().record(invocation, nature, ask)

    def _note(self, invocation: Invocation, nature: Nature) -> None:
        name, tool = task_name(invocation.task), _tool(invocation)
        self._dry.noted[self.walk.run.id, invocation.key] = Noted(
            call=call_of(invocation, nature, self.walk.run_name),
            effect=nature.effect,
            mockable=f"{name}/{tool}" if tool else name,
        )

    def _outcome(self, invocation: Invocation, function: Function, found: tuple[str, Mock] | None) -> Outcome:
        """The answer, with the labels of the real one: what a composite gives carries those of all it was given."""
        self._count()
        labels = function.declaration.output_labels
        if is_composite(function):
            labels |= invocation.arguments.every_label()
        if found is None:
            schema = output_schema_of(function, cast("Mapping[str, Json]", invocation.arguments.value))
            return Outcome(output=_labelled(example_of(schema), labels), why={"simulated": "the output schema"})
        name, mock = found
        if mock.error is not None:
            raise Faulted(_simulated(mock.error, name))
        return Outcome(output=_labelled(mock.output, labels), why={"simulated": f"mock {name}"})

    def _count(self) -> None:
        self._dry.answers += 1
        if self._dry.answers > self._dry.most:
            raise self.walk.stop(
                UserError(
                    "dry-run-too-long",
                    f"The dry run asked for more than {self._dry.most:,} answers: it may wait for something that never comes.",
                    hint="Mock an output that ends the loop.",
                )
            )

    # --- people, time, other workflows ---

    async def ask(self, key: str, task: str, question: Question) -> Answer:
        """Answered at once: approvals are given, questions get the defaults of their form; mocks say otherwise."""
        self.require_open()
        if self.walk.entries.get(key) is None:
            self._count()
            if question.kind == "approval":
                found = self._dry.rejection(task, cast("Mapping[str, str]", question.show.value)["action"])
            else:
                found = self._dry.mock(task)
            if found is not None or self._is_answered(question):
                await self.walk.commit(Put(self._asked(key, task, question, found)))
        return await super().ask(key, task, question)

    def _is_answered(self, question: Question) -> bool:
        """Whether a question that no mock speaks of has an answer all the same."""
        return self._dry.approve is not None if question.kind == "approval" else self._dry.questions

    def _asked(self, key: str, task: str, question: Question, found: tuple[str, Mock] | None) -> Entry:
        now = self.walk.clock.now()
        entry = self._entry(key, task, EntryKind.REQUEST, question.kind, now)
        entry = replace(entry, input={**question.to_json(), "expires_at": None}, subject=f"User::{BY}")
        name, mock = found or ("", Mock())
        if mock.error is not None:
            return replace(entry, status=EntryStatus.FAILED, problem=_simulated(mock.error, name).to_json())
        reason = f"mock {name}" if found else "assumed" if question.kind == "approval" else "the form"
        if question.kind == "approval":
            verdict = "approved" if mock.rejected is None and self._dry.approve is not False else "rejected"
            answer = Answer(verdict=verdict, by=BY, at=now, reason=mock.rejected, binding=question.binding)
        else:
            value = Datum(mock.output if found else example_of(question.form))
            answer = Answer(verdict="answered", by=BY, at=now, value=value)
        return replace(entry, output=answer.to_json(), why={"simulated": reason})

    async def sleep(self, key: str, task: str, seconds: float) -> None:
        self.require_open()
        if self.walk.entries.get(key) is None:
            self._count()
            now = self.walk.clock.now()
            entry = self._entry(key, task, EntryKind.TIMER, "", now)
            await self.walk.commit(Put(replace(entry, output={"until": now + seconds}, why={"simulated": "no wait"})))
        await super().sleep(key, task, seconds)

    async def child(self, key: str, task: str, start: ChildStart) -> Datum:
        """A mock, or the other workflow walked as dry as this one."""
        self.require_open()
        found = self._dry.mock(task) if self.walk.entries.get(key) is None else None
        if found is not None:
            self._count()
            name, mock = found
            entry = self._entry(
                key, task, EntryKind.CHILD, f"{start.namespace}/{start.name}:{start.version}", self.walk.clock.now()
            )
            entry = replace(entry, input=start.input.value, output=mock.output, why={"simulated": f"mock {name}"})
            if mock.error is not None:
                problem = _simulated(mock.error, name).to_json()
                entry = replace(entry, status=EntryStatus.FAILED, output=None, problem=problem)
            await self.walk.commit(Put(entry))
        return await super().child(key, task, start)

    # --- events ---

    async def receive(
        self, key: str, task: str, listening_key: str, accepts: Callable[[Event], Awaitable[Json]]
    ) -> Consumed:
        """The next event of a mock, else one made up from what is listened for; when neither fits, the run waits."""
        self.require_open()
        if self.consumed(key) is None:
            self._count()
            async for event, how in self._events(task, listening_key, int(key.rpartition("/")[2])):
                note = await accepts(event)
                if note is not None:
                    entry = self._entry(key, task, EntryKind.EVENT, "", self.walk.clock.now())
                    why: Json = {"note": note, "seq": 0, "inbox": 0, "simulated": how}
                    await self.walk.commit(Put(replace(entry, output=event.body, labels=event.labels, why=why)))
                    break
                if how != "the filter":
                    raise UserError(
                        "event-does-not-fit",
                        f"{task_name(task)!r} does not listen for the event that {how} gives.",
                        hint="Give the data its filter and correlation ask for, or a whole CloudEvent.",
                    )
        return await super().receive(key, task, listening_key, accepts)

    async def _events(self, task: str, listening_key: str, number: int) -> AsyncIterator[tuple[Event, str]]:
        """What may come next, with where it is from."""
        listening = cast("Mapping[str, Sequence[Json]]", self.walk.entries[listening_key].input)
        filters = [EventFilter.from_json(each) for each in listening["filters"]]
        if not self._dry.has_mock(task):
            for wanted in filters[number:]:
                yield self._event(wanted, {}, f"{listening_key}/{number}"), "the filter"
        elif (found := self._dry.event(task)) is not None:
            name, mock = found
            if mock.error is not None:
                raise Faulted(_simulated(mock.error, name))
            wanted = filters[min(number, len(filters) - 1)]
            yield self._event(wanted, mock.output, f"{listening_key}/{number}"), f"mock {name}"

    def _event(self, wanted: EventFilter, content: Json, name: str) -> Event:
        """A whole CloudEvent as it is; other content with the attributes that the filter names."""
        now = self.walk.clock.now()
        if isinstance(content, Mapping) and "specversion" in content:
            return event_of({"id": derived_id(self.walk.run.id, name), **content}, now=now)
        body: dict[str, Json] = {"id": derived_id(self.walk.run.id, name), "source": "/dry-run", "data": content}
        body["type"] = wanted.type or "simulated"
        for place, value in wanted.literals:
            body = cast("dict[str, Json]", _with(body, place, value))
        return event_of(body, now=now)

    def _entry(self, key: str, task: str, kind: EntryKind, function: str, now: float) -> Entry:
        """Something that was answered at once."""
        return Entry(
            key=key,
            kind=kind,
            status=EntryStatus.COMPLETED,
            task=task,
            function=function,
            started_at=now,
            ended_at=now,
            epoch=self.walk.run.epoch,
        )


def _tool(invocation: Invocation) -> str | None:
    """What an agent calls it, if an agent does it."""
    return invocation.acting.action if invocation.acting else None


def _labelled(value: Json, labels: frozenset[str]) -> Datum:
    return Datum(value, {"": labels} if labels else NO_LABELS)


def _with(value: Json, place: Sequence[str], inner: Json) -> Json:
    """The object with something put at a place."""
    if not place:
        return inner
    known: Mapping[str, Json] = value if isinstance(value, Mapping) else {}
    return {**known, place[0]: _with(known.get(place[0]), place[1:], inner)}


def _simulated(error: Problem, mock: str) -> Problem:
    return Problem.model_validate({**error.to_json(), "simulated": f"mock {mock}"})
