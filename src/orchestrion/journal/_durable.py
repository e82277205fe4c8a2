"""The journal in a database: what it acknowledges has reached the disk."""

import asyncio
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar, cast

from orchestrion.core import (
    Answer,
    BugError,
    Clock,
    Entry,
    History,
    Json,
    Message,
    OpenRuns,
    Put,
    Quarantined,
    Removed,
    Request,
    RequestStatus,
    Retention,
    Run,
    RunFilter,
    RunStatus,
    ScheduleState,
    Write,
    Written,
)
from orchestrion.store import REFERRING, Connection, Store

from . import _queries as queries
from . import _schedules as schedules
from . import _sql as sql
from . import _transactions as transactions
from ._durable_events import DurableEvents
from ._reader import Reader
from ._retention import Sweep, collect_blobs
from ._rows import Large, entry_row, late_row, quarantined_row, run_row, stored_entry
from ._transactions import Later
from ._writer import Job, Step, Writer

T = TypeVar("T")

REGAIN_S = 0.05
"""How often a process that waits for its lease looks at it."""


class DurableJournal(DurableEvents):
    """A `Journal` over a `Store`. Any number of processes may read and answer; only the store's owner walks runs.

    `on_death` is called, on the writer's thread, when the database has failed for good: every waiter has then been told, and the
    process should stop.
    """

    def __init__(self, store: Store, clock: Clock, *, on_death: Callable[[BaseException], None] | None = None) -> None:
        self._store = store
        self._clock = clock
        self._writer = Writer(store, on_death)
        self._reader = Reader(store)
        self._written = itertools.count(1)
        self._fetch = store.blobs.get

    async def _do(
        self,
        work: Callable[[Connection], T | Later[T]],
        *,
        run_id: str = "",
        large: Large | None = None,
        unfenced: bool = False,
    ) -> T:
        job = Job(run_id=run_id, work=work, large=large, unfenced=unfenced)
        queued = self._writer.submit(job)
        queued.add_done_callback(_noticed)
        return cast("T", await asyncio.shield(queued))

    # documents

    async def keep_document(self, digest: str, source: str) -> None:
        await self._do(transactions.inserts(sql.KEEP_DOCUMENT, [(digest, source, self._clock.now())]))

    async def document(self, digest: str) -> str:
        return await self._reader.read(queries.document(digest))

    # starting

    async def start(self, run: Run) -> Run:
        return await self.copy(run, ())

    async def copy(self, run: Run, entries: Sequence[Entry]) -> Run:
        large = Large()
        row = run_row(run, large)
        rows = [entry_row(run.id, entry, entry.epoch, place, large) for place, entry in enumerate(entries)]
        begin = transactions.copy(row, rows, self._fetch) if rows else transactions.start(row, self._fetch)
        return await self._do(begin, run_id=run.id, large=large) or run

    # walking

    async def claim(self, run_id: str) -> History | None:
        self._require_owner()
        claimed = await self._do(transactions.claim(run_id, self._fetch), run_id=run_id)
        if claimed is None:
            return None
        run, has_history = claimed
        if not has_history:
            return History(run=run, entries={}, messages=())
        return await self._reader.read(queries.history(run_id, self._fetch))

    def _require_owner(self) -> None:
        if self._store.mode != "own":
            raise BugError("not-the-owner", "A process that only joined the store may not advance its runs.")

    def write(self, run_id: str, epoch: int, writes: Sequence[Write]) -> Written:
        large: Large = Large()
        try:
            steps = [self._step(run_id, epoch, write, large) for write in writes]
        except Exception as error:
            refused = Written(loop=asyncio.get_running_loop())
            refused.set_exception(error)
            return refused
        job = Job(run_id=run_id, epoch=epoch, steps=steps, large=large if large.contents else None)
        written = cast("Written", self._writer.submit(job))
        if large.contents:
            rows = [row for row in steps if not callable(row) and row[-1] is not None]
            written.kept = [stored_entry((row[1], *row[3:]), self._fetch) for row in rows]
        return written

    def _step(self, run_id: str, epoch: int, write: Write, large: Large) -> Step:
        if isinstance(write, Put):
            return entry_row(run_id, write.entry, epoch, (epoch << 32) + next(self._written), large)
        return transactions.step_of(run_id, write, large, self._clock.now())

    async def rest(self, run_id: str, epoch: int, *, seen_seq: int, wake_at: float | None) -> bool:
        return await self._do(transactions.rest(run_id, epoch, seen_seq, wake_at), run_id=run_id)

    async def inbox(self, run_id: str, after_seq: int) -> Sequence[Message]:
        return await self._reader.read(queries.inbox(run_id, after_seq, self._fetch))

    async def runnable(self, now: float, limit: int) -> Sequence[str]:
        return await self._reader.read(queries.runnable(now, limit))

    async def next_wake(self) -> float | None:
        return await self._reader.read(queries.next_wake)

    async def release(self, run_id: str | None = None) -> Sequence[str]:
        self._require_owner()
        return await self._do(transactions.release(run_id))

    async def open_semantics(self) -> Mapping[int, OpenRuns]:
        return await self._reader.read(queries.open_semantics)

    async def foreign_change(self) -> bool:
        return bool(await self._writer.look())

    # schedules

    async def schedules(self) -> Sequence[ScheduleState]:
        return await self._reader.read(schedules.schedules)

    async def reschedule(self, state: ScheduleState, runs: Sequence[Run] = ()) -> Sequence[Run] | None:
        if runs:
            self._require_owner()
        large = Large()
        rows = [run_row(run, large) for run in runs]
        known = await self._do(schedules.reschedule(state, rows, self._fetch), large=large)
        return None if known is None else [before or run for before, run in zip(known, runs, strict=True)]

    # leading

    def leading(self) -> bool:
        return self._store.leading()

    async def regain(self) -> bool:
        while not self._store.leading():
            if self._store.lost:
                return False
            await asyncio.sleep(REGAIN_S)
        return True

    def when_deposed(self, tell: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._store.when_lost(lambda: _call(loop, tell))

    # people

    async def answer(self, request_id: str, answer: Answer) -> Request:
        return await self._do(transactions.answer(request_id, answer, self._clock.now(), self._store.blobs))

    async def cancel(self, run_id: str, by: str) -> Run:
        return await self._do(transactions.cancel(run_id, by, self._clock.now(), self._fetch))

    async def retry(self, run_id: str, by: str) -> Run:
        return await self._do(transactions.retry(run_id, by, self._clock.now(), self._fetch))

    # reading

    async def run(self, run_id: str) -> Run | None:
        return await self._reader.read(queries.run(run_id, self._fetch))

    async def find(self, fragment: str) -> Sequence[str]:
        return await self._reader.read(queries.find(fragment))

    async def runs(self, which: RunFilter) -> Sequence[Run]:
        return await self._reader.read(queries.listed(which, self._fetch))

    async def count(self, *, batch: str | None = None, ended: bool = True) -> Mapping[RunStatus, int]:
        return await self._reader.read(queries.count(batch, ended=ended))

    async def completed_rows(self, batch: str) -> Collection[int]:
        return await self._reader.read(queries.completed_rows(batch))

    async def entries(self, run_id: str) -> Sequence[Entry]:
        return await self._reader.read(queries.entries(run_id, self._fetch))

    async def changes(
        self, run_id: str, after: int, *, also: Sequence[int] = (), limit: int = 1000
    ) -> Sequence[tuple[int, Entry]]:
        """Entries and their places in the order of first writes: those after a place, and those at others. Large values are read
        when they are asked for.
        """
        return await self._reader.read(queries.changes(run_id, after, also, limit, self._fetch))

    async def spent(self, run_id: str) -> Json:
        return await self._reader.read(queries.spent(run_id))

    async def requests(
        self, *, run_id: str | None = None, status: RequestStatus | None = None, limit: int | None = None
    ) -> Sequence[Request]:
        return await self._reader.read(queries.asked(run_id, status, limit, self._fetch))

    async def request(self, request_id: str) -> Request | None:
        return await self._reader.read(queries.request(request_id, self._fetch))

    async def quarantine(self, rows: Sequence[Quarantined]) -> None:
        large = Large()
        values = [quarantined_row(row, large) for row in rows]
        await self._do(transactions.inserts(sql.QUARANTINE, values), large=large)

    async def quarantined(self, batch: str) -> Sequence[Quarantined]:
        return await self._reader.read(queries.quarantined(batch, self._fetch))

    async def late(self, run_id: str, entry: Entry) -> None:
        large = Large()
        row = late_row(run_id, entry, large)
        await self._do(transactions.late(run_id, row), run_id=run_id, large=large, unfenced=True)

    async def late_outcomes(self, run_id: str) -> Sequence[Entry]:
        return await self._reader.read(queries.late_outcomes(run_id, self._fetch))

    # keeping house

    async def expirable(self, policy: Retention) -> Removed:
        """What `retain` would remove now."""
        return await Sweep(self, policy, self._clock).counted()

    async def retain(self, policy: Retention) -> Removed:
        """Remove what is older than the policy keeps it, in pieces that running work does not feel."""
        removed = await Sweep(self, policy, self._clock).removed()
        return replace(removed, blobs=await self.collect_blobs())

    async def collect_blobs(self) -> int:
        """Remove large values that nothing refers to any more and that are older than a day; how many."""
        return await collect_blobs(self, self._store.blobs, [table.name for table in REFERRING])

    async def look(self, work: Callable[[Connection], T]) -> T:
        """Run a question beside the writer, within one read transaction."""
        return await self._reader.read(work)

    async def change(self, work: Callable[[Connection], T]) -> T:
        """Run work that reads before it writes as one transaction of the writer."""
        return await self._do(work)

    async def close(self) -> None:
        await self._writer.stop()
        await self._reader.close()


def _call(loop: asyncio.AbstractEventLoop, tell: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(tell)


def _noticed(queued: "asyncio.Future[object]") -> None:
    """Whoever waited may have been cancelled meanwhile, and then nobody looks at a failure, which asyncio would print."""
    if not queued.cancelled():
        queued.exception()
