"""The one thread that writes: it takes what is queued, commits it together, and answers whoever waits."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from orchestrion.core import BugError, Fenced, OrchestrionError, SystemClock, TransientError, UserError, Written
from orchestrion.store import DRIVER_ERRORS, Connection, Store

from ._rows import Large, Row
from ._rules import unknown_run
from ._sql import EPOCHS, PUT
from ._transactions import Later

MOST_AT_ONCE = 1000
"""Transactions in one commit."""
PATIENCE_S = 30.0
"""How long a commit waits for a server that has gone, before those who wait for it are told."""
AGAIN_S = 0.2

Step: TypeAlias = "Row | Callable[[Connection], None]"
"""A row for the entries, which are written many at a time; anything else as a function."""
Outcome: TypeAlias = "tuple[asyncio.Future[object], object, BaseException | None]"


class Job:
    """One transaction: either steps fenced by a run's epoch, or work that reads before it writes.

    Work says no by raising before its first change. `unfenced` work is done even when another process owns the store by now.
    """

    __slots__ = ("epoch", "future", "large", "run_id", "steps", "unfenced", "work")

    def __init__(
        self,
        *,
        run_id: str = "",
        epoch: int = 0,
        steps: Sequence[Step] = (),
        work: Callable[[Connection], object] | None = None,
        large: Large | None = None,
        unfenced: bool = False,
    ) -> None:
        self.run_id = run_id
        self.epoch = epoch
        self.steps = steps
        self.work = work
        self.large = large
        self.unfenced = unfenced
        self.future = cast("asyncio.Future[object]", Written(loop=asyncio.get_running_loop()))


class _Look(Job):
    """Asks whether other processes have written; outside of any transaction."""


class _Stop(Job):
    """The last job."""


class Writer:
    """Group commit. The thread starts with the first job and ends with `stop`, or dies and takes everyone with it."""

    def __init__(self, store: Store, on_death: Callable[[BaseException], None] | None) -> None:
        self._store = store
        self._on_death = on_death
        self._queue: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ended: BugError | None = None
        self._pause = threading.Event()
        self._spoilt: dict[str, tuple[int, TransientError]] = {}
        """Run → the epoch in which a write of it failed for a reason that passes, and why. What the run has queued behind that
        write must fail as well: stored, it would leave a hole in the record."""

    def submit(self, job: Job) -> "asyncio.Future[object]":
        """Queue a transaction. Its future resolves once it is durable; cancelling that stops nothing."""
        if self._thread is None and self._ended is None:
            self._thread = threading.Thread(target=self._run, name="orchestrion-journal", daemon=True)
            self._thread.start()
        self._queue.put(job)
        if self._ended is not None:
            self._refuse_queued(self._ended)
        return job.future

    def look(self) -> "asyncio.Future[object]":
        """Whether any other process has committed since the last look."""
        return self.submit(_Look())

    async def stop(self) -> None:
        """Finish what is queued and end the thread."""
        if self._thread is None:
            self._ended = _stopped("it was closed")
            return
        if self._ended is None:
            await self.submit(_Stop())
        await asyncio.to_thread(self._thread.join)

    # --- the thread ---

    def _run(self) -> None:
        try:
            connection = self._store.connect(writes=True)
            try:
                while self._turn(connection):
                    pass
            finally:
                connection.close()
        except BaseException as error:
            self._end(_stopped(f"{type(error).__name__}: {error}"))
            if self._on_death is not None:
                self._on_death(error)

    def _turn(self, connection: Connection) -> bool:
        """One commit; False after the last."""
        batch = self._take()
        transactions = [job for job in batch if type(job) is Job]
        outcomes: list[Outcome] = []
        try:
            if transactions:
                self._commit(connection, transactions, outcomes)
            outcomes.extend((job.future, connection.foreign_change(), None) for job in batch if type(job) is _Look)
        except BaseException as error:
            failure = _stopped(f"{type(error).__name__}: {error}")
            self._ended = failure
            _resolve([(job.future, None, failure) for job in batch])
            raise
        stop = [job for job in batch if type(job) is _Stop]
        if stop:
            self._end(_stopped("it was closed"))
            outcomes.extend((job.future, None, None) for job in stop)
        _resolve(outcomes)
        return not stop

    def _take(self) -> list[Job]:
        batch = [self._queue.get()]
        for _ in range(min(self._queue.qsize(), MOST_AT_ONCE - 1)):
            batch.append(self._queue.get_nowait())  # noqa: PERF401  what was taken must not be lost when a comprehension fails
        return batch

    def _end(self, reason: BugError) -> None:
        self._ended = reason
        self._refuse_queued(reason)

    def _refuse_queued(self, reason: BugError) -> None:
        refused: list[Outcome] = []
        while True:
            try:
                refused.append((self._queue.get_nowait().future, None, reason))
            except queue.Empty:
                _resolve(refused)
                return

    # --- transactions ---

    def _commit(self, connection: Connection, batch: list[Job], outcomes: list[Outcome]) -> None:
        """All together; if a row is refused, again one by one, so that only its own transaction fails."""
        batch = self._storable(batch, outcomes)
        clock = SystemClock()
        until = clock.monotonic() + PATIENCE_S
        while True:
            try:
                outcomes.extend(self._committed(connection, batch))
            except DRIVER_ERRORS as error:
                connection.rollback()
                if not self._store.database.is_lost(error) or clock.monotonic() > until:
                    outcomes.extend(self._all_failed(error, batch))
                    return
                self._pause.wait(AGAIN_S)
            else:
                return

    def _committed(self, connection: Connection, batch: list[Job]) -> list[Outcome]:
        try:
            return _together(connection, batch)
        except Exception as error:
            connection.rollback()
            if isinstance(error, DRIVER_ERRORS) and not self._store.database.is_row_error(error):
                raise
        return self._apart(connection, batch)

    def _all_failed(self, error: Exception, batch: list[Job]) -> list[Outcome]:
        """Raises what is more than a passing failure: the database can no longer be trusted."""
        if not self._store.database.is_passing(error):
            raise error
        failure = self._store.database.explain(error)
        for job in batch:
            self._spoil(job, failure)
        return [(job.future, None, failure) for job in batch]

    def _apart(self, connection: Connection, batch: list[Job]) -> list[Outcome]:
        connection.begin()
        is_row_error = self._store.database.is_row_error
        found = [_alone(connection, job, is_row_error) for job in batch]
        connection.commit()
        return found

    def _spoil(self, job: Job, failure: Exception) -> None:
        if job.work is None and isinstance(failure, TransientError):
            self._spoilt[job.run_id] = job.epoch, failure

    def _require_unspoilt(self, job: Job) -> None:
        if job.work is None and job.run_id in self._spoilt:
            epoch, failure = self._spoilt[job.run_id]
            if epoch == job.epoch:
                raise failure

    def _storable(self, batch: list[Job], outcomes: list[Outcome]) -> list[Job]:
        """The jobs whose large values are on the disk now, and whose runs have lost no write before them."""
        ready: list[Job] = []
        for job in batch:
            try:
                self._require_unspoilt(job)
                if job.large is not None:
                    job.large.keep(self._store.blobs)
                ready.append(job)
            except OrchestrionError as error:
                self._spoil(job, error)
                outcomes.append((job.future, None, error))
        return ready


class _Epochs:
    """The epochs of the runs of one commit, read at its start and again after whatever may have changed one."""

    def __init__(self, connection: Connection, batch: Sequence[Job]) -> None:
        self._connection = connection
        self._known: dict[str, int] = {}
        self._read(list({job.run_id for job in batch if job.work is None}))

    def _read(self, run_ids: list[str]) -> None:
        """Sizes are powers of two, so that there are few statements to prepare."""
        if run_ids:
            size = 1 << (len(run_ids) - 1).bit_length()
            marks = ",".join("?" * size)
            padded = run_ids + run_ids[:1] * (size - len(run_ids))
            self._known.update(self._connection.execute(EPOCHS.format(marks), padded).fetchall())

    def forget(self, run_id: str) -> None:
        self._known.pop(run_id, None)

    def refusal(self, job: Job) -> BaseException | None:
        """Why a job must not be written."""
        if job.run_id not in self._known:
            self._read([job.run_id])
        epoch = self._known.get(job.run_id)
        if epoch == job.epoch:
            return None
        return unknown_run(job.run_id) if epoch is None else Fenced(job.run_id)


def _together(connection: Connection, batch: list[Job]) -> list[Outcome]:
    """One transaction for all; entries that follow each other are written by one call."""
    connection.begin(together=True)
    epochs = _Epochs(connection, batch)
    leads = connection.leads()
    outcomes: list[Outcome] = []
    rows: list[Row] = []
    awaited: list[int] = []
    for job in batch:
        if not leads and not job.unfenced:
            outcomes.append((job.future, None, Fenced(job.run_id)))
            continue
        if job.work is not None:
            _put(connection, rows)
            outcome = _worked(connection, job)
            if isinstance(outcome[1], Later):
                awaited.append(len(outcomes))
            outcomes.append(outcome)
            epochs.forget(job.run_id)
            continue
        refusal = epochs.refusal(job)
        outcomes.append((job.future, None, refusal))
        for step in job.steps if refusal is None else ():
            if callable(step):
                _put(connection, rows)
                step(connection)
            else:
                rows.append(step)
    _put(connection, rows)
    for place in awaited:
        outcomes[place] = _known(outcomes[place])
    connection.commit()
    return outcomes


def _put(connection: Connection, rows: list[Row]) -> None:
    if rows:
        connection.executemany(PUT, rows)
        rows.clear()


def _worked(connection: Connection, job: Job) -> Outcome:
    assert job.work is not None
    try:
        return job.future, job.work(connection), None
    except OrchestrionError as error:
        return job.future, None, error


def _known(outcome: Outcome) -> Outcome:
    """The outcome, once the database has answered."""
    future, result, error = outcome
    if not isinstance(result, Later):
        return outcome
    try:
        return future, cast("Later[object]", result).known(), error
    except OrchestrionError as refusal:
        return future, None, refusal


def _alone(connection: Connection, job: Job, is_row_error: Callable[[BaseException], bool]) -> Outcome:
    """A job within its own savepoint: what it did is undone if any of it is refused."""
    if not connection.leads() and not job.unfenced:
        return job.future, None, Fenced(job.run_id)
    connection.execute("savepoint job")
    try:
        if job.work is not None:
            outcome = _known(_worked(connection, job))
        else:
            refusal = _Epochs(connection, [job]).refusal(job)
            for step in job.steps if refusal is None else ():
                if callable(step):
                    step(connection)
                else:
                    connection.execute(PUT, step)
            outcome = (job.future, None, refusal)
    except Exception as error:
        if isinstance(error, DRIVER_ERRORS) and not is_row_error(error):
            raise
        connection.execute("rollback to savepoint job")
        outcome = (job.future, None, _refused(error, job, is_row_error))
    connection.execute("release savepoint job")
    return outcome


def _refused(error: Exception, job: Job, is_row_error: Callable[[BaseException], bool]) -> Exception:
    if not is_row_error(error):
        return error
    what = f"A row of run {job.run_id}" if job.run_id else "A row"
    return UserError("cannot-store", f"{what} cannot be stored: {error}.")


def _stopped(why: str) -> BugError:
    return BugError(
        "journal-stopped",
        f"The journal does not write any more: {why}.",
        hint="Nothing that was acknowledged is lost. Start the process again.",
    )


def _resolve(outcomes: list[Outcome]) -> None:
    """Tell everyone who waits, with one wake-up of their loop."""
    loops = {outcome[0].get_loop() for outcome in outcomes}
    for loop in loops:
        mine = outcomes if len(loops) == 1 else [outcome for outcome in outcomes if outcome[0].get_loop() is loop]
        try:
            loop.call_soon_threadsafe(_settle, mine)
        except RuntimeError:
            continue  # the loop is closed: nobody waits


def _settle(outcomes: list[Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
