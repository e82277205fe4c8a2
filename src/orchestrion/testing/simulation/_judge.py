"""The judgement of a finished simulation: every run against its document, and the world against what may happen to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from orchestrion.core import (
    Answer,
    Entry,
    EntryKind,
    EntryStatus,
    EventQuery,
    Journal,
    Json,
    RequestStatus,
    Run,
    RunStatus,
    dump,
)

from ._journal import at_once
from ._model import Model, Node
from ._people import People
from ._record import Record, Stopped, Wrong
from ._watch import Watch
from ._world import NATURES, Performed, World

CANCEL_SLACK_S = 3.0
"""How long after an accepted cancel a run may still end otherwise: its end was on its way, or a poll was not due yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Everything that is known when all is over."""

    documents: Mapping[str, Node]
    """Digest → the document as it was generated."""
    disk: Journal
    watch: Watch
    world: World
    people: People
    poll_s: float

    def wrong(self) -> list[str]:
        """Everything that must not be."""
        runs = [self._run(run_id) for run_id in self.watch.runs]
        found = [text for run in runs for text in self._run_wrong(run)]
        found += [
            f"the request at {request.key} is open though its run has ended"
            for request in at_once(self.disk.requests(status=RequestStatus.OPEN))
        ]
        return [*found, *self._cancel_wrong(), *self._repeated(), *self._keys_wrong(), *self._consumed_twice()]

    def _run(self, run_id: str) -> Run:
        run = at_once(self.disk.run(run_id))
        assert run is not None
        return run

    # --- runs ---

    def _run_wrong(self, run: Run) -> list[str]:
        try:
            self._compare(run)
        except Wrong as error:
            return [f"run {run.id}: {error}"]
        return []

    def _compare(self, run: Run) -> None:
        seen = self.watch.runs[run.id]
        if run.status is not seen.status:
            raise Wrong(f"it ended as {seen.status}, and is {run.status} now")
        entries = {entry.key: entry for entry in at_once(self.disk.entries(run.id))}
        if _essence(entries) != _essence(seen.entries):
            raise Wrong("the journal holds something else than was committed")
        received = at_once(self.disk.events(EventQuery(limit=100_000)))[::-1]
        model = Model(
            document=self.documents[run.digest],
            record=Record(entries, seen.first),
            children={run_id: self._run(run_id) for run_id in self.watch.runs},
            performed=self._performed(run),
            events={(event.source, event.id): event.body for event in received},
            before=sum(event.received_at < run.created_at for event in received),
            answers=self._answers(run),
        )
        try:
            status, result = model.outcome(run.input, partial=run.status is RunStatus.CANCELLED)
        except Stopped:
            status, result = "cancelled", None
        if unvisited := model.record.unvisited(tried_again=run.attempt > 1):
            raise Wrong(f"the document does not account for {', '.join(unvisited)}")
        open_kinds = {EntryKind.LEAF, EntryKind.REQUEST, EntryKind.CHILD, EntryKind.LISTEN}
        if left := [key for key, e in entries.items() if e.status is EntryStatus.INTENT and e.kind in open_kinds]:
            raise Wrong(f"{left[0]} was left open")
        _compare_end(run, status, result)

    def _performed(self, run: Run) -> Mapping[str, Sequence[Performed]]:
        found: dict[str, list[Performed]] = {}
        for call in self.world.performed:
            if call.run_id == run.id:
                found.setdefault(call.key, []).append(call)
        return found

    def _answers(self, run: Run) -> Mapping[str, Sequence[Answer]]:
        """Key → what was said about it."""
        found: dict[str, list[Answer]] = {}
        for request, answer in self.people.said:
            if request.run_id == run.id:
                found.setdefault(request.key, []).append(answer)
        return found

    def _cancel_wrong(self) -> list[str]:
        root, at = self._run(self.people.root), self.people.cancelled_at
        slack_s = CANCEL_SLACK_S + (2 * self.poll_s if self.people.cancelled_from_outside else 0)
        if (
            at is None
            or self.people.retried
            or root.status is RunStatus.CANCELLED
            or root.ended_at is None
            or root.ended_at - at < slack_s
        ):
            return []
        return [f"a cancel was accepted, and the run was {root.status} {root.ended_at - at:.1f} s later"]

    # --- effects ---

    def _repeated(self) -> list[str]:
        """Calls that cannot be repeated safely, performed more often than people agreed to."""
        count: dict[tuple[str, str], int] = {}
        for call in self.world.performed:
            if not call.idempotent:
                count[call.run_id, call.key] = count.get((call.run_id, call.key), 0) + 1
        return [
            f"{key} of run {run_id} was performed {times} times"
            for (run_id, key), times in count.items()
            if times > 1 + self.people.retried + self._agreed(run_id, key)
        ]

    def _agreed(self, run_id: str, key: str) -> int:
        return sum(
            request.run_id == run_id and request.key.startswith(f"{key}/interrupted/") and answer.verdict == "again"
            for request, answer in self.people.said
        )

    def _keys_wrong(self) -> list[str]:
        """An idempotency key stands for exactly one operation with its arguments, and the other way round."""
        of_key: dict[str, tuple[str, str, str]] = {}
        of_call: dict[tuple[str, str, str], str] = {}
        found: list[str] = []
        for call in self.world.performed:
            if NATURES[call.function][0] == "none":
                continue
            what = (call.run_id, call.operation, dump(call.arguments))
            if of_key.setdefault(call.idempotency_key, what) != what:
                found.append(f"{call.key} shares its idempotency key with another operation")
            if of_call.setdefault(what, call.idempotency_key) != call.idempotency_key:
                found.append(f"{call.key} was performed under two idempotency keys")
        return found

    def _consumed_twice(self) -> list[str]:
        """An answer was given once, to one question; it may be taken once."""
        taken: dict[str, str] = {}
        found: list[str] = []
        for run in self.watch.runs.values():
            for entry in run.entries.values():
                value = (
                    cast("Mapping[str, Any]", entry.output).get("value")
                    if entry.kind is EntryKind.REQUEST and entry.output
                    else None
                )
                if isinstance(value, Mapping) and "n" in value:
                    token, place = dump(cast("Json", value)), f"{run.id} {entry.key}"
                    if taken.setdefault(token, place) != place:
                        found.append(f"the answer {token} was taken at {taken[token]} and at {place}")
        return found


def _essence(entries: Mapping[str, Entry]) -> dict[str, tuple[EntryStatus, Json]]:
    return {key: (entry.status, entry.output) for key, entry in entries.items()}


def _compare_end(run: Run, status: str, result: Json) -> None:
    if run.status is RunStatus.CANCELLED:
        if run.cancel_requested_by is None:
            raise Wrong("it was cancelled though nobody asked for it")
        return
    if run.status.value != status:
        raise Wrong(f"it is {run.status} with {run.problem!r} where the document says {status} {result!r}")
    if status == "completed" and run.output != result:
        raise Wrong(f"its output is {run.output!r} where the document gives {result!r}")
    if status == "faulted":
        problem = cast("Mapping[str, Any]", run.problem)
        if [problem["type"], problem["status"], problem.get("instance", "")] != result:
            raise Wrong(f"it failed with {problem!r} where the document says {result!r}")
