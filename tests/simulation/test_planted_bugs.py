"""A simulator that finds nothing proves nothing: bugs of every kind, planted one at a time, are found."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from orchestrion.core import (
    Answer,
    EntryKind,
    EntryStatus,
    OrchestrionError,
    Put,
    Request,
    RequestStatus,
    Run,
    RunStatus,
    Write,
)
from orchestrion.engine import _effects as effects
from orchestrion.engine import _walk as walk
from orchestrion.journal import MemoryJournal, _memory
from orchestrion.testing.simulation import Report, simulate

BUDGET = 400
"""Seeds; every test run tries five times as many."""


def found(seeds: int = BUDGET) -> Report:
    """The first simulation that goes wrong."""
    for seed in range(seeds):
        report = simulate(seed)
        if report.wrong:
            return report
    pytest.fail(f"{seeds} simulations, and none noticed")


def says(report: Report, *words: str) -> bool:
    return any(word in wrong for wrong in report.wrong for word in words)


def test_a_lost_write(monkeypatch: pytest.MonkeyPatch) -> None:
    original: Any = MemoryJournal._apply
    count = 0

    def forgetful(journal: MemoryJournal, held: Any, epoch: int, write: Write) -> None:
        nonlocal count
        if (
            isinstance(write, Put)
            and write.entry.kind is EntryKind.LEAF
            and write.entry.status is EntryStatus.COMPLETED
        ):
            count += 1
            if count % 5 == 0:
                return
        original(journal, held, epoch, write)

    monkeypatch.setattr(MemoryJournal, "_apply", forgetful)
    assert says(found(), "the journal holds something else than was committed", "performed again", "was overwritten")


def test_acting_before_the_write_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hasty(self: walk.Walk, *writes: Write) -> None:
        self.post(*writes)

    monkeypatch.setattr(walk.Walk, "commit", hasty)
    assert says(found(), "before its intent was durable")


def test_an_answer_consumed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(request: Request, answer: Answer, now: float) -> Request:
        return replace(request, status=RequestStatus.DECIDED, answer=answer)

    monkeypatch.setattr(_memory, "decided", forgetful)
    assert says(found(), "was answered twice", "does not account for")


def test_an_answer_taken_by_two_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    original: Any = walk.Walk.park
    last: dict[str, Any] = {}

    async def confused(self: walk.Walk, key: str | None, wake_at: float | None) -> Any:
        """Whoever asks about the same task again is given what was said the first time."""
        task = key.split("#")[0] if key is not None else None
        if task is not None and task in last:
            return last[task]
        message = await original(self, key, wake_at)
        if message is not None and message.kind == "answer" and task is not None:
            last[task] = message
        return message

    monkeypatch.setattr(walk.Walk, "park", confused)
    assert says(found(), "was taken at", "an answer that nobody gave")


def test_a_timer_that_begins_again_at_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    original: Any = effects.WalkEffects.sleep

    async def drifting(self: effects.WalkEffects, key: str, task: str, seconds: float) -> None:
        entry = self.walk.entries.get(key)
        if entry is not None and entry.status is EntryStatus.INTENT:
            self.walk.entries[key] = replace(entry, output={"until": self.walk.clock.now() + seconds})
        await original(self, key, task, seconds)

    monkeypatch.setattr(effects.WalkEffects, "sleep", drifting)
    assert says(found(), "moved its deadline", "which is not", "late", "stuck")


def test_a_deadline_that_is_late_without_saying_so(monkeypatch: pytest.MonkeyPatch) -> None:
    original: Any = walk.Walk.park

    async def late(self: walk.Walk, key: str | None, wake_at: float | None) -> Any:
        return await original(self, key, wake_at and wake_at + 3600)

    monkeypatch.setattr(walk.Walk, "park", late)
    assert says(found(), "late")


def test_a_cancel_that_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    original: Any = walk.Walk.end

    def deaf(self: walk.Walk, ending: walk.Ending) -> None:
        if ending is not walk.Ending.CANCELLED:
            original(self, ending)

    monkeypatch.setattr(walk.Walk, "end", deaf)
    assert says(found(), "a cancel was accepted", "stuck")


def test_a_cancel_that_is_acted_on_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def eager(self: Any, run_id: str, by: str) -> Run:
        held = self._held[run_id]
        held.run = replace(held.run, status=RunStatus.CANCELLED, cancel_requested_by=by)
        return held.run

    original: Any = MemoryJournal.cancel

    async def cancel(self: MemoryJournal, run_id: str, by: str) -> Run:
        try:
            return await original(self, run_id, by)
        except OrchestrionError:
            return await eager(self, run_id, by)

    monkeypatch.setattr(MemoryJournal, "cancel", cancel)
    assert says(found(), "it ended as")


def test_a_call_that_cannot_be_repeated_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrion.engine import _leaf

    async def careless(_: Any, __: Any, ___: Any, intent: Any) -> Any:
        return intent

    monkeypatch.setattr(_leaf, "_interrupted", careless)
    assert says(found(), "was performed 2 times")


def test_a_loser_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrion.engine import _strands

    async def lenient(self: Any, prefixes: Sequence[str]) -> None:
        self._walk.attach(*self._walk.closing_writes(prefixes))

    monkeypatch.setattr(_strands.Strands, "close", lenient)
    report = found()
    assert report.wrong


def test_context_lost_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrion.interpreter import _state

    def forgetful(self: Any, inner: Any) -> None:
        self.context = (
            inner.context if isinstance(inner.context.value, Mapping) and len(inner.context.value) < 2 else self.context
        )

    monkeypatch.setattr(_state.Strand, "leave", forgetful)
    assert says(
        found(), "where the document gives", "where the document says", "does not account", "nothing is recorded"
    )
