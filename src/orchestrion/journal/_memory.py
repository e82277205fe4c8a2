"""The journal in memory: for express runs and tests. It forgets everything when the process ends."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from orchestrion.core import (
    Answer,
    Ask,
    Begin,
    CancelRun,
    Clock,
    CloseRequests,
    Entry,
    EntryKind,
    EntryStatus,
    Event,
    EventFilter,
    EventQuery,
    Fenced,
    Finished,
    Gathered,
    History,
    Json,
    Message,
    Move,
    OpenRuns,
    Publish,
    Put,
    Quarantined,
    Reached,
    Request,
    RequestStatus,
    Route,
    Run,
    RunFilter,
    RunStatus,
    ScheduleState,
    SetRun,
    Subscribe,
    Tell,
    Took,
    Unsubscribe,
    Woken,
    Write,
    Written,
    at_or_below,
    is_done_with,
)

from ._memory_events import MemoryEvents
from ._rules import (
    CLAIMABLE,
    RETRYABLE,
    answer_message,
    changed,
    decided,
    is_tried_again,
    needed,
    not_faulted,
    require_storable,
    retried,
    retry_plan,
    run_ended,
    total_cost,
    unknown_document,
    unknown_request,
    unknown_run,
    values_of,
)


@dataclass(slots=True)
class _Held:
    """A run and what belongs to it."""

    run: Run
    order: int
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    messages: dict[str, Message] = field(default_factory=dict[str, Message])
    due_at: float | None = None
    """When a sleeper should be advanced; 0 for at once."""
    late: list[Entry] = field(default_factory=list[Entry])


class MemoryJournal:
    """A `Journal` without a file. Everything is done when a method returns; nothing waits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._open: dict[str, _Held] = {}
        """Those that have not ended."""
        self._start_keys: dict[str, str] = {}
        self._documents: dict[str, str] = {}
        self._requests: dict[str, Request] = {}
        self._quarantined: dict[tuple[str, int], Quarantined] = {}
        self._events = MemoryEvents(self._tell, self._begin_new)
        self._schedules: dict[str, ScheduleState] = {}

    async def keep_document(self, digest: str, source: str) -> None:
        self._documents.setdefault(digest, source)

    async def document(self, digest: str) -> str:
        if digest not in self._documents:
            raise unknown_document(digest)
        return self._documents[digest]

    # starting

    async def start(self, run: Run) -> Run:
        require_storable(run.input, "The run's input")
        return self._begin(run).run

    async def copy(self, run: Run, entries: Sequence[Entry]) -> Run:
        for entry in entries:
            _check(Put(entry))
        require_storable(run.input, "The run's input")
        held = self._begin(run)
        if held.run is run:
            held.entries = {entry.key: entry for entry in entries}
        return held.run

    def _begin(self, run: Run) -> _Held:
        known = self._held.get(run.id) or self._held.get(self._start_keys.get(run.start_key or "", ""))
        if known is not None:
            return known
        held = _Held(run=run, order=len(self._held))
        self._held[run.id] = self._open[run.id] = held
        if run.start_key is not None:
            self._start_keys[run.start_key] = run.id
        return held

    def _begin_new(self, run: Run) -> bool:
        return self._begin(run).run is run

    # walking

    async def claim(self, run_id: str) -> History | None:
        held = self._held.get(run_id)
        if held is None or held.run.status not in CLAIMABLE:
            return None
        held.run = replace(held.run, epoch=held.run.epoch + 1, status=RunStatus.RUNNING, wake_at=None)
        held.due_at = None
        keys = needed(
            (key, is_done_with(entry.kind, entry.status), _said(entry)) for key, entry in sorted(held.entries.items())
        )
        return History(
            run=held.run,
            entries={key: held.entries[key] for key in keys},
            messages=list(held.messages.values()),
            written=len(held.entries),
        )

    def write(self, run_id: str, epoch: int, writes: Sequence[Write]) -> Written:
        future = Written(loop=asyncio.get_running_loop())
        try:
            for write in writes:
                _check(write)
            held = self._fenced(run_id, epoch)
            for write in writes:
                self._apply(held, epoch, write)
            future.set_result(None)
        except Exception as error:
            future.set_exception(error)
        return future

    def _fenced(self, run_id: str, epoch: int) -> _Held:
        held = self._held.get(run_id)
        if held is None:
            raise unknown_run(run_id)
        if held.run.epoch != epoch:
            raise Fenced(run_id)
        return held

    def _apply(self, held: _Held, epoch: int, write: Write) -> None:
        match write:
            case Put(entry):
                held.entries[entry.key] = entry if entry.epoch == epoch else replace(entry, epoch=epoch)
            case Move(key, to_key):
                _move(held, key, to_key)
            case SetRun():
                self._set(held, changed(held.run, write))
            case Ask(request):
                self._requests.setdefault(request.id, request)
            case CloseRequests(key, status):
                self._close_requests(held.run.id, key, status)
            case Begin(run):
                self._begin(run)
            case Tell(run_id, message):
                self._tell(run_id, message)
            case CancelRun(run_id, by):
                self._cancel(run_id, by)
            case Publish(event):
                self._events.receive(event)
            case Subscribe(key, interests):
                self._events.subscribe(held.run.id, key, interests)
            case Unsubscribe(key):
                self._events.unsubscribe(held.run.id, key)
            case Took(key, seq):
                self._events.took(held.run.id, key, seq)
            case _:
                assert_never(write)

    def _set(self, held: _Held, run: Run) -> None:
        held.run = run
        held.due_at = run.wake_at if run.status is RunStatus.WAITING else None
        if run.status.ended:
            self._open.pop(run.id, None)
        else:
            self._open[run.id] = held

    def _close_requests(self, run_id: str, key: str, status: RequestStatus) -> None:
        for name, request in self._requests.items():
            if request.run_id == run_id and request.status is RequestStatus.OPEN and at_or_below(request.key, key):
                self._requests[name] = replace(request, status=status)

    def _tell(self, run_id: str, message: Message) -> Run | None:
        """The run that was told; None when there is none, or it knew already."""
        held = self._held.get(run_id)
        if held is None or message.id in held.messages:
            return None
        seq = held.run.inbox_seq + 1
        held.messages[message.id] = replace(message, seq=seq)
        held.run = replace(held.run, inbox_seq=seq)
        if held.run.status is RunStatus.WAITING:
            held.due_at = 0
        return held.run

    def _cancel(self, run_id: str, by: str) -> None:
        held = self._open.get(run_id)
        if held is None or held.run.cancel_requested_by is not None:
            return
        held.run = replace(held.run, cancel_requested_by=by)
        if held.run.status is RunStatus.WAITING:
            held.due_at = 0
        if held.run.status is RunStatus.DIVERGED:
            self._set(held, replace(held.run, status=RunStatus.CANCELLED, ended_at=self._clock.now()))
            self._close_requests(run_id, "", RequestStatus.WITHDRAWN)
            self._events.unsubscribe_run(run_id)
            for child in list(self._open.values()):
                if child.run.parent_id == run_id:
                    self._cancel(child.run.id, by)

    async def rest(self, run_id: str, epoch: int, *, seen_seq: int, wake_at: float | None) -> bool:
        held = self._fenced(run_id, epoch)
        run = held.run
        if run.status is not RunStatus.RUNNING or run.inbox_seq != seen_seq or run.cancel_requested_by is not None:
            return False
        self._set(held, replace(run, status=RunStatus.WAITING, wake_at=wake_at))
        return True

    async def inbox(self, run_id: str, after_seq: int) -> Sequence[Message]:
        held = self._held.get(run_id)
        return [message for message in held.messages.values() if message.seq > after_seq] if held else []

    async def runnable(self, now: float, limit: int) -> Sequence[str]:
        due = [held for held in self._open.values() if held.due_at is not None and held.due_at <= now]
        due.sort(key=lambda held: (held.due_at or 0, held.run.created_at, held.order))
        pending = [held for held in self._open.values() if held.run.status is RunStatus.PENDING]
        pending.sort(key=lambda held: (held.run.created_at, held.order))
        return [held.run.id for held in (due + pending)[:limit]]

    async def next_wake(self) -> float | None:
        return min((held.due_at for held in self._open.values() if held.due_at is not None), default=None)

    async def release(self, run_id: str | None = None) -> Sequence[str]:
        released = [
            held
            for held in self._open.values()
            if held.run.status is RunStatus.RUNNING and run_id in {None, held.run.id}
        ]
        for held in released:
            held.run = replace(held.run, status=RunStatus.PENDING)
        return [held.run.id for held in released]

    async def open_semantics(self) -> Mapping[int, OpenRuns]:
        found: dict[int, list[str]] = {}
        for held in self._open.values():
            if held.run.cancel_requested_by is None:
                found.setdefault(held.run.semantics, []).append(held.run.id)
        return {semantics: OpenRuns(count=len(ids), ids=ids[:5]) for semantics, ids in found.items()}

    async def foreign_change(self) -> bool:
        return False

    # schedules

    async def schedules(self) -> Sequence[ScheduleState]:
        return [state for _, state in sorted(self._schedules.items())]

    async def reschedule(self, state: ScheduleState, runs: Sequence[Run] = ()) -> Sequence[Run] | None:
        for run in runs:
            require_storable(run.input, "The run's input")
        known = self._schedules.get(state.workflow)
        if state.revision != (known.revision if known else 0):
            return None
        self._schedules[state.workflow] = replace(state, revision=state.revision + 1)
        return [self._begin(run).run for run in runs]

    # leading: nobody else can reach it

    def leading(self) -> bool:
        return True

    async def regain(self) -> bool:
        return True

    def when_deposed(self, tell: Callable[[], None]) -> None:
        pass

    # people

    async def answer(self, request_id: str, answer: Answer) -> Request:
        request = self._requests.get(request_id)
        if request is None:
            raise unknown_request(request_id)
        request = decided(request, answer, self._clock.now())
        require_storable(answer.to_json(), "The answer")
        self._requests[request_id] = request
        self._tell(request.run_id, answer_message(request))
        return request

    async def cancel(self, run_id: str, by: str) -> Run:
        held = self._known(run_id)
        if held.run.status.ended:
            raise run_ended(held.run)
        self._cancel(run_id, by)
        return held.run

    async def retry(self, run_id: str, by: str) -> Run:
        held = self._known(run_id)
        if held.run.status not in RETRYABLE:
            raise not_faulted(held.run)
        self._retry(held, by)
        return held.run

    def _retry(self, held: _Held, by: str) -> None:
        run = held.run
        requests = [request for request in self._requests.values() if request.run_id == run.id]
        plan = retry_plan(run, held.entries, requests, held.messages.values(), by=by, now=self._clock.now())
        mark = f"!{run.attempt}"
        for key, to_key in plan.entries:
            _move(held, key, to_key)
        for key in plan.reopened:
            held.entries[key] = replace(held.entries[key], status=EntryStatus.INTENT, problem=None, ended_at=None)
        for name, new in plan.requests:
            old = self._requests.pop(name)
            self._requests[new] = replace(old, id=new, key=old.key + mark)
        for name, new in plan.messages:
            old = held.messages.pop(name)
            held.messages[new] = replace(old, id=new, key=old.key + mark)
        held.entries[plan.note.key] = plan.note
        for child in list(self._held.values()):
            if child.run.parent_id == run.id and child.run.parent_key in plan.children and is_tried_again(child.run):
                self._retry(child, by)
        self._set(held, retried(run))

    def _known(self, run_id: str) -> _Held:
        held = self._held.get(run_id)
        if held is None:
            raise unknown_run(run_id)
        return held

    # reading

    async def run(self, run_id: str) -> Run | None:
        held = self._held.get(run_id)
        return held.run if held else None

    async def find(self, fragment: str) -> Sequence[str]:
        if fragment in self._held:
            return [fragment]
        return [held.run.id for held in self._newest() if fragment in held.run.id][:10]

    def _newest(self) -> list[_Held]:
        return sorted(self._held.values(), key=lambda held: (held.run.created_at, held.run.id), reverse=True)

    async def runs(self, which: RunFilter) -> Sequence[Run]:
        before = self._held.get(which.before_id) if which.before_id is not None else None
        found = [
            held.run
            for held in self._newest()
            if _matches(held.run, which)
            and (before is None or (held.run.created_at, held.run.id) < (before.run.created_at, before.run.id))
        ][: which.limit]
        return [replace(run, input=None, output=None, versions=None) for run in found] if which.bare else found

    async def count(self, *, batch: str | None = None, ended: bool = True) -> Mapping[RunStatus, int]:
        found: dict[RunStatus, int] = {}
        for held in self._held.values() if ended else self._open.values():
            if batch is None or held.run.batch == batch:
                found[held.run.status] = found.get(held.run.status, 0) + 1
        return found

    async def completed_rows(self, batch: str) -> Collection[int]:
        found = [held.run for held in self._held.values() if held.run.batch == batch and held.run.copied_from is None]
        return {run.row for run in found if run.status is RunStatus.COMPLETED and run.row is not None}

    async def entries(self, run_id: str) -> Sequence[Entry]:
        held = self._held.get(run_id)
        return list(held.entries.values()) if held else []

    async def spent(self, run_id: str) -> Json:
        return total_cost(entry.cost for entry in await self.entries(run_id))

    async def requests(
        self, *, run_id: str | None = None, status: RequestStatus | None = None, limit: int | None = None
    ) -> Sequence[Request]:
        found = [
            request
            for request in self._requests.values()
            if (run_id is None or request.run_id == run_id) and (status is None or request.status is status)
        ]
        return sorted(found, key=lambda request: (request.created_at, request.id))[:limit]

    async def request(self, request_id: str) -> Request | None:
        if request_id in self._requests:
            return self._requests[request_id]
        found = [request for name, request in self._requests.items() if request_id in name]
        return found[0] if len(found) == 1 else None

    async def quarantine(self, rows: Sequence[Quarantined]) -> None:
        for row in rows:
            require_storable(row.value, "A quarantined row")
        for row in rows:
            self._quarantined[row.batch, row.row] = row

    async def quarantined(self, batch: str) -> Sequence[Quarantined]:
        return sorted((row for row in self._quarantined.values() if row.batch == batch), key=lambda row: row.row)

    async def late(self, run_id: str, entry: Entry) -> None:
        _check(Put(entry))
        self._known(run_id).late.append(entry)

    async def late_outcomes(self, run_id: str) -> Sequence[Entry]:
        held = self._held.get(run_id)
        return list(held.late) if held else []

    # events

    async def receive(self, event: Event) -> bool:
        _check(Publish(event))
        return self._events.receive(event)

    async def unrouted(self, limit: int) -> Sequence[Event]:
        return self._events.unrouted(limit)

    async def interests(self, type_: str) -> Sequence[EventFilter]:
        return self._events.interests(type_)

    async def gathered(self, trigger: str, correlation: str) -> Sequence[Gathered]:
        return self._events.gathered(trigger, correlation)

    async def deliver(self, routes: Sequence[Route]) -> Sequence[Woken]:
        for route in routes:
            for start in route.starts:
                _check(Begin(start.run))
        return self._events.deliver(routes, self._clock.now())

    async def earlier(
        self, types: Sequence[str] | None, *, since: float, after_seq: int, limit: int
    ) -> Sequence[Event]:
        return self._events.earlier(types, since, after_seq, limit)

    async def numbered(self, seqs: Sequence[int]) -> Sequence[Event]:
        return self._events.numbered(seqs)

    async def event(self, source: str, id_: str) -> Event | None:
        return self._events.event(source, id_)

    async def events(self, which: EventQuery) -> Sequence[Event]:
        return self._events.events(which)

    async def reached(self, seq: int) -> Sequence[Reached]:
        return self._events.reached(seq)

    async def close(self) -> None:
        return None


def _check(write: Write) -> None:
    """Raises: UserError for what could not be stored, before anything is changed."""
    for what, value in values_of(write):
        require_storable(value, what)


def _said(entry: Entry) -> Callable[[], Finished | None] | None:
    return (lambda: Finished.from_json(entry.input)) if entry.kind is EntryKind.SCOPE else None


def _move(held: _Held, key: str, to_key: str) -> None:
    """Rename in place, so that the order of first writes stays."""
    if key not in held.entries:
        return
    held.entries = {
        (to_key if name == key else name): (replace(entry, key=to_key, kind=EntryKind.NOTE) if name == key else entry)
        for name, entry in held.entries.items()
        if name != to_key
    }


def _matches(run: Run, which: RunFilter) -> bool:
    return (
        (not which.status or run.status in which.status)
        and (which.workflow is None or which.workflow in {run.workflow, f"{run.namespace}/{run.workflow}"})
        and (which.batch is None or run.batch == which.batch)
        and (which.parent_id is None or run.parent_id == which.parent_id)
        and (which.ids is None or run.id in which.ids)
        and (which.start_keys is None or run.start_key in which.start_keys)
        and (which.before is None or (run.created_at, run.id) < which.before)
        and (which.since is None or run.created_at >= which.since)
    )
