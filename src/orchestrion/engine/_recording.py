"""A recording: what a run of the past was answered, by what it asked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from orchestrion.core import (
    Entry,
    EntryKind,
    EntryStatus,
    Invocation,
    Json,
    Nature,
    Question,
    Run,
    fingerprint,
)

from ._mocks import task_name
from ._wording import only_wording

RECORDED_CALL = frozenset({EntryStatus.COMPLETED, EntryStatus.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What the recording could not answer: there the replay ended."""

    kind: Literal["call", "model", "question", "event", "wait"]
    name: str
    task: str
    fields: tuple[str, ...] = ()
    """Names of the arguments' fields."""
    writes: bool = False
    changed: bool = False
    """The same call is in the recording, but it would do something else by now."""


class Recording:
    """The answers of one run and of those it started. Each is given once, equal ones in their order.

    `changed` says whether a call of this nature is answered by something else now, as by another model of the same name.
    """

    def __init__(
        self, records: Sequence[tuple[Run, Sequence[Entry]]], *, changed: Callable[[Nature], bool] = lambda _: False
    ) -> None:
        self.run = records[0][0]
        self._runs = {run.id: run for run, _ in records}
        self.gap: Gap | None = None
        self.changed = changed
        entries = [entry for _, each in records for entry in each]
        self._calls = [entry for entry in entries if entry.kind is EntryKind.LEAF]
        self._asked = [entry for entry in entries if entry.kind is EntryKind.REQUEST]
        self._events = [entry for entry in entries if entry.kind is EntryKind.EVENT]
        self._values = {e.key: e for e in entries if e.kind is EntryKind.VALUE and not e.function}
        self._in_vain = [e.task for e in entries if e.kind is EntryKind.LISTEN and e.status is EntryStatus.ABANDONED]
        self._late = [entry.task for entry in entries if _ran_out(entry)]
        self._used: set[int] = set()
        self._by_digest = _grouped(self._calls, lambda entry: entry.digest)
        self._by_arguments = _grouped(self._calls, lambda entry: fingerprint([entry.function, entry.input]))

    def began_at(self, run_id: str) -> float:
        """When the run of this id began; one that was not started then begins with the first."""
        run = self._runs.get(run_id, self.run)
        return run.started_at or run.created_at

    def call(self, invocation: Invocation, nature: Nature) -> Entry | None:
        """How this very call went, whoever made it and wherever; else, for one that writes, the one that says the same in other words.

        Reads that are repeated more often than they were get their last answer again. A refused call has none.
        """
        digest = invocation.digest()
        equal = [
            *self._by_digest.get(digest, ()),
            *self._by_arguments.get(fingerprint([invocation.function, invocation.arguments.value]), ()),
        ]
        answered = [entry for entry in equal if not is_refused(entry)]
        found = self._unused(answered)
        if found is None and answered and nature.effect == "read":
            found = answered[-1]
        if found is None and nature.effect == "write":
            said = invocation.arguments.value
            alike = (e for e in self._calls if e.function == invocation.function and not is_refused(e))
            found = self._unused(entry for entry in alike if only_wording(entry.input, said))
        return self._take(found)

    def question(self, question: Question) -> Entry | None:
        """How the same question was answered: of the same kind, to the same people; an approval for the same arguments."""
        wanted = asked_for(question)
        alike = [entry for entry in self._asked if asked_for(Question.from_json(entry.input)) == wanted]
        shown = [entry for entry in alike if Question.from_json(entry.input).show.value == question.show.value]
        return self._take(self._unused([*shown, *alike]))

    def events(self, task: str) -> list[Entry]:
        """What was heard at a task and has not been heard in the replay, in order."""
        return [each for each in self._events if id(each) not in self._used and _same_task(each.task, task)]

    def listened_in_vain(self, task: str) -> bool:
        """Whether nothing came at a task before it was left."""
        return any(_same_task(each, task) for each in self._in_vain)

    def took(self, event: Entry) -> None:
        self._take(event)

    def value(self, key: str, task: str) -> Json:
        """The time or random number that was drawn here, else at this task; None for none."""
        found = self._values.get(key)
        if found is None:
            found = self._unused(each for each in self._values.values() if _same_task(each.task, task))
        taken = self._take(found)
        return taken.output if taken is not None else None

    def ran_out(self, task: str) -> bool:
        """Whether the time for a task, or for what it is in, ran out."""
        return any(task == late or task.startswith(f"{late}/") for late in self._late)

    def _unused(self, entries: Iterable[Entry]) -> Entry | None:
        return next((entry for entry in entries if id(entry) not in self._used), None)

    def _take(self, entry: Entry | None) -> Entry | None:
        if entry is not None:
            self._used.add(id(entry))
        return entry


def asked_for(question: Question) -> tuple[Json, ...]:
    """What makes two questions the same one."""
    shown: Mapping[str, Json] = question.show.value if isinstance(question.show.value, Mapping) else {}
    about = [shown.get("action"), shown.get("arguments")] if question.kind == "approval" else None
    return (question.kind, question.role, question.user, question.title, fingerprint(about))


def is_refused(entry: Entry) -> bool:
    """Whether policy, or a person whom it asked, said no: then nothing was done."""
    decision = entry.decision
    return isinstance(decision, Mapping) and decision.get("verdict") == "deny"


def _ran_out(entry: Entry) -> bool:
    said = entry.output
    return entry.kind is EntryKind.CHOICE and isinstance(said, Mapping) and said.get("first") == "deadline"


def _same_task(one: str, other: str) -> bool:
    return task_name(one) == task_name(other)


def _grouped(entries: Iterable[Entry], of: Callable[[Entry], str]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(of(entry), []).append(entry)
    return found


def fields_of(value: Json) -> tuple[str, ...]:
    """The names of an object's fields."""
    return tuple(cast("Mapping[str, Json]", value)) if isinstance(value, Mapping) else ()
