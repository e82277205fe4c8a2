"""Places: the keys of a journal read as paths of tasks, rounds, attempts, answers and tools."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from orchestrion.core import Entry

PlaceKind = Literal[
    "root", "task", "round", "attempt", "caught", "answer", "tool", "approval", "inquiry", "extension", "heard", "part"
]

_TASK = r"/(\d+)/(.+?)#(\d+)(?=[/!~]|$)"
_STEPS: tuple[tuple[re.Pattern[str], PlaceKind, str], ...] = (
    (re.compile(r"/fork/branches" + _TASK), "task", "/fork/branches/{0}/{1}"),
    (re.compile(r"/(before|after)/(\d+)/([^/#!]+)(?=/)"), "extension", "/use/extensions/{1}/{2}/{0}"),
    (re.compile(r"/do" + _TASK), "task", "/do/{0}/{1}"),
    (re.compile(_TASK), "task", "/{0}/{1}"),
    (re.compile(r"/call/()(.+?)#(\d+)(?=[/!~]|$)"), "task", "/use/functions/{1}"),
    (re.compile(r"/for/(\d+)(?=/)"), "round", "/do"),
    (re.compile(r"/try~(\d+)(?=/)"), "attempt", "/try"),
    (re.compile(r"/catch/do(?=/)"), "caught", "/catch/do"),
    (re.compile(r"/turn/\d+/model/(\d+)(?=[/!]|$)"), "answer", ""),
    (re.compile(r"/tool/(\d+)(?=[/!]|$)"), "tool", ""),
    (re.compile(r"/approval/(\d+)(?=[/!]|$)"), "approval", ""),
    (re.compile(r"/event/(\d+)(?=[/!]|$)"), "heard", "/foreach"),
    (re.compile(r"/interrupted/(\d+)(?=[/!]|$)"), "inquiry", ""),
)
"""How a key goes on: what matches, what it leads to, and how the task's pointer in the document goes on with it."""

_FACT = re.compile(
    r"/(if|started|began|deadline|jump|for|try|try/caught|replaced|join|fork/branches/join|fork/branches/\d+/done|answer|child|enter|end(?=$)|turn/\d+/dropped"
    r"|listening|done"
    r"|cancel|retry/\d+|fallback/\d+|(?:retry|jitter|failed|try)~\d+(?:/deadline|/jump)?|(?:do|catch/do|for/\d+)/jump)"
)
_MARK = re.compile(r"!(late|\d+)$")
_PART = re.compile(r"/([^/!]+)(?:/(\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands in a run."""

    kind: PlaceKind
    key: str
    pointer: str = ""
    """JSON pointer of the task it belongs to, with what leads to the list inside it."""
    name: str = ""
    number: int = 0
    """A task's position in its list or fork, a round's or answer's from 0, an attempt's from 1."""
    visit: int = 1


@dataclass(slots=True, kw_only=True)
class Node:
    """A place with everything the journal holds there, and the places inside it in the order they were reached."""

    place: Place
    born: int = 0
    """How many entries were written before the first one here."""
    facts: dict[str, Entry] = field(default_factory=dict[str, Entry])
    """Entries at the place itself (under "") and beside it: `if`, `deadline`, `answer` ..."""
    notes: list[tuple[str, str, Entry]] = field(default_factory=list[tuple[str, str, Entry]])
    """Entries set aside: the fact, the mark (`late`, or the attempt of the run), the entry."""
    inside: dict[str, "Node"] = field(default_factory=dict[str, "Node"])

    @property
    def own(self) -> Entry | None:
        return self.facts.get("")

    def every(self) -> "Iterable[Node]":
        yield self
        for node in self.inside.values():
            yield from node.every()


def places_of(key: str) -> tuple[list[Place], str, str]:
    """The places from outside in, the fact at the innermost, and the mark of something set aside."""
    mark = _MARK.search(key)
    whole = key[: mark.start()] if mark else key
    places: list[Place] = []
    at, pointer = 0, ""
    while at < len(whole):
        if _FACT.fullmatch(whole, at):
            return places, whole[at + 1 :], mark[1] if mark else ""
        place = _next(whole, at, pointer)
        places.append(place)
        at, pointer = len(place.key), place.pointer
    return places, "", mark[1] if mark else ""


def _next(key: str, at: int, pointer: str) -> Place:
    for pattern, kind, leads in _STEPS:
        found = pattern.match(key, at)
        if found is None:
            continue
        upto = key[: found.end()]
        if kind == "task":
            index, name, visit = found.groups()
            step = leads.format(index, name.replace("~", "~0").replace("/", "~1"))
            whole = step if step.startswith("/use/") else pointer + step
            return Place(kind=kind, key=upto, pointer=whole, name=name, number=int(index or 0), visit=int(visit))
        if kind == "extension":
            side, _, name = found.groups()
            return Place(kind=kind, key=upto, pointer=leads.format(*found.groups()), name=f"{name}, {side}")
        number = int(found[1]) if found.groups() else 0
        return Place(kind=kind, key=upto, pointer=pointer + leads, number=number)
    found = _PART.match(key, at)
    if found is None:
        return Place(kind="part", key=key, pointer=pointer, name=key[at:].strip("/"))
    return Place(kind="part", key=key[: found.end()], pointer=pointer, name=found[1], number=int(found[2] or 0))


def grow(entries: Iterable[Entry]) -> Node:
    """Everything of a run, nested by place."""
    root = Node(place=Place(kind="root", key=""))
    for number, entry in enumerate(entries):
        places, fact, mark = places_of(entry.key)
        node = root
        for place in places:
            node = node.inside.setdefault(place.key, Node(place=place, born=number))
        if mark:
            node.notes.append((fact, mark, entry))
        else:
            node.facts[fact] = entry
    return root
