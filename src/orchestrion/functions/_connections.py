"""Databases by name. The only place that opens them, and it opens them for nothing but a permitted entry."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine.interfaces import DBAPIConnection

from orchestrion.core import Json, TransientError, UserError, require_permit

from ._faults import Stopped, is_busy, raise_outcome_unknown, raise_translated, timed_out
from ._statement import Statement

THREADS = 4
"""How many statements run at once; the others queue, and their time runs."""
GRACE_S = 5.0
"""How long an interrupted statement may take to stop before its thread is given up on."""
BUSY_S = 10.0
"""How long a statement waits for another process's lock on an SQLite file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """How to reach a database, and what may be done there."""

    url: str = field(repr=False)
    """A SQLAlchemy URL; in it, `%3F` stands for a question mark, as in any URL. SQLite files are never created by connecting."""
    write: bool = False
    timeout_s: float = 30.0
    """After this, a statement is interrupted and undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What a statement gave: rows as the driver returned them, and how many it touched."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    rowcount: int


class Connections:
    """Named databases, opened when first used, asked from a few threads."""

    def __init__(self, settings: Mapping[str, ConnectionSettings]) -> None:
        self._settings = dict(settings)
        self._engines: dict[tuple[str, bool], sa.Engine] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="orchestrion-query")

    def settings(self, name: str) -> ConnectionSettings:
        """Raises: UserError `unknown-connection`."""
        if name not in self._settings:
            known = ", ".join(sorted(self._settings)) or "none"
            raise UserError("unknown-connection", f"There is no connection {name!r}.", hint=f"There are: {known}.")
        return self._settings[name]

    async def execute(self, name: str, statement: Statement, parameters: Mapping[str, Json], *, max_rows: int) -> Rows:
        """Run one statement in one transaction of its own.

        Raises: UserError, Faulted, TransientError (see `_faults`). When cancelled, or when the connection's time is up, the
        statement is interrupted in the database and undone before this returns.
        """
        require_permit(f"A statement on the connection {name!r}")
        settings = self.settings(name)
        if statement.writes and not settings.write:
            raise UserError(
                "read-only-connection",
                f"The statement writes, and the connection {name!r} is for reading.",
                hint=f"If that is wanted, set `write: true` for the connection {name!r}.",
            )
        work = _Work(lambda: self._engine(name, settings, statement.writes), statement, parameters, max_rows)
        return await _interruptible(work, self._threads.submit(work.run), settings.timeout_s, name)

    def close(self) -> None:
        """Close all connections; nothing may be asked afterwards."""
        self._threads.shutdown(wait=True)
        for engine in self._engines.values():
            engine.dispose()

    def _engine(self, name: str, settings: ConnectionSettings, write: bool) -> sa.Engine:
        with self._lock:
            if (name, write) not in self._engines:
                self._engines[name, write] = _open(name, settings.url, write)
            return self._engines[name, write]


async def _interruptible(work: "_Work", future: "Future[Rows]", timeout_s: float, name: str) -> Rows:
    running = asyncio.wrap_future(future)
    try:
        return await asyncio.wait_for(asyncio.shield(running), timeout_s)
    except TimeoutError:
        rows = await _stop(work, future, running)
        if rows is None:
            raise timed_out(name, timeout_s) from None
        return rows
    except asyncio.CancelledError:
        with suppress(Exception):
            await _stop(work, future, running)
        raise


async def _stop(work: "_Work", future: "Future[Rows]", running: "asyncio.Future[Rows]") -> Rows | None:
    """Interrupt until the thread is free, or the grace is over. The rows, if it had begun to commit before."""
    if future.cancel():
        return None
    running.add_done_callback(lambda done: done.cancelled() or done.exception())
    # in a thread of its own: interrupting a server is a network call, and may hang as the statement does
    threading.Thread(target=work.stop, args=[future], daemon=True).start()
    cancelled: asyncio.CancelledError | None = None
    give_up_at = time.monotonic() + GRACE_S
    while not running.done() and time.monotonic() < give_up_at:
        try:
            await asyncio.wait([running], timeout=give_up_at - time.monotonic())
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    try:
        return running.result() if running.done() else None
    except Stopped:
        return None


class _Work:
    """One statement on its way through a thread, which another thread may interrupt."""

    def __init__(
        self, engine: Callable[[], sa.Engine], statement: Statement, parameters: Mapping[str, Json], max_rows: int
    ) -> None:
        self._engine = engine
        self._statement = statement
        self._parameters = parameters
        self._max_rows = max_rows
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._driver: DBAPIConnection | None = None
        self._committing = False

    def run(self) -> Rows:
        """In a thread: the whole transaction, again while an SQLite file is locked by another process."""
        give_up_at = time.monotonic() + BUSY_S
        while True:
            try:
                return self._attempt()
            except exc.SQLAlchemyError as error:
                if self._stop.is_set():
                    raise Stopped from None
                if not is_busy(error):
                    raise_translated(error)
                if time.monotonic() > give_up_at:
                    raise TransientError("database-locked", "Another process keeps the database locked.") from None
                self._stop.wait(0.02)

    def stop(self, done: "Future[Rows]") -> None:
        """Interrupt the statement until it is done, unless it is being committed: once could hit just before it begins."""
        self._stop.set()
        give_up_at = time.monotonic() + GRACE_S
        while not done.done() and time.monotonic() < give_up_at:
            with self._lock:
                if self._driver is not None and not self._committing:
                    _interrupt(self._driver)
            wait([done], timeout=0.02)

    def _attempt(self) -> Rows:
        self._go_on()
        with self._engine().connect() as connection:
            self._hold(connection.connection.dbapi_connection)
            try:
                rows = self._perform(connection)
                self._finish(connection)
                return rows
            finally:
                self._hold(None)
                if self._stop.is_set() and not self._committing:
                    connection.invalidate()  # a late interrupt must not hit the next statement

    def _perform(self, connection: sa.Connection) -> Rows:
        self._go_on()
        expanding: list[sa.BindParameter[Any]] = [
            sa.bindparam(name, expanding=True) for name, value in self._parameters.items() if _is_list(value)
        ]
        result = connection.execute(sa.text(self._statement.text).bindparams(*expanding), dict(self._parameters))
        if not result.returns_rows:
            return Rows(columns=(), rows=(), rowcount=_touched(connection, result.rowcount))
        columns = list(result.keys())
        rows = [tuple(row) for row in result.fetchmany(self._max_rows + 1)]
        if len(rows) > self._max_rows:
            raise UserError(
                "too-many-rows",
                f"The statement gives more than {self._max_rows} rows.",
                hint="Narrow it with `where` or `limit`, or raise `rows`.",
            )
        return Rows(columns=columns, rows=rows, rowcount=len(rows))

    def _finish(self, connection: sa.Connection) -> None:
        with self._lock:
            if self._stop.is_set():
                raise Stopped
            self._committing = True
        if not self._statement.writes:
            connection.rollback()
            return
        try:
            connection.commit()
        except exc.OperationalError as error:
            if connection.dialect.name == "sqlite":  # a failed commit of SQLite has not happened
                self._committing = False
                raise
            raise_outcome_unknown(error)

    def _hold(self, driver: DBAPIConnection | None) -> None:
        with self._lock:
            self._driver = driver

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise Stopped


def _touched(connection: sa.Connection, rowcount: int) -> int:
    if rowcount < 0 and connection.dialect.name == "sqlite":  # the driver does not count behind `with`
        return int(connection.exec_driver_sql("select changes()").scalar_one())
    return max(rowcount, 0)


def _is_list(value: Json) -> bool:
    return isinstance(value, list | tuple)


def _interrupt(driver: Any) -> None:  # drivers share no interface for this
    for name in ("interrupt", "cancel"):  # sqlite3; psycopg and others
        if hasattr(driver, name):
            with suppress(Exception):
                getattr(driver, name)()
            return


def _open(name: str, url: str, write: bool) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _open_sqlite(name, parsed, write)
        engine = sa.create_engine(parsed, pool_size=THREADS, max_overflow=0, pool_pre_ping=True)
    except exc.ArgumentError:
        raise UserError("bad-connection-url", f"The URL of the connection {name!r} is not a SQLAlchemy URL.") from None
    except ModuleNotFoundError as error:
        raise UserError(
            "missing-driver",
            f"The connection {name!r} needs the Python package {error.name!r}, which is not installed.",
        ) from None
    if engine.dialect.name == "postgresql" and not write:
        event.listen(engine, "begin", _begin("set transaction read only"))
    return engine


def _open_sqlite(name: str, url: sa.URL, write: bool) -> sa.Engine:
    if url.database in (None, "", ":memory:"):
        raise UserError("bad-connection-url", f"The connection {name!r} names no SQLite file.")
    path = url.database if url.database.startswith("file:") else f"file:{quote(unquote(url.database))}"
    query = {**url.query, "uri": "true", "mode": "rw" if write else "ro"}
    engine = sa.create_engine(
        url.set(database=path, query=query),
        pool_size=THREADS,
        max_overflow=0,
        connect_args={"isolation_level": None, "timeout": 0.1, "check_same_thread": False},
    )
    event.listen(engine, "connect", _set_up_sqlite(write))
    event.listen(engine, "begin", _begin("begin immediate" if write else "begin"))
    return engine


def _set_up_sqlite(write: bool) -> Callable[[DBAPIConnection, object], None]:
    def set_up(driver: DBAPIConnection, _record: object) -> None:
        cursor = driver.cursor()
        cursor.execute("pragma foreign_keys = on")
        if not write:
            cursor.execute("pragma query_only = on")
        cursor.close()

    return set_up


def _begin(statement: str) -> Callable[[sa.Connection], None]:
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(statement)

    return begin
