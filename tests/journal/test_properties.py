"""Any sequence of operations gives the same answers and the same record in memory and in a database."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrion.core import (
    Ask,
    Begin,
    CancelRun,
    CloseRequests,
    Entry,
    EntryKind,
    EntryStatus,
    History,
    Journal,
    Message,
    Move,
    OrchestrionError,
    Put,
    RequestStatus,
    RunFilter,
    RunStatus,
    SetRun,
    Tell,
    Write,
)
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.store import Store
from orchestrion.testing.journal_suite import HandClock, a_request, a_run, approved

NAMES = ("r0", "r1", "r2")
KEYS = ("/a", "/a/0/b#1", "/a/0/b#1~2", "/a/join", "/c", "/c/deadline")

names = st.sampled_from(NAMES)
keys = st.sampled_from(KEYS)
values = st.one_of(st.none(), st.integers(0, 3), st.just({"nested": ["ü", 1.5, None]}), st.just(float("nan")))
some_entries = st.builds(
    Entry,
    key=keys,
    kind=st.sampled_from(EntryKind),
    status=st.sampled_from(EntryStatus),
    output=values,
    ended_at=st.sampled_from([None, 1_800_000_000.0, 1_800_000_010.0]),
)


@dataclass(frozen=True)
class AskAt:
    """A request at a key of the run that writes it."""

    key: str


@dataclass(frozen=True)
class BeginBelow:
    """A child run."""

    name: str
    parent: str
    key: str


Drawn = Put | Move | SetRun | CloseRequests | CancelRun | Tell | AskAt | BeginBelow

messages = st.builds(Message, id=names, key=keys, kind=st.just("child"), body=st.just(1))
writes: st.SearchStrategy[Drawn] = st.one_of(
    st.builds(Put, some_entries),
    st.builds(Put, some_entries),
    st.builds(Move, keys, keys),
    st.builds(
        SetRun,
        status=st.sampled_from([None, *RunStatus]),
        output=values,
        fault_key=st.one_of(st.none(), keys),
        wake_at=st.sampled_from([None, 1_800_000_005.0]),
        ended_at=st.sampled_from([None, 1_800_000_010.0]),
    ),
    st.builds(CloseRequests, keys, st.sampled_from([RequestStatus.WITHDRAWN, RequestStatus.EXPIRED])),
    st.builds(CancelRun, names, st.just("ben")),
    st.builds(Tell, names, messages),
    st.builds(BeginBelow, names, names, keys),
    st.builds(AskAt, keys),
)
operations = st.one_of(
    st.tuples(st.just("start"), names, st.sampled_from([None, "k1"])),
    st.tuples(st.just("claim"), names),
    st.tuples(st.just("write"), names, st.integers(-1, 0), st.lists(writes, max_size=4)),
    st.tuples(st.just("write"), names, st.just(0), st.lists(writes, max_size=4)),
    st.tuples(st.just("fault"), names, keys),
    st.tuples(st.just("rest"), names, st.integers(-1, 0), st.sampled_from([None, 1_800_000_003.0])),
    st.tuples(st.just("answer"), names, keys, st.sampled_from([None, "other"])),
    st.tuples(st.just("cancel"), names),
    st.tuples(st.just("retry"), names),
    st.tuples(st.just("release")),
    st.tuples(st.just("pass"), st.integers(1, 5)),
)


class Driver:
    """Applies operations to one journal and notes what it says."""

    def __init__(self, journal: Journal, clock: HandClock) -> None:
        self.journal = journal
        self.clock = clock

    async def apply(self, operation: Sequence[object]) -> object:
        try:
            return await self._apply(operation)
        except OrchestrionError as error:
            return error.code

    async def _apply(self, operation: Sequence[object]) -> object:
        journal = self.journal
        match operation:
            case ("start", str(name), start_key):
                return await journal.start(a_run(name, self.clock, start_key=start_key))
            case ("claim", str(name)):
                return _told(await journal.claim(name))
            case ("write", str(name), int(offset), _):
                epoch = await self._epoch(name) + offset
                return await journal.write(name, epoch, [self._write(name, write) for write in _drawn(operation)])
            case ("fault", str(name), str(key)):
                failed = Put(Entry(key=key, kind=EntryKind.LEAF, status=EntryStatus.FAILED))
                end = SetRun(status=RunStatus.FAULTED, fault_key=key, ended_at=self.clock.now())
                return await journal.write(name, await self._epoch(name), [failed, end])
            case ("rest", str(name), int(offset), wake_at):
                run = await journal.run(name)
                seen = (run.inbox_seq if run else 0) + offset
                at = wake_at if isinstance(wake_at, float) else None
                return await journal.rest(name, await self._epoch(name), seen_seq=seen, wake_at=at)
            case ("answer", str(name), str(key), binding):
                given = {"arguments": "other"} if binding else None
                return await journal.answer(name + key, approved(self.clock, binding=given))
            case ("cancel", str(name)):
                return await journal.cancel(name, "ana")
            case ("retry", str(name)):
                return await journal.retry(name, "ana")
            case ("release",):
                return sorted(await journal.release())
            case ("pass", int(seconds)):
                self.clock.pass_s(seconds)
                return None
            case _:
                raise AssertionError(operation)

    async def _epoch(self, name: str) -> int:
        run = await self.journal.run(name)
        return run.epoch if run else 0

    def _write(self, name: str, drawn: Drawn) -> Write:
        match drawn:
            case AskAt(key):
                return Ask(a_request(name + key, name, key, self.clock, expires_at=self.clock.now() + 4))
            case BeginBelow(child, parent, key):
                return Begin(a_run(child, self.clock, parent_id=parent, parent_key=key))
            case _:
                return drawn

    async def record(self) -> list[object]:
        """Everything that can be read."""
        journal, now = self.journal, self.clock.now()
        found: list[object] = [
            await journal.runnable(now, 10),
            await journal.next_wake(),
            await journal.runs(RunFilter()),
            await journal.count(),
            await journal.requests(),
            {semantics: (runs.count, sorted(runs.ids)) for semantics, runs in (await journal.open_semantics()).items()},
        ]
        for name in NAMES:
            found += [await journal.entries(name), await journal.inbox(name, 0)]
        return found


def _drawn(operation: Sequence[object]) -> list[Drawn]:
    return cast("list[Drawn]", operation[3])


def _told(history: History | None) -> object:
    if history is None:
        return None
    return replace(history, entries=dict(history.entries), messages=list(history.messages))


async def compare(steps: Sequence[Sequence[object]], folder: Path) -> None:
    clocks = HandClock(), HandClock()
    store = Store.open(folder / "journal.db", mode="own", clock=clocks[1])
    durable = DurableJournal(store, clocks[1])
    expected, actual = Driver(MemoryJournal(clocks[0]), clocks[0]), Driver(durable, clocks[1])
    try:
        for step in steps:
            assert await actual.apply(step) == await expected.apply(step), step
        assert await actual.record() == await expected.record()
    finally:
        await durable.close()
        store.close()


started = [("start", name, None) for name in NAMES[:2]] + [("claim", name) for name in NAMES[:2]]


def agree(steps: Sequence[Sequence[object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare([*started, *steps], Path(folder)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(operations, max_size=15))
def test_both_journals_agree(steps: list[tuple[object, ...]]) -> None:
    agree(steps)


@pytest.mark.soak
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(operations, max_size=30))
def test_both_journals_agree_on_very_many_sequences(steps: list[tuple[object, ...]]) -> None:
    agree(steps)
