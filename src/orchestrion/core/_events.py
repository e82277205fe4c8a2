"""Events: what happened somewhere, who listens for what, and the journal's words about both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from ._json import Json, digest

if TYPE_CHECKING:
    from ._journal import Run

Place: TypeAlias = tuple[str, ...]
"""Where a value stands in a CloudEvent: ("source",), ("data", "order", "id")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A CloudEvent as the journal keeps it: once for each (source, id)."""

    source: str
    id: str
    type: str
    body: Mapping[str, Json]
    """The whole CloudEvent in its JSON format."""
    labels: Mapping[str, Sequence[str]] | None = None
    """Of the body, per JSON pointer."""
    received_at: float
    seq: int = 0
    """The order in which the journal received them; 0 before it did."""
    routed_at: float | None = None
    """When it was decided who hears of it; None as long as it was not."""
    deliveries: int = 0
    """How many runs were told of it, were started by it, or wait for others of its kind; 0 once routed: nobody wanted it."""
    notes: Json = None
    """What went wrong while it was routed: filters that could not be evaluated."""


@dataclass(frozen=True, kw_only=True)
class EventFilter:
    """Which events are wanted. Pure data, without what differs from run to run: runs that listen alike share one.

    What differs are the values to be found: at the places of `equal`, and as the results of `keys`.
    """

    type: str | None = None
    """None where the filter does not name one type."""
    literals: tuple[tuple[Place, Json], ...] = ()
    patterns: tuple[tuple[Place, str], ...] = ()
    """A regular expression for the whole of a text."""
    programs: tuple[tuple[Place, str, Mapping[str, Json]], ...] = ()
    """A jq program over the value at the place that must hold, and the variables it reads."""
    equal: tuple[Place, ...] = ()
    keys: tuple[tuple[str, Mapping[str, Json]], ...] = ()
    """jq programs over the whole event, and the variables they read."""

    def to_json(self) -> dict[str, Json]:
        return {
            "type": self.type,
            "literals": [[list(place), value] for place, value in self.literals],
            "patterns": [[list(place), pattern] for place, pattern in self.patterns],
            "programs": [[list(place), program, dict(variables)] for place, program, variables in self.programs],
            "equal": [list(place) for place in self.equal],
            "keys": [[program, dict(variables)] for program, variables in self.keys],
        }

    @staticmethod
    def from_json(value: Json) -> "EventFilter":
        """What `to_json` wrote."""
        stored = cast("Mapping[str, Sequence[Sequence[Json]]]", value)
        return EventFilter(
            type=cast("str | None", stored["type"]),
            literals=tuple((_place(place), literal) for place, literal in stored["literals"]),
            patterns=tuple((_place(place), cast("str", pattern)) for place, pattern in stored["patterns"]),
            programs=tuple(
                (_place(place), cast("str", program), cast("Mapping[str, Json]", variables))
                for place, program, variables in stored["programs"]
            ),
            equal=tuple(_place(place) for place in stored["equal"]),
            keys=tuple(
                (cast("str", program), cast("Mapping[str, Json]", variables)) for program, variables in stored["keys"]
            ),
        )

    @cached_property
    def digest(self) -> str:
        return digest(self.to_json())

    @property
    def discerns(self) -> bool:
        """Whether runs that share the filter tell their events apart by values."""
        return bool(self.equal or self.keys)


def _place(value: Json) -> Place:
    return tuple(cast("Sequence[str]", value))


def expectation(values: Sequence[Json]) -> str:
    """What identifies the values a run expects: 1 and 1.0 are the same number."""
    return digest([_normal(value) for value in values])


def _normal(value: Json) -> Json:
    match value:
        case float() if value.is_integer():
            return int(value)
        case Mapping():
            return {name: _normal(inner) for name, inner in value.items()}
        case str():
            return value
        case Sequence():
            return [_normal(inner) for inner in value]
        case _:
            return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest:
    """What one listener wants: a filter, and the digest of the values it expects; None where every match is for it."""

    filter: EventFilter
    expected: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumed:
    """An event that a listener took, with what the interpreter noted about it then."""

    body: Mapping[str, Json]
    labels: Mapping[str, Sequence[str]] | None
    note: Json


# --- writes of a run ---


@dataclass(frozen=True, slots=True)
class Publish:
    """Receive an event of the run's own; one already known changes nothing."""

    event: Event


@dataclass(frozen=True, slots=True)
class Subscribe:
    """The run listens at `key` from now on; doing it again changes nothing."""

    key: str
    interests: Sequence[Interest]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """The run does not listen at `key` any more."""

    key: str


@dataclass(frozen=True, slots=True)
class Took:
    """The run found an event by looking back, which nobody had told it about."""

    key: str
    seq: int


# --- routing ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """An event that waits for others before they start a run together.

    Where several events wait for the same place, the first has `place`, the next `place` + the number of places, and so on.
    """

    trigger: str
    correlation: str
    place: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A run to be started by events."""

    run: "Run"
    seqs: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Who is to hear of one event."""

    event: Event
    matches: Sequence[tuple[str, str | None]] = ()
    """Digest of a filter, and the digest of the values found; None tells everyone who shares the filter."""
    starts: Sequence[Start] = ()
    keep: Sequence[Gathered] = ()
    drop: Sequence[Gathered] = ()
    notes: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """A run that has news, and the root of the tree it belongs to."""

    run_id: str
    root_id: str
    started: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events to list; newest first."""

    type: str | None = None
    source: str | None = None
    id: str | None = None
    unwanted: bool = False
    """Only those that nobody wanted, and those some filter could not be evaluated for."""
    since: float | None = None
    limit: int = 50
    before_seq: int | None = None
    """Cursor: only events received before this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A run that an event reached: told at a listener's key, or started (the empty key)."""

    run_id: str
    key: str = ""


class EventLog(Protocol):
    """What a journal keeps of events. One suite tests every implementation."""

    async def receive(self, event: Event) -> bool:
        """Keep an event from outside; False when (source, id) is known already. Raises: UserError for what cannot be stored."""
        ...

    async def unrouted(self, limit: int) -> Sequence[Event]:
        """Events about which nothing was decided yet, oldest first."""
        ...

    async def interests(self, type_: str) -> Sequence[EventFilter]:
        """The filters that somebody listens with and that could want an event of this type."""
        ...

    async def gathered(self, trigger: str, correlation: str) -> Sequence[Gathered]:
        """What waits for others, by place."""
        ...

    async def deliver(self, routes: Sequence[Route]) -> Sequence[Woken]:
        """Carry out what was decided, in one transaction; an event routed already is left alone. Returns who has news."""
        ...

    async def earlier(
        self, types: Sequence[str] | None, *, since: float, after_seq: int, limit: int
    ) -> Sequence[Event]:
        """Events received since then, oldest first. `types`: None for all."""
        ...

    async def numbered(self, seqs: Sequence[int]) -> Sequence[Event]:
        """The events with these numbers, oldest first; a number that is gone is left out."""
        ...

    async def event(self, source: str, id_: str) -> Event | None: ...

    async def events(self, which: EventQuery) -> Sequence[Event]: ...

    async def reached(self, seq: int) -> Sequence[Reached]:
        """The runs that an event reached."""
        ...
