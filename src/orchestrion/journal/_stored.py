"""Entries whose large values stay in the store until somebody asks, and do not stay in memory afterwards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrion.core import Entry, EntryStatus, Json, parse


class Reference:
    """A large value by its digest."""

    __slots__ = ("_fetch", "digest")

    def __init__(self, digest: str, fetch: Callable[[str], bytes]) -> None:
        self.digest = digest
        self._fetch = fetch

    def load(self) -> Any:
        """The value, read anew. Raises: BugError `blob-missing`, `blob-damaged`."""
        return parse(self._fetch(self.digest))


_SLOTS: dict[str, Any] = {name: getattr(Entry, name) for name in ("input", "output", "why")}


def held_by(entry: Entry, name: str) -> Any:
    """What an entry holds for its input, output or reasons: the value, or the reference to it."""
    return _SLOTS[name].__get__(entry)


def _by_reference(name: str) -> Any:
    slot = _SLOTS[name]

    def value(entry: Entry) -> Any:
        held = slot.__get__(entry)
        return held.load() if type(held) is Reference else held

    return property(value, slot.__set__)


class StoredEntry(Entry):
    """An entry whose input, output and reasons may be references; they read as values all the same."""

    __slots__ = ()

    input = _by_reference("input")
    output = _by_reference("output")
    why = _by_reference("why")

    def ended(
        self,
        status: EntryStatus,
        at: float,
        *,
        output: Json = None,
        labels: Mapping[str, Sequence[str]] | None = None,
        problem: Json = None,
        why: Json = None,
        cost: Json = None,
        model: str | None = None,
    ) -> Entry:
        """The entry with its outcome; its input is not read for that."""
        return replace(
            self,
            status=status,
            ended_at=at,
            input=held_by(self, "input"),
            output=output,
            labels=labels,
            problem=problem,
            why=held_by(self, "why") if why is None else why,
            cost=cost,
            model=model,
        )
