"""Entries whose large values stay in the store until somebody asks, and do not stay in memory afterwards."""

from collections.abc import Callable
from typing import Any

from orchestrion.core import Entry, parse


class Reference:
    """A large value by its digest."""

    __slots__ = ("_digest", "_fetch")

    def __init__(self, digest: str, fetch: Callable[[str], bytes]) -> None:
        self._digest = digest
        self._fetch = fetch

    def load(self) -> Any:
        """The value, read anew. Raises: BugError `blob-missing`, `blob-damaged`."""
        return parse(self._fetch(self._digest))


def _by_reference(name: str) -> Any:
    slot: Any = getattr(Entry, name)

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
