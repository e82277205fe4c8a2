"""Watches a simulation from outside: every write as it becomes durable, every call as it begins."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from orchestrion.core import (
    Begin,
    Entry,
    EntryKind,
    EntryStatus,
    Invocation,
    Put,
    Run,
    RunStatus,
    SetRun,
    Write,
    at_or_below,
)

from ._world import NATURES, Performed

GRACE_S = 0.5
"""How long after a scope's end was committed calls may still begin in it: nobody has been told yet."""


@dataclass(slots=True)
class RunSeen:
    """One run, as its durable writes tell it."""

    id: str
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    first: dict[str, Entry] = field(default_factory=dict[str, Entry])
    committed_at: dict[str, float] = field(default_factory=dict[str, float])
    ended: bool = False
    status: RunStatus = RunStatus.PENDING
    """The last that a write gave it."""


@dataclass(slots=True)
class Watch:
    """Collects what must never happen. `wrong` stays empty in a correct simulation."""

    now: Callable[[], float]
    tell: Callable[[str], None]
    slack_s: float
    """How late a timer may ring while a process is there to hear it."""
    runs: dict[str, RunSeen] = field(default_factory=dict[str, RunSeen])
    wrong: list[str] = field(default_factory=list[str])
    awake_since: float = 0.0
    """Since when a process has been there, with nobody interfering."""

    def began(self, run: Run) -> None:
        self.runs.setdefault(run.id, RunSeen(run.id))

    @property
    def all_ended(self) -> bool:
        return bool(self.runs) and all(run.ended for run in self.runs.values())

    @property
    def listening(self) -> bool:
        """Whether any run waits for events."""
        return any(
            entry.kind is EntryKind.LISTEN and entry.status is EntryStatus.INTENT
            for run in self.runs.values()
            if not run.ended
            for entry in run.entries.values()
        )

    def refused(self) -> None:
        """The store took nothing: that a deadline had passed may be lost with it, and is noticed again."""
        self.awake_since = self.now()

    def tried_again(self, run: Run, entries: Sequence[Entry]) -> None:
        """A person set the run going again: part of its record became notes, part is open again."""
        seen, self.awake_since = self.runs[run.id], self.now()
        seen.ended, seen.status = run.status.ended, run.status
        seen.entries = {entry.key: entry for entry in entries}
        seen.first = {key: entry for key, entry in seen.first.items() if key in seen.entries}
        seen.committed_at = {key: seen.committed_at.get(key, self.now()) for key in seen.entries}

    # --- writes ---

    def wrote(self, run_id: str, writes: Sequence[Write]) -> None:
        """A transaction became durable."""
        seen = self.runs[run_id]
        for write in writes:
            match write:
                case Put(entry):
                    self._put(seen, entry)
                case SetRun(status=status) if status is not None:
                    if seen.ended:
                        self.wrong.append(f"run {run_id} ended twice")
                    seen.ended, seen.status = status.ended, status
                    self.tell(f"run {run_id} is {status}")
                case Begin(run):
                    self.began(run)
                case _:
                    pass

    def _put(self, seen: RunSeen, entry: Entry) -> None:
        self.tell(f"{seen.id} {entry.status} {entry.kind} {entry.key}")
        if seen.ended:
            self.wrong.append(f"{entry.key} was written after run {seen.id} had ended")
        before = seen.entries.get(entry.key)
        if before is not None:
            self._compare(before, entry)
        self._late(entry)
        seen.entries[entry.key] = entry
        seen.first.setdefault(entry.key, entry)
        seen.committed_at[entry.key] = self.now()

    def _late(self, entry: Entry) -> None:
        """Whoever is awake notices in time that a deadline has passed."""
        output = cast("Mapping[str, Any]", entry.output or {})
        if entry.kind not in {EntryKind.TIMER, EntryKind.CHOICE}:
            return
        if entry.kind is EntryKind.TIMER and entry.status is EntryStatus.COMPLETED:
            at = output["until"]
        elif entry.kind is EntryKind.CHOICE and output.get("first") == "deadline":
            at = output["at"]
        else:
            return
        late_s = (entry.ended_at or 0) - max(at, self.awake_since)
        if late_s > self.slack_s:
            self.wrong.append(f"{entry.key} rang {late_s:.1f} s late")

    def _compare(self, before: Entry, after: Entry) -> None:
        """What is over stays as it was; a deadline stays where it is."""
        if before.kind in {EntryKind.SCOPE, EntryKind.NOTE}:
            return
        if before.status is not EntryStatus.INTENT and (
            (before.status, before.output, before.problem) != (after.status, after.output, after.problem)
        ):
            self.wrong.append(f"{before.key} was {before.status}, and was overwritten as {after.status}")
        for name in ("until", "at"):
            if before.kind in {EntryKind.TIMER, EntryKind.CHOICE} and isinstance(before.output, Mapping):
                then = cast("Mapping[str, float]", before.output).get(name)
                now = cast("Mapping[str, float]", after.output).get(name)
                if then != now:
                    self.wrong.append(f"{before.key} moved its deadline from {then} to {now}")

    # --- calls ---

    def performs(self, call: Performed, invocation: Invocation) -> None:
        """A function is about to be performed."""
        self.tell(f"{call.run_id} performs {invocation.function} at {call.key}")
        seen = self.runs[call.run_id]
        if seen.ended:
            self.wrong.append(f"{call.key} was performed after its run had ended")
        entry = seen.entries.get(call.key)
        if entry is not None and entry.status is not EntryStatus.INTENT:
            self.wrong.append(f"{call.key} was performed again though it is {entry.status}")
        effect, _ = NATURES[invocation.function.partition(":")[0]]
        if effect == "write" and entry is None:
            self.wrong.append(f"{call.key} was performed before its intent was durable")
        for choice in seen.entries.values():
            if choice.kind is EntryKind.CHOICE and self._closes(choice, call.key, seen.committed_at[choice.key]):
                self.wrong.append(f"{call.key} was performed after {choice.key} had closed its scope")
                return

    def _closes(self, choice: Entry, key: str, committed_at: float) -> bool:
        """Whether a choice, known for a while, closed the scope in which a key lies."""
        place, _, word = choice.key.rpartition("/")
        output = cast("Mapping[str, object]", choice.output)
        if word == "deadline":
            closed = output.get("first") == "deadline" and at_or_below(key, place)
        elif word == "join":
            chosen = next(iter(output.values()))
            closed = key.startswith(f"{place}/") and not key.startswith(f"{place}/{chosen}/")
        else:
            return False
        return closed and self.now() - committed_at > GRACE_S
