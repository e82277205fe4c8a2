"""Routing: of every event it is decided once who hears of it, in the process that owns the store."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from orchestrion.core import (
    BugError,
    Event,
    EventFilter,
    Gathered,
    Journal,
    Json,
    OrchestrionError,
    Route,
    Run,
    Start,
    TransientError,
    UserError,
    Woken,
    expectation,
)

log = logging.getLogger(__name__)

RETRY_STORE_S = 1.0
AT_ONCE = 100
"""Events routed in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """An event fits what starts a workflow."""

    trigger: str
    """Digest of the document."""
    start: Callable[[Sequence[Event]], Awaitable[Run]]
    """A pending run with these events as its input; the same events always give the same start key."""
    places: int = 1
    """How many events start a run together."""
    options: Sequence[tuple[int, str]] = ()
    """The places it fits, each with the digest of the values by which events belong together."""


class Routing(Protocol):
    """What the engine cannot know by itself: whether an event fits, and what it starts."""

    async def values(self, wanted: EventFilter, event: Event) -> Sequence[Json] | None:
        """The values that runs sharing the filter tell events apart by; None when it does not fit.

        Raises: OrchestrionError when the filter cannot be evaluated.
        """
        ...

    async def fits(self, event: Event) -> tuple[Sequence[Fit], Sequence[str]]:
        """What the event starts, and what went wrong while that was found out."""
        ...


class Rounds:
    """Rounds of routing, one at a time: each goes on until nothing is unrouted."""

    def __init__(
        self, router: "Router | None", *, broke: Callable[[OrchestrionError], None], done: Callable[[], None]
    ) -> None:
        self._router = router
        self._broke = broke
        self._done = done
        self._again = False
        self._stopped = False
        self.task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """Route what was received. Something may have come while the last look was on its way: then look again."""
        if self._router is None or self._stopped:
            return
        self._again = True
        if self.task is None:
            self.task = asyncio.ensure_future(self._route(self._router))

    async def stop(self, timeout_s: float) -> None:
        """Begin no more, and let the one in hand finish."""
        self._stopped = True
        if self.task is not None:
            await asyncio.wait([self.task], timeout=timeout_s)

    async def _route(self, router: "Router") -> None:
        try:
            while self._again and not self._stopped:
                self._again = False
                await router.route_all()
        except TransientError as error:
            log.warning("Events wait to be routed: %s", error)
            asyncio.get_running_loop().call_later(RETRY_STORE_S, self.soon)
        except OrchestrionError as error:
            self._broke(error)
        except Exception as error:
            log.exception("Events cannot be routed")
            self._broke(BugError("engine-broke", f"The engine failed to route an event: {type(error).__name__}."))
        finally:
            self.task = None
            self._done()


class Router:
    """Routes what is not routed yet, one event after the other."""

    def __init__(self, journal: Journal, routing: Routing, tell: Callable[[Sequence[Woken]], None]) -> None:
        self._journal = journal
        self._routing = routing
        self._tell = tell

    async def route_all(self) -> None:
        """Until nothing is unrouted. Raises: OrchestrionError from the journal."""
        while events := await self._journal.unrouted(AT_ONCE):
            decided: list[Route] = []
            for event in events:
                route, fits = await self._decide(event)
                if all(fit.places == 1 for fit in fits):
                    decided.append(await self._with_starts(route, fits))
                    continue
                await self._deliver(decided)
                decided = []
                await self._deliver([await self._with_starts(route, fits)])
            await self._deliver(decided)

    async def _deliver(self, routes: Sequence[Route]) -> None:
        """All together; if one starts a run that cannot be stored, each alone, and that one without its runs."""
        if not routes:
            return
        try:
            self._tell(await self._journal.deliver(routes))
        except UserError as error:
            if len(routes) > 1:
                for route in routes:
                    await self._deliver([route])
            elif routes[0].starts:
                await self._deliver([_without_starts(routes[0], error)])
            else:
                raise

    async def _decide(self, event: Event) -> tuple[Route, Sequence[Fit]]:
        matches: list[tuple[str, str | None]] = []
        notes: list[Json] = []
        for wanted in await self._journal.interests(event.type):
            try:
                values = await self._routing.values(wanted, event)
            except OrchestrionError as error:
                notes.append({"filter": wanted.to_json(), "problem": error.message})
                continue
            if values is not None:
                matches.append((wanted.digest, expectation(values) if wanted.discerns else None))
        fits, wrong = await self._routing.fits(event)
        notes += [{"problem": problem} for problem in wrong]
        for note in notes:
            log.warning("Event %s of %s: a filter could not be evaluated: %s", event.id, event.source, note)
        return Route(event=event, matches=matches, notes=notes or None), fits

    async def _with_starts(self, route: Route, fits: Sequence[Fit]) -> Route:
        """The route with the runs it starts, and what is kept until there are enough events."""
        starts: list[Start] = []
        keep: list[Gathered] = []
        drop: list[Gathered] = []
        notes: list[Json] = []
        for fit in fits:
            if fit.places == 1:
                starts += await self._start(fit, [route.event], notes)
                continue
            own, others = await self._gathered(fit, route.event)
            if len(others) < fit.places - 1:
                keep.append(own)
                continue
            events = {event.seq: event for event in await self._journal.numbered([each.seq for each in others])}
            events[route.event.seq] = route.event
            together = [events[seq] for seq in sorted({*(each.seq for each in others), own.seq}) if seq in events]
            starts += await self._start(fit, together, notes)
            drop += others
        return replace(route, starts=starts, keep=keep, drop=drop, notes=[*_listed(route.notes), *notes] or None)

    async def _start(self, fit: Fit, events: Sequence[Event], notes: list[Json]) -> list[Start]:
        """The run they start; none, and a note, when there cannot be one."""
        try:
            return [Start(run=await fit.start(events), seqs=[event.seq for event in events])]
        except UserError as error:
            log.warning("Event %s of %s starts no run: %s", events[-1].id, events[-1].source, error)
            notes.append({"problem": error.message})
            return []

    async def _gathered(self, fit: Fit, event: Event) -> tuple[Gathered, Sequence[Gathered]]:
        """Where the event stands, and what waits in the same round. Events for one place wait for a round each."""
        found: list[tuple[int, Gathered, Sequence[Gathered]]] = []
        for place, correlation in fit.options:
            known = await self._journal.gathered(fit.trigger, correlation)
            rounds = [each.place // fit.places for each in known]
            mine = [each.place // fit.places for each in known if each.place % fit.places == place]
            number = max(mine) + 1 if mine else min(rounds, default=0)
            own = Gathered(
                trigger=fit.trigger, correlation=correlation, place=number * fit.places + place, seq=event.seq
            )
            found.append((number, own, [each for each in known if each.place // fit.places == number]))
        _, own, others = min(found, key=lambda each: each[0])
        return own, others


def _without_starts(route: Route, error: UserError) -> Route:
    event = route.event
    log.warning("Event %s of %s starts no run: %s", event.id, event.source, error)
    return replace(route, starts=(), notes=[*_listed(route.notes), {"problem": error.message}])


def _listed(notes: Json) -> Sequence[Json]:
    return notes if isinstance(notes, Sequence) and not isinstance(notes, str) else ()
