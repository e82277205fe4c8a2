"""Replays: a run of the past walked again, its calls, people and events answered from its recording."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import NoReturn, cast

from orchestrion.core import (
    ERROR_TYPES,
    Answer,
    Consumed,
    Entry,
    EntryKind,
    EntryStatus,
    Event,
    Faulted,
    Invocation,
    Json,
    Leaf,
    Nature,
    Outcome,
    Problem,
    Put,
    Question,
    RunContext,
    Sourced,
    UserError,
    derived_id,
    event_of,
)

from ._dry import DryEffects
from ._effects import Outside, WalkEffects
from ._mocks import DryRun, DryRuns, task_name
from ._recording import RECORDED_CALL, Gap, Recording, fields_of
from ._rows import outcome_of, problem_in
from ._walk import Scope, Walk, WalkStopped

_RECORDED: Mapping[str, Json] = {"simulated": "the recording"}


class ReplayEffects(DryEffects):
    """What computes within the process is done; everything else is answered by the recording, or the replay ends there.

    To the workflow it is no dry run: it sees the id, the beginning and the times of the recorded run.
    """

    def __init__(self, walk: Walk, outside: Outside, scope: Scope, dry: DryRun, recording: Recording) -> None:
        super().__init__(walk, outside, scope, dry)
        self._recording = recording

    def scoped(self, scope: Scope) -> "ReplayEffects":
        return ReplayEffects(self.walk, self.outside, scope, self._dry, self._recording)

    @property
    def run(self) -> RunContext:
        return replace(super().run, dry=False, started_at=self._recording.began_at(self.walk.run.id))

    def require_open(self) -> None:
        """After a gap nothing of the run, or of those it started, goes on."""
        super().require_open()
        if self._recording.gap is not None:
            raise self._stopped(self._recording.gap)

    # --- calls ---

    async def invoke(self, invocation: Invocation) -> Outcome:
        return await WalkEffects.invoke(self, invocation)

    def performing(self, leaf: Leaf, invocation: Invocation, nature: Nature) -> Callable[[str], Awaitable[Outcome]]:
        """What touches nothing outside, and what the dry run names as its own, is really done."""
        perform = WalkEffects.performing(self, leaf, invocation, nature)
        if nature.effect == "none":
            return perform
        self._note(invocation, nature)

        async def answer(digest: str) -> Outcome:
            self._count()
            if self._reads(nature):
                with self._permitted(invocation):
                    return await perform(digest)
            found = self._recording.call(invocation, nature)
            changed = found is not None and (_was_other(found, leaf) or self._recording.changed(nature))
            return await self._answered(None if changed else found, invocation, nature, changed=changed)

        return answer

    async def record(
        self, invocation: Invocation, nature: Nature, perform: Callable[[], Awaitable[Outcome]]
    ) -> Outcome:
        """The same request to a model has the same answer; another one is a gap, unless the dry run names the model."""
        if nature.effect == "none":
            return await WalkEffects.record(self, invocation, nature, perform)
        self._note(invocation, nature)

        async def answer() -> Outcome:
            self._count()
            found = None if self._recording.changed(nature) else self._recording.call(invocation, nature)
            if found is None and self._reads(nature):
                with self._permitted(invocation):
                    return await perform()
            return await self._answered(found, invocation, nature)

        return await WalkEffects.record(self, invocation, nature, answer)

    async def _answered(
        self, found: Entry | None, invocation: Invocation, nature: Nature, *, changed: bool = False
    ) -> Outcome:
        if found is None:
            self._miss(
                Gap(
                    kind="model" if nature.resource[0] == "Model" else "call",
                    name=self._dry.noted[self.walk.run.id, invocation.key].call.action,
                    task=task_name(invocation.task),
                    fields=fields_of(invocation.arguments.value),
                    writes=nature.effect == "write",
                    changed=changed,
                )
            )
        if found.status is EntryStatus.FAILED:
            raise Faulted(problem_in(found.problem))
        if found.status is not EntryStatus.COMPLETED:
            await self._lapse(invocation.key, invocation.task)
        return replace(outcome_of(found), cost=None)

    async def _lapse(self, key: str, task: str) -> NoReturn:
        """What never came: its time runs out as it did then, or another branch comes first again."""
        if self._recording.ran_out(task):
            raise Faulted(
                Problem(type=ERROR_TYPES["timeout"], status=408, title="Timed out", instance=task, code="timed-out")
            )
        await self.walk.park(key, None)
        self._miss(Gap(kind="wait", name=task_name(task), task=task_name(task)))

    def _miss(self, gap: Gap) -> NoReturn:
        self._recording.gap = self._recording.gap or gap
        raise self._stopped(gap)

    def _stopped(self, gap: Gap) -> WalkStopped:
        fields = f" with {', '.join(gap.fields)}" if gap.fields else ""
        return self.walk.stop(
            UserError("not-recorded", f"The recording has no answer for {gap.name!r} at {gap.task!r}{fields}.")
        )

    # --- people, time ---

    async def ask(self, key: str, task: str, question: Question) -> Answer:
        """What was answered to the same question. A new one is put down, and the replay ends: nobody is asked."""
        self.require_open()
        if self.walk.entries.get(key) is None:
            self._count()
            found = self._recording.question(question)
            entry = self._entry(key, task, EntryKind.REQUEST, question.kind, self.walk.clock.now())
            entry = replace(entry, input={**question.to_json(), "expires_at": None}, why=_RECORDED)
            if found is None or found.status not in RECORDED_CALL:
                await self.walk.commit(Put(replace(entry, status=EntryStatus.INTENT, why=None, ended_at=None)))
                if found is None:
                    self._miss(Gap(kind="question", name=question.title, task=task_name(task)))
                await self._lapse(key, task)
            if found.status is EntryStatus.FAILED:
                entry = replace(entry, status=EntryStatus.FAILED, problem=found.problem)
            else:
                answer = replace(Answer.from_json(found.output), binding=question.binding)
                entry = replace(entry, output=answer.to_json(), labels=found.labels, subject=found.subject)
            await self.walk.commit(Put(entry))
        return await WalkEffects.ask(self, key, task, question)

    async def now(self, key: str, task: str) -> float:
        """The time that was recorded here, else when the run began."""
        recorded = self._recording.value(key, task)
        at = recorded if isinstance(recorded, int | float) else self._recording.began_at(self.walk.run.id)
        return cast("float", await self._value(key, task, lambda: at))

    async def random(self, key: str, task: str) -> float:
        """The number that was recorded here, else one that is the same in every replay."""
        recorded = self._recording.value(key, task)
        drawn = recorded if isinstance(recorded, int | float) else _drawn(self._recording.run.id, key)
        return cast("float", await self._value(key, task, lambda: drawn))

    # --- events ---

    async def receive(
        self, key: str, task: str, listening_key: str, accepts: Callable[[Event], Awaitable[Json]]
    ) -> Consumed:
        """The next event that was heard at this task and still fits."""
        self.require_open()
        if self.consumed(key) is None:
            self._count()
            offered = self._recording.events(task)
            for heard in offered:
                event = event_of(
                    cast("Mapping[str, Json]", heard.output), now=self.walk.clock.now(), labels=heard.labels
                )
                note = await accepts(event)
                if note is not None and note is not False:
                    self._recording.took(heard)
                    entry = self._entry(key, task, EntryKind.EVENT, "", self.walk.clock.now())
                    why: Json = {"note": note, "seq": 0, "inbox": 0, **_RECORDED}
                    await self.walk.commit(Put(replace(entry, output=event.body, labels=event.labels, why=why)))
                    break
            else:
                if not offered and self._recording.listened_in_vain(task):
                    await self._lapse(key, task)
                self._miss(Gap(kind="event", name=task_name(task), task=task_name(task)))
        return await WalkEffects.receive(self, key, task, listening_key, accepts)


def _was_other(entry: Entry, leaf: Leaf) -> bool:
    """Whether the function had another text when it answered."""
    if not isinstance(leaf, Sourced) or not isinstance(entry.why, Mapping):
        return False
    return leaf.made_of not in (entry.why.get("version"), entry.why.get("package"))


def _drawn(run_id: str, key: str) -> float:
    return int(derived_id(run_id, key, "random").replace("-", "")[:12], 16) / 16**12


def effects_over(walk: Walk, outside: Outside, dry: DryRuns | None) -> WalkEffects:
    """What a walk from its root is given."""
    if dry is None:
        return WalkEffects(walk, outside, walk.root)
    one = dry.of(walk.run)
    if one.recording is None:
        return DryEffects(walk, outside, walk.root, one)
    return ReplayEffects(walk, outside, walk.root, one, one.recording)
