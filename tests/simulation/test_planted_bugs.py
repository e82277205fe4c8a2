"""A simulator that finds nothing proves nothing: bugs of every kind, planted one at a time, are found."""

from collections.abc import Callable
from dataclasses import replace
from pkgutil import resolve_name
from typing import Any

import pytest

from orchestrion.core import (
    Answer,
    Entry,
    EntryKind,
    EntryStatus,
    OrchestrionError,
    Put,
    Request,
    RequestStatus,
    RunStatus,
    Write,
)
from orchestrion.testing.simulation import Report, simulate

BUDGET = 1_000
"""Seeds, at most; every test run tries twice as many."""

Plant = Callable[[str, Callable[[Any], Any]], None]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Puts something else in the place of a function, made from the function."""

    def put(place: str, make: Callable[[Any], Any]) -> None:
        module, _, name = place.partition(":")
        monkeypatch.setattr(f"{module}.{name}", make(resolve_name(place)))

    return put


def found() -> Report:
    """The first simulation that goes wrong."""
    for seed in range(BUDGET):
        report = simulate(seed)
        if report.wrong:
            return report
    pytest.fail(f"{BUDGET} simulations, and none noticed")


def says(report: Report, *words: str) -> bool:
    return any(word in wrong for wrong in report.wrong for word in words)


def every(number: int) -> Callable[[], bool]:
    """True each so-manieth time."""
    count = 0

    def now() -> bool:
        nonlocal count
        count += 1
        return count % number == 0

    return now


def test_a_lost_write(plant: Plant) -> None:
    lost = every(5)

    def forgetful(original: Any) -> Any:
        def apply(journal: Any, held: Any, epoch: int, write: Write) -> None:
            match write:
                case Put(Entry(kind=EntryKind.LEAF, status=EntryStatus.COMPLETED)) if lost():
                    return
                case _:
                    pass
            original(journal, held, epoch, write)

        return apply

    plant("orchestrion.journal._memory:MemoryJournal._apply", forgetful)
    assert says(found(), "the journal holds something else than was committed", "performed again", "was overwritten")


def test_acting_before_the_write_is_durable(plant: Plant) -> None:
    async def hasty(self: Any, *writes: Write) -> None:
        self.post(*writes)

    plant("orchestrion.engine._walk:Walk.commit", lambda _: hasty)
    assert says(found(), "before its intent was durable")


def test_a_request_answered_twice(plant: Plant) -> None:
    def forgetful(request: Request, answer: Answer, now: float) -> Request:
        return replace(request, status=RequestStatus.DECIDED, answer=answer)

    plant("orchestrion.journal._memory:decided", lambda _: forgetful)
    assert says(found(), "was answered twice", "does not account for")


def test_an_answer_taken_by_two_questions(plant: Plant) -> None:
    last: dict[str, Any] = {}

    def confused(original: Any) -> Any:
        async def park(self: Any, key: str | None, wake_at: float | None) -> Any:
            """Whoever asks about the same task again is given what was said the first time."""
            task = key.split("#")[0] if key is not None else None
            if task is not None and task in last:
                return last[task]
            message = await original(self, key, wake_at)
            if message is not None and message.kind == "answer" and task is not None:
                last[task] = message
            return message

        return park

    plant("orchestrion.engine._walk:Walk.park", confused)
    assert says(found(), "was taken at", "an answer that nobody gave")


def test_an_event_taken_twice(plant: Plant) -> None:
    def forgetful(self: Any, entry: Any) -> None:
        """What a task has taken is not remembered for its next visit."""

    plant("orchestrion.engine._attention:Memories.took", lambda _: forgetful)
    plant("orchestrion.engine._attention:Memories.listened", lambda _: forgetful)
    assert says(found(), "was taken at")


def test_an_event_that_reaches_nobody(plant: Plant) -> None:
    lost = every(3)

    def forgetful(original: Any) -> Any:
        def told(self: Any, *about: Any) -> int:
            return 1 if lost() else original(self, *about)

        return told

    plant("orchestrion.journal._memory_events:MemoryEvents._told", forgetful)
    assert says(found(), "and passed over", "stuck")


def test_a_timer_that_begins_again_at_recovery(plant: Plant) -> None:
    def drifting(original: Any) -> Any:
        async def sleep(self: Any, key: str, task: str, seconds: float) -> None:
            entry = self.walk.entries.get(key)
            if entry is not None and entry.status is EntryStatus.INTENT:
                self.walk.entries[key] = replace(entry, output={"until": self.walk.clock.now() + seconds})
            await original(self, key, task, seconds)

        return sleep

    plant("orchestrion.engine._effects:WalkEffects.sleep", drifting)
    assert says(found(), "moved its deadline", "which is not", "late", "stuck")


def test_a_timer_that_is_late_without_saying_so(plant: Plant) -> None:
    def late(original: Any) -> Any:
        async def park(self: Any, key: str | None, wake_at: float | None) -> Any:
            return await original(self, key, wake_at and wake_at + 100)

        return park

    plant("orchestrion.engine._walk:Walk.park", late)
    assert says(found(), "late", "stuck")


def test_a_cancel_that_is_ignored(plant: Plant) -> None:
    def deaf(original: Any) -> Any:
        def end(self: Any, ending: Any) -> None:
            if ending.name != "CANCELLED":
                original(self, ending)

        return end

    plant("orchestrion.engine._walk:Walk.end", deaf)
    assert says(found(), "a cancel was accepted", "stuck")


def test_a_cancel_that_is_acted_on_after_the_end(plant: Plant) -> None:
    def eager(original: Any) -> Any:
        async def cancel(self: Any, run_id: str, by: str) -> Any:
            try:
                return await original(self, run_id, by)
            except OrchestrionError:
                held = self._held[run_id]
                held.run = replace(held.run, status=RunStatus.CANCELLED, cancel_requested_by=by)
                return held.run

        return cancel

    plant("orchestrion.journal._memory:MemoryJournal.cancel", eager)
    assert says(found(), "it ended as")


def test_a_call_that_cannot_be_repeated_is_repeated(plant: Plant) -> None:
    async def careless(_: Any, __: Any, ___: Any, intent: Any) -> Any:
        return intent

    plant("orchestrion.engine._leaf:_interrupted", lambda _: careless)
    assert says(found(), "was performed 2 times")


def test_a_loser_that_goes_on(plant: Plant) -> None:
    async def lenient(self: Any, prefixes: Any) -> None:
        self._walk.attach(*self._walk.closing_writes(prefixes))

    plant("orchestrion.engine._strands:Strands.close", lambda _: lenient)
    assert found().wrong


def test_facts_lost_on_the_way_to_the_catch(plant: Plant) -> None:
    """As it was before the simulator: what a loop exported before it failed was gone."""

    def forgetful(self: Any, inner: Any) -> None:
        if inner.variables == self.variables:
            self.context = inner.context

    plant("orchestrion.interpreter._state:Strand.leave", lambda _: forgetful)
    assert says(
        found(), "where the document gives", "where the document says", "does not account", "nothing is recorded"
    )
