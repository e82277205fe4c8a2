"""Findings as they are gathered, and the first checks of every value: its type, its fields, its references."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar, cast

from orchestrion.core import Json

from ._source import Finding, Severity, Source, finding_at
from ._template import pointer_step
from ._unsupported import UNSUPPORTED

Object = Mapping[str, Json]
T = TypeVar("T")

MAX_FINDINGS = 100
"""Of each severity: nobody reads more."""

_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (str, "text"),
    (int, "a whole number"),
    (float, "a number"),
    (Mapping, "an object"),
    (Sequence, "a list"),
)


def type_name(value: Json) -> str:
    """What a JSON value is, in a message."""
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "nothing")


def shown(value: Json) -> str:
    """A value in a message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that was probably meant."""
    by_lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name[:200].lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest of `known`."""
    near = nearest(name, known)
    return f"Did you mean {near!r}?" if near else None


class Report:
    """Gathers findings, each once, and answers with a usable value even where one is wrong."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.findings: list[Finding] = []
        self._seen: set[tuple[str, str, str]] = set()
        self._room: dict[Severity, int] = {"error": MAX_FINDINGS, "warning": MAX_FINDINGS}

    def error(self, at: str, code: str, message: str, hint: str | None = None, *, key: bool = False) -> None:
        self._add(at, code, message, hint, key=key, severity="error")

    def warn(self, at: str, code: str, message: str, hint: str | None = None, *, key: bool = False) -> None:
        self._add(at, code, message, hint, key=key, severity="warning")

    def unsupported(self, at: str, subject: str) -> None:
        refusal = UNSUPPORTED[subject]
        self.error(at, f"unsupported-{subject}", f"{refusal.what} is not supported.", refusal.instead, key=True)

    def unknown(self, at: str, code: str, what: str, name: str, known: Collection[str], *, none: str) -> None:
        """A name that refers to nothing. `none`: the hint when there is nothing to refer to."""
        listed = ", ".join(sorted(known)[:12])
        hint = did_you_mean(name, known) or (f"There are: {listed}." if listed else none)
        self.error(at, code, f"{what} {shown(name)} does not exist here.", hint)

    def object(self, value: Json, at: str) -> Object:
        return cast("Object", value) if isinstance(value, Mapping) else self._wrong(value, at, "an object", {})

    def list(self, value: Json, at: str) -> Sequence[Json]:
        if isinstance(value, Sequence) and not isinstance(value, str):
            return value
        return self._wrong(value, at, "a list", ())

    def text(self, value: Json, at: str) -> str:
        return value if isinstance(value, str) else self._wrong(value, at, "text", "")

    def boolean(self, value: Json, at: str) -> bool:
        return value if isinstance(value, bool) else self._wrong(value, at, "true or false", False)

    def integer(self, value: Json, at: str) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return self._wrong(value, at, "a whole number", 0)

    def choice(self, value: Json, at: str, known: Sequence[str]) -> str:
        text = self.text(value, at)
        if text and text not in known:
            self.error(at, "bad-value", f"{shown(text)} is not one of {', '.join(known)}.", did_you_mean(text, known))
        return text

    def single(self, value: Json, at: str, what: str) -> tuple[str, Json] | None:
        """The one entry of an object that must have exactly one."""
        entries = list(self.object(value, at).items())
        if len(entries) == 1:
            return entries[0]
        if isinstance(value, Mapping):
            hint = f"Write `- name:` and indent the {what} below it."
            self.error(
                at, "not-one-name", f"Each entry of this list is one named {what}; this has {len(entries)} names.", hint
            )
        return None

    def fields(self, value: Json, at: str, *, known: Collection[str], required: Sequence[str] = ()) -> Object:
        """The object at `at`, having reported the fields it lacks and those that do not belong.

        An object that does not stand in the source is a default: what it stands in is reported as lacking it.
        """
        found = self.object(value, at)
        for name in found:
            if name not in known:
                hint = did_you_mean(name, known) or f"Known here: {', '.join(sorted(known))}."
                self.error(
                    at + pointer_step(name), "unknown-field", f"{shown(name)} is not known here.", hint, key=True
                )
        missing = [name for name in required if name not in found]
        if missing and isinstance(value, Mapping) and self.source.node(at) is not None:
            for name in missing:
                self.error(at, "missing-field", f"`{name}` is missing.", f"Add `{name}:`.", key=True)
        return found

    def _wrong(self, value: Json, at: str, wanted: str, instead: T) -> T:
        hint = "Put it in quotes." if wanted == "text" and isinstance(value, int | float) else None
        self.error(at, "wrong-type", f"This must be {wanted}; it is {type_name(value)}.", hint)
        return instead

    def _add(self, at: str, code: str, message: str, hint: str | None, *, key: bool, severity: Severity) -> None:
        if (at, code, message) not in self._seen and self._room[severity] > 0:
            self._room[severity] -= 1
            self._seen.add((at, code, message))
            self.findings.append(finding_at(self.source, at, code, message, hint=hint, severity=severity, key=key))
