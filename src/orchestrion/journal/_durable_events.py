"""Events in a database: the part of the durable journal that knows them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from orchestrion.core import Clock, Event, EventFilter, EventQuery, Gathered, Reached, Route, Woken
from orchestrion.store import Connection

from . import _event_rows as rows
from . import _event_transactions as transactions
from ._reader import Reader
from ._rows import Fetch, Large

T = TypeVar("T")


class DurableEvents:
    """Events of a store. The journal says how work gets to the writer."""

    _clock: Clock
    _reader: Reader
    _fetch: Fetch

    async def _do(self, work: Callable[[Connection], T], *, run_id: str = "", large: Large | None = None) -> T:
        raise NotImplementedError

    async def receive(self, event: Event) -> bool:
        large = Large()
        row = rows.event_row(event, large)
        return await self._do(transactions.receive(row), large=large)

    async def unrouted(self, limit: int) -> Sequence[Event]:
        return await self._reader.read(rows.unrouted(limit, self._fetch))

    async def interests(self, type_: str) -> Sequence[EventFilter]:
        return await self._reader.read(rows.interests(type_))

    async def gathered(self, trigger: str, correlation: str) -> Sequence[Gathered]:
        return await self._reader.read(rows.gathered(trigger, correlation))

    async def deliver(self, routes: Sequence[Route]) -> Sequence[Woken]:
        large = Large()
        return await self._do(transactions.deliver(routes, self._clock.now(), large), large=large)

    async def earlier(
        self, types: Sequence[str] | None, *, since: float, after_seq: int, limit: int
    ) -> Sequence[Event]:
        return await self._reader.read(rows.earlier(types, since, after_seq, limit, self._fetch))

    async def numbered(self, seqs: Sequence[int]) -> Sequence[Event]:
        return await self._reader.read(rows.numbered(seqs, self._fetch))

    async def event(self, source: str, id_: str) -> Event | None:
        return await self._reader.read(rows.named(source, id_, self._fetch))

    async def events(self, which: EventQuery) -> Sequence[Event]:
        return await self._reader.read(rows.listed(which, self._fetch))

    async def reached(self, seq: int) -> Sequence[Reached]:
        return await self._reader.read(rows.reached(seq))
