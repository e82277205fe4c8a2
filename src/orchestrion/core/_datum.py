"""A value with its labels: what is known about where data came from and what it holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast

from ._json import Json

Labels = Mapping[str, frozenset[str]]
"""JSON pointer of a part → its labels (`untrusted`, `pii`, `tenant:…`). A label on a part holds for all below it."""

NO_LABELS: Labels = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Datum:
    """A JSON value and its labels per path."""

    value: Json = None
    labels: Labels = field(default_factory=lambda: NO_LABELS)

    def every_label(self) -> frozenset[str]:
        """All labels that stand anywhere on the value."""
        return frozenset[str]().union(*self.labels.values()) if self.labels else frozenset()

    def labelled(self, *labels: str) -> "Datum":
        """The same value with labels added to the whole of it."""
        return Datum(self.value, merge_labels([self.labels, {"": frozenset(labels)}]))

    def part(self, pointer: str) -> Labels:
        """The labels that a value taken from `pointer` carries with it, re-rooted."""
        return sub_labels(self.labels, pointer)


def sub_labels(labels: Labels, pointer: str) -> Labels:
    """Labels of the part at `pointer`: those on it and above it at its root, those below it where they stand."""
    found: dict[str, frozenset[str]] = {}
    for path, names in labels.items():
        if pointer == path or pointer.startswith(path + "/"):
            found[""] = found.get("", frozenset()) | names
        elif path.startswith(pointer + "/"):
            found[path[len(pointer) :]] = names
    return found or NO_LABELS


def move_labels(labels: Labels, pointer: str) -> Labels:
    """The same labels for a value that now stands at `pointer` of a larger one."""
    return {pointer + path: names for path, names in labels.items()} if labels else NO_LABELS


def merge_labels(several: Iterable[Labels]) -> Labels:
    """All labels of several mappings together."""
    found: dict[str, frozenset[str]] = {}
    for labels in several:
        for path, names in labels.items():
            found[path] = found.get(path, frozenset()) | names
    return found or NO_LABELS


def labels_json(labels: Labels) -> dict[str, Json]:
    """Labels as JSON, in an order that does not vary."""
    return {path: list[Json](sorted(names)) for path, names in sorted(labels.items())}


def labels_from(value: Json) -> Labels:
    """The labels that `labels_json` wrote."""
    return (
        {path: frozenset(cast("Sequence[str]", names)) for path, names in value.items()}
        if isinstance(value, Mapping)
        else NO_LABELS
    )
