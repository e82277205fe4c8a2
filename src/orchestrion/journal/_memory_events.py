"""Events in memory: the part of the journal without a file that knows them."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestrion.core import (
    Event,
    EventFilter,
    EventQuery,
    Gathered,
    Interest,
    Message,
    Reached,
    Route,
    Run,
    Woken,
)

from ._rules import event_message

KEPT_EVENTS = 100_000
"""Events remembered at most. When there are more, the oldest that have been routed are forgotten, their ids with them."""


class MemoryEvents:
    """Events and who listens for them. `tell` and `begin` are what the journal does about runs."""

    def __init__(self, tell: Callable[[str, Message], Run | None], begin: Callable[[Run], bool]) -> None:
        self._tell = tell
        self._begin = begin
        self._seq = 0
        self._events: dict[int, Event] = {}
        self._names: dict[tuple[str, str], int] = {}
        self._types: defaultdict[str, list[int]] = defaultdict(list)
        self._unrouted: dict[int, None] = {}
        self._filters: dict[str, EventFilter] = {}
        self._listeners: defaultdict[str, dict[str | None, dict[tuple[str, str], None]]] = defaultdict(dict)
        """Digest of a filter → digest of the values expected → who listens."""
        self._listening: dict[tuple[str, str], Sequence[Interest]] = {}
        self._gathered: dict[tuple[str, str, int], Gathered] = {}
        self._reached: defaultdict[int, dict[tuple[str, str], None]] = defaultdict(dict)

    # receiving

    def receive(self, event: Event) -> bool:
        name = (event.source, event.id)
        if name in self._names:
            return False
        self._seq += 1
        self._names[name] = self._seq
        self._events[self._seq] = replace(event, seq=self._seq)
        self._types[event.type].append(self._seq)
        self._unrouted[self._seq] = None
        if len(self._events) > KEPT_EVENTS:
            self._forget_oldest()
        return True

    def _forget_oldest(self) -> None:
        oldest = next(iter(self._events))
        if oldest in self._unrouted:
            return
        event = self._events.pop(oldest)
        del self._names[event.source, event.id]
        del self._types[event.type][0]
        self._reached.pop(oldest, None)

    # listening

    def subscribe(self, run_id: str, key: str, interests: Sequence[Interest]) -> None:
        if (run_id, key) in self._listening:
            return
        self._listening[run_id, key] = interests
        for interest in interests:
            digest = interest.filter.digest
            self._filters[digest] = interest.filter
            self._listeners[digest].setdefault(interest.expected, {})[run_id, key] = None

    def unsubscribe(self, run_id: str, key: str) -> None:
        for interest in self._listening.pop((run_id, key), ()):
            digest = interest.filter.digest
            found = self._listeners.get(digest, {})
            group = found.get(interest.expected, {})
            group.pop((run_id, key), None)
            if not group:
                found.pop(interest.expected, None)
            if not found:
                self._listeners.pop(digest, None)
                self._filters.pop(digest, None)

    def unsubscribe_run(self, run_id: str) -> None:
        for listening in [name for name in self._listening if name[0] == run_id]:
            self.unsubscribe(*listening)

    def took(self, run_id: str, key: str, seq: int) -> None:
        if seq in self._events and self._reach(seq, run_id, key):
            self._events[seq] = replace(self._events[seq], deliveries=self._events[seq].deliveries + 1)

    def _reach(self, seq: int, run_id: str, key: str) -> bool:
        if (run_id, key) in self._reached[seq]:
            return False
        self._reached[seq][run_id, key] = None
        return True

    # routing

    def unrouted(self, limit: int) -> list[Event]:
        return [self._events[seq] for seq, _ in zip(self._unrouted, range(limit), strict=False)]

    def interests(self, type_: str) -> list[EventFilter]:
        return [each for each in self._filters.values() if each.type in {None, type_}]

    def gathered(self, trigger: str, correlation: str) -> list[Gathered]:
        found = [each for each in self._gathered.values() if (each.trigger, each.correlation) == (trigger, correlation)]
        return sorted(found, key=lambda each: each.place)

    def deliver(self, routes: Sequence[Route], now: float) -> list[Woken]:
        woken: dict[str, Woken] = {}
        for route in routes:
            event = route.event
            if event.seq not in self._unrouted:
                continue
            count = len(route.keep)
            for digest, expected in route.matches:
                for run_id, key in list(self._listeners.get(digest, {}).get(expected, {})):
                    count += self._told(event, run_id, key, woken)
            for start in route.starts:
                if self._begin(start.run):
                    count += 1
                    woken[start.run.id] = Woken(
                        run_id=start.run.id, root_id=start.run.root_id or start.run.id, started=True
                    )
                    for seq in start.seqs:
                        self._reach(seq, start.run.id, "")
            for kept in route.keep:
                self._gathered[kept.trigger, kept.correlation, kept.place] = kept
            for dropped in route.drop:
                self._gathered.pop((dropped.trigger, dropped.correlation, dropped.place), None)
            del self._unrouted[event.seq]
            known = self._events[event.seq]
            self._events[event.seq] = replace(
                known, routed_at=now, deliveries=known.deliveries + count, notes=route.notes
            )
        return list(woken.values())

    def _told(self, event: Event, run_id: str, key: str, woken: dict[str, Woken]) -> int:
        if not self._reach(event.seq, run_id, key):
            return 0
        run = self._tell(run_id, event_message(event, key))
        if run is not None:
            woken[run_id] = Woken(run_id=run_id, root_id=run.root_id or run_id)
        return 1

    # reading

    def earlier(self, types: Sequence[str] | None, since: float, after_seq: int, limit: int) -> list[Event]:
        lists = [list(self._events)] if types is None else [self._types.get(type_, []) for type_ in set(types)]
        found: list[Event] = []
        for seqs in lists:
            taken = 0
            for seq in seqs[bisect_right(seqs, after_seq) :]:
                if self._events[seq].received_at >= since:
                    found.append(self._events[seq])
                    taken += 1
                if taken == limit:
                    break
        return sorted(found, key=lambda event: event.seq)[:limit]

    def numbered(self, seqs: Sequence[int]) -> list[Event]:
        return [self._events[seq] for seq in sorted(set(seqs)) if seq in self._events]

    def event(self, source: str, id_: str) -> Event | None:
        seq = self._names.get((source, id_))
        return None if seq is None else self._events[seq]

    def events(self, which: EventQuery) -> list[Event]:
        return [event for event in reversed(self._events.values()) if _wanted(event, which)][: which.limit]

    def reached(self, seq: int) -> list[Reached]:
        return [Reached(run_id=run_id, key=key) for run_id, key in sorted(self._reached.get(seq, {}))]


def _wanted(event: Event, which: EventQuery) -> bool:
    nobody = event.deliveries == 0 and event.routed_at is not None
    return (
        (which.type is None or event.type == which.type)
        and (which.source is None or event.source == which.source)
        and (which.id is None or event.id == which.id)
        and (not which.unwanted or nobody or event.notes is not None)
        and (which.since is None or event.received_at >= which.since)
        and (which.before_seq is None or event.seq < which.before_seq)
    )
