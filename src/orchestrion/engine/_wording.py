"""What differs between two values, and whether it is more than how something is put."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrion.core import Json
from orchestrion.spec import pointer_step

INSTRUCTIONS = frozenset({"statement"})
"""Arguments that say what is done, not what about: with other words, something else is done."""
_ABSENT: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """One place where two values differ."""

    pointer: str
    before: Json
    after: Json
    wording: bool
    """Whether a person reads it: both are texts, and one has several words. Others are names, numbers, ids."""


def differing(before: Json, after: Json, at: str = "") -> Iterator[Differing]:
    """The innermost places where they differ, in order. What one of them has not counts as null."""
    match before, after:
        case Mapping(), Mapping():
            for name in dict.fromkeys([*before, *after]):
                yield from differing(before.get(name, _ABSENT), after.get(name, _ABSENT), at + pointer_step(name))
        case (list() | tuple(), list() | tuple()) if len(before) == len(after):
            for number, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from differing(one, other, f"{at}/{number}")
        case _ if before != after or isinstance(before, bool) is not isinstance(after, bool):
            yield Differing(pointer=at, before=before, after=after, wording=_wording(before, after, at))
        case _:
            return


def only_wording(before: Json, after: Json) -> bool:
    """Whether they say the same in other words, or are the same."""
    return all(each.wording for each in differing(before, after))


def _wording(before: Json, after: Json, at: str) -> bool:
    if not (isinstance(before, str) and isinstance(after, str)) or at.rpartition("/")[2] in INSTRUCTIONS:
        return False
    return bool(before and after) and any(len(each.split()) > 1 for each in (before, after))
