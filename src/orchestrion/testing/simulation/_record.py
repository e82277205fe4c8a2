"""The record of one run as the model reads it, and what reading it can come to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from orchestrion.core import Entry, EntryKind, EntryStatus, Json

from ._generate import ERROR_BASE

_LEFT = re.compile(r"/(jitter|failed)~\d+$")


class Wrong(Exception):
    """The record cannot come from this document."""


class Raised(Exception):
    """A workflow error on its way to a `catch`."""

    def __init__(self, kind: str, status: int, instance: str) -> None:
        super().__init__(f"{kind} {status} at {instance}")
        self.type = ERROR_BASE + kind if "/" not in kind and ":" not in kind else kind
        self.status = status
        self.instance = instance

    @property
    def facts(self) -> list[Json]:
        return [self.type, self.status, self.instance]


class Stopped(Exception):
    """The record of a closed scope ends here."""


@dataclass(slots=True)
class Record:
    """The journal of one run, and which of its entries the walk has visited."""

    entries: Mapping[str, Entry]
    first: Mapping[str, Entry]
    """Each entry as it was first written."""
    visited: set[str] = field(default_factory=set[str])

    def take(self, key: str, kind: EntryKind, *, partial: bool) -> Entry:
        """The entry at a key. Raises: Stopped where a closed scope's record may end; Wrong."""
        entry = self.entries.get(key)
        if entry is None:
            if partial:
                raise Stopped
            raise Wrong(f"nothing is recorded at {key}, where a {kind} must stand")
        if entry.kind is not kind:
            raise Wrong(f"{key} holds a {entry.kind}, not a {kind}")
        self.visited.add(key)
        if entry.status is EntryStatus.ABANDONED or (entry.status is EntryStatus.INTENT and partial):
            if not partial:
                raise Wrong(f"{key} was abandoned, in a scope that never closed")
            raise Stopped
        return entry

    def choice(self, key: str) -> Mapping[str, Any] | None:
        """What was decided at a key, if it was."""
        entry = self.entries.get(key)
        if entry is None:
            return None
        if entry.kind is not EntryKind.CHOICE:
            raise Wrong(f"{key} holds a {entry.kind}, not a choice")
        self.visited.add(key)
        return cast("Mapping[str, Any]", entry.output)

    def unvisited(self, *, tried_again: bool) -> list[str]:
        """Entries that nothing in the document accounts for.

        What a failed attempt recorded about its own failure stays where it is when a person sets the run going again.
        """
        apart = {EntryKind.NOTE, EntryKind.SCOPE}
        return [
            key
            for key, entry in self.entries.items()
            if key not in self.visited
            and entry.kind not in apart
            and key != "/cancel"
            and not (tried_again and _LEFT.search(key))
        ]


@dataclass(slots=True)
class Line:
    """One line of execution. A closed scope's line is walked only as far as its record goes."""

    context: Json = None
    partial: bool = False
    since: float = 0.0
    """When the last step was over: nothing of the next may have happened before."""

    def beside(self, *, partial: bool) -> "Line":
        """A line that starts where this one is."""
        return Line(self.context, partial or self.partial, self.since)


@dataclass(frozen=True, slots=True)
class Scope:
    """What expressions see beside `.` and `$context`."""

    input: Json
    variables: Mapping[str, Json] = field(default_factory=dict[str, Json])
