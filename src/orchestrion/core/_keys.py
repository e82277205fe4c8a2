"""Keys of entries: what stands below which, and what is finished, so that a recovered walk asks for none of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from ._json import Json

_NOWHERE = "\0"
"""A place with no key at or below it."""
_STEP = re.compile(r"[/~#!]")


def at_or_below(key: str, above: str) -> bool:
    """Whether `key` is `above`, one of its attempts or visits, or a place within it. Everything is below the empty key."""
    return key.startswith(above) and (len(key) == len(above) or not above or key[len(above)] in "/~#!")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Everything at or below one of `under` is finished, but for the scope row itself and what is at or below one of `live`."""

    under: Sequence[str]
    live: Sequence[str] = ()

    def to_json(self) -> dict[str, Json]:
        return {"under": list(self.under), "live": list(self.live)}

    @staticmethod
    def from_json(value: Json) -> "Finished | None":
        """What `to_json` wrote; None for the row of a release that did not say."""
        stored = cast("Mapping[str, Sequence[str]]", value if isinstance(value, Mapping) else {})
        return Finished(under=stored["under"], live=stored["live"]) if "under" in stored else None


class FinishedPlaces:
    """All that the scope rows of one run say. Keys are asked for in their order: what follows a finished one is mostly finished too."""

    def __init__(self, said: Mapping[str, Finished] | None = None) -> None:
        self._under: dict[str, list[tuple[str, Sequence[str]]]] = {}
        self._last = _NOWHERE
        for scope, finished in (said or {}).items():
            self.add(scope, finished)

    def add(self, scope: str, finished: Finished) -> None:
        for prefix in finished.under:
            self._under.setdefault(prefix, []).append((scope, finished.live))

    def __contains__(self, key: object) -> bool:
        text = str(key)
        if at_or_below(text, self._last):
            return True
        ends = [found.start() for found in _STEP.finditer(text)] + [len(text)]
        for end in ends:
            for scope, live in self._under.get(text[:end], ()):
                if text != scope and not any(at_or_below(text, place) for place in live):
                    self._last = self._finished_place(text, [at for at in ends if at > end] or ends[-1:], live, scope)
                    return True
        return False

    def _finished_place(self, key: str, ends: Sequence[int], live: Sequence[str], scope: str) -> str:
        """The outermost place around a finished key that holds nothing but what is finished by the same row."""
        kept = (*live, scope)
        places = (key[:end] for end in ends)
        return next((place for place in places if not any(at_or_below(each, place) for each in kept)), _NOWHERE)
