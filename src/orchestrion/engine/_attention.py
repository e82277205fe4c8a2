"""What a run that listens is offered: first the events it missed, then those it is told about, each once."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from orchestrion.core import Entry, EntryKind, Event, Json, Message, Put

if TYPE_CHECKING:
    from ._walk import Walk

PAGE = 100
"""Events read from the journal at once."""

Name = tuple[str, str]


@dataclass(slots=True)
class TaskMemory:
    """What a task has taken, on all its visits."""

    names: set[Name] = field(default_factory=set[Name])
    floor: int = 0
    """Every event of `types` up to this number has been taken."""
    types: Sequence[str] | None = ()
    settled: dict[str, int] = field(default_factory=dict[str, int])
    """Digest of what was listened for → every event up to this number has been taken, or can never be what was wanted."""

    def floor_for(self, types: Sequence[str] | None, digest: str) -> int:
        known = self.types is None or (types is not None and set(types) <= set(self.types))
        return max(self.floor if known else 0, self.settled.get(digest, 0))


class Memories:
    """What the tasks of a run have taken, read once from its entries."""

    def __init__(self, walk: "Walk") -> None:
        self._tasks: dict[str, TaskMemory] = {}
        self._inboxes: dict[str, int] = {}
        for entry in walk.entries.values():
            if entry.kind is EntryKind.EVENT:
                self.took(entry)
            elif entry.kind is EntryKind.LISTEN:
                self.listened(entry)

    def of(self, task: str) -> TaskMemory:
        return self._tasks.setdefault(task, TaskMemory())

    def inbox(self, listening: str) -> int:
        """The last message to this listener that needs no further look."""
        return self._inboxes.get(listening, 0)

    def took(self, entry: Entry) -> None:
        body, why = cast("Mapping[str, str]", entry.output), cast("Mapping[str, int]", entry.why)
        self.of(entry.task).names.add((body["source"], body["id"]))
        self._looked_at(entry.key.rpartition("/event/")[0], why["inbox"])

    def listened(self, entry: Entry) -> None:
        state = state_of(entry)
        memory = self.of(entry.task)
        if state.floor > memory.floor:
            memory.floor, memory.types = state.floor, state.types
        memory.settled[entry.digest] = max(state.settled, memory.settled.get(entry.digest, 0))
        self._looked_at(entry.key, state.inbox)

    def _looked_at(self, listening: str, inbox: int) -> None:
        self._inboxes[listening] = max(inbox, self._inboxes.get(listening, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenState:
    """What the entry of a listener remembers beside what it listens for."""

    attempt: int
    types: Sequence[str] | None
    looked: bool = False
    """Whether it has looked for everything that came before it."""
    floor: int = 0
    """Every event up to this number has been taken by the task."""
    settled: int = 0
    """Every event up to this number has been taken, or can never be what this listener wants."""
    inbox: int = 0

    def to_json(self) -> dict[str, Json]:
        return {
            "attempt": self.attempt,
            "types": None if self.types is None else list(self.types),
            "looked": self.looked,
            "floor": self.floor,
            "settled": self.settled,
            "inbox": self.inbox,
        }


def state_of(entry: Entry) -> ListenState:
    stored = cast("Mapping[str, int]", entry.output)
    return ListenState(
        attempt=stored["attempt"],
        types=cast("Sequence[str] | None", stored["types"]),
        looked=bool(stored["looked"]),
        floor=stored["floor"],
        settled=stored.get("settled", 0),
        inbox=stored["inbox"],
    )


class Attention:
    """One listener, while the run is in memory."""

    def __init__(self, walk: "Walk", key: str, task: str) -> None:
        self._walk = walk
        self._key = key
        self._memory = walk.memories.of(task)
        entry = walk.entries[key]
        state = state_of(entry)
        self._types = state.types
        self._looked = state.looked
        self._after = max(state.floor, state.settled, self._memory.floor_for(state.types, entry.digest))
        self._floor, self._settled = state.floor, max(state.settled, self._after)
        self._all_taken = self._after <= max(self._floor, self._memory.floor_for(state.types, ""))
        """Whether every event looked at so far has been taken."""
        self._all_settled = True
        """Whether every event looked at so far has been taken, or can never be wanted."""
        self._page: deque[Event] = deque()
        self._last_page = False
        self._seen: set[int] = set()
        self._loaded: dict[int, Event] = {}
        self.inbox = walk.memories.inbox(key)

    async def next(self) -> tuple[Event, bool] | None:
        """The next event not yet looked at, and whether nobody told of it; None when there is none for now."""
        if not self._looked:
            event = await self._earlier()
            if event is not None:
                return event, True
            self._looked = True
            self.keep()
        event = await self._told()
        return None if event is None else (event, False)

    def take(self, event: Event) -> None:
        """It is taken."""
        if not self._looked:
            self._pass(event)

    def refuse(self, event: Event, *, for_ever: bool) -> None:
        """It is not wanted now, which stays so while this listener listens; or can never be what it wants."""
        self._all_taken = False
        if not for_ever:
            self._all_settled = False
        elif not self._looked:
            self._pass(event)

    def _pass(self, event: Event) -> None:
        """Nothing up to this event needs another look."""
        if self._all_taken:
            self._floor = event.seq
        if self._all_settled:
            self._settled = event.seq

    def keep(self) -> None:
        """Remember with the next write how far it has looked."""
        entry = self._walk.entries[self._key]
        state = self.state(entry)
        if state != state_of(entry):
            self._walk.attach(Put(replace(entry, output=state.to_json())))

    def state(self, entry: Entry) -> ListenState:
        known = state_of(entry)
        return replace(known, looked=self._looked, floor=self._floor, settled=self._settled, inbox=self.inbox)

    async def _earlier(self) -> Event | None:
        """What was received since the run began."""
        while True:
            while self._page:
                event = self._page.popleft()
                self._after = event.seq
                self._seen.add(event.seq)
                if not self._is_taken(event):
                    return event
                self._pass(event)
            if self._last_page:
                return None
            found = await self._walk.journal.earlier(
                self._types, since=self._walk.run.created_at, after_seq=self._after, limit=PAGE
            )
            self._page.extend(found)
            self._last_page = len(found) < PAGE

    def _is_taken(self, event: Event) -> bool:
        return (event.source, event.id) in self._memory.names

    async def _told(self) -> Event | None:
        """What the run was told about."""
        queue = self._walk.told.get(self._key, deque[Message]())
        while queue:
            message = queue[0]
            body = cast("Mapping[str, str]", message.body)
            seq = cast("Mapping[str, int]", message.body)["seq"]
            known = message.seq <= self.inbox or seq in self._seen or (body["source"], body["id"]) in self._memory.names
            if not known and seq not in self._loaded:
                await self._load(queue)
            queue.popleft()
            self.inbox = max(self.inbox, message.seq)
            event = self._loaded.pop(seq, None)
            if not known and event is not None:
                self._seen.add(seq)
                return event
        return None

    async def _load(self, queue: Sequence[Message]) -> None:
        ahead = [cast("Mapping[str, int]", message.body)["seq"] for message, _ in zip(queue, range(PAGE), strict=False)]
        self._loaded.update({event.seq: event for event in await self._walk.journal.numbered(ahead)})
