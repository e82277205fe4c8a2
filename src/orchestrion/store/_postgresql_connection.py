"""A connection to PostgreSQL that survives the server's restarts, and never takes a lost answer for a no."""

import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from orchestrion.core import SystemClock, new_id

from ._postgresql_error import PostgreSQLError

if TYPE_CHECKING:
    import psycopg

    from ._lease import Lease

Raw = "psycopg.Connection[tuple[Any, ...]]"

PATIENCE_S = 30.0
"""How long a server that has gone is waited for."""
AGAIN_S = 0.1
FORGET_EVERY = 512
"""After how many commits the marks of earlier ones go."""
_BEGUN = """
with mark as (insert into commits values (?, ?, extract(epoch from clock_timestamp())))
select generation from leader where name = 'engine'
"""
_PARTS = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")|\?""")


@lru_cache(maxsize=1024)
def numbered(text: str) -> bytes:
    """The statement with `$1`, `$2`, … for each `?`."""
    number = 0

    def mark(found: re.Match[str]) -> str:
        nonlocal number
        if found[1]:
            return found[1]
        number += 1
        return f"${number}"

    return _PARTS.sub(mark, text).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What processes that share a store call each other by: locks and a channel, within the database."""

    schema: str

    @property
    def writing(self) -> int:
        """The lock of the one transaction that may write."""
        return self._key("writing")

    @property
    def preparing(self) -> int:
        """The lock of whoever creates or changes the tables."""
        return self._key("preparing")

    def leading(self, generation: int) -> int:
        """The lock that shows that the leader of a generation is connected."""
        return self._key(f"leading {generation}")

    @property
    def channel(self) -> str:
        return f"orchestrion_{self._key('news') % 2**64:016x}"

    def _key(self, purpose: str) -> int:
        digest = hashlib.sha256(f"orchestrion\0{self.schema}\0{purpose}".encode()).digest()
        return int.from_bytes(digest[:8], signed=True)


class Rows:
    """A cursor whose errors are ours, and whose `rowcount` waits for the answer."""

    __slots__ = ("_connection", "_cursor")

    def __init__(self, connection: "PostgreSQLConnection", cursor: "psycopg.Cursor[tuple[Any, ...]]") -> None:
        self._connection = connection
        self._cursor = cursor

    @property
    def rowcount(self) -> int:
        if self._cursor.pgresult is None:
            self._connection.sync()
        return self._cursor.rowcount

    def fetchone(self) -> Any:
        with self._connection.errors():
            return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        with self._connection.errors():
            return self._cursor.fetchall()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())


class _Errors:
    """Turns the driver's errors into ours."""

    __slots__ = ("_connection", "_driver")

    def __init__(self, driver: type[Exception], connection: "PostgreSQLConnection") -> None:
        self._driver = driver
        self._connection = connection

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, self._driver):
            raise translated(error, lost=self._connection.lost) from error


def translated(error: BaseException, *, lost: bool) -> PostgreSQLError:
    """A psycopg error as ours."""
    import psycopg

    refused = isinstance(error, psycopg.DataError | psycopg.ProgrammingError)
    sqlstate: str | None = getattr(error, "sqlstate", None)
    return PostgreSQLError(str(error), sqlstate=sqlstate, lost=lost, refused=refused)


class PostgreSQLConnection:
    """Implements `Connection`.

    Writing transactions take one advisory lock first, so there is one at a time, as on SQLite: nothing can deadlock, and whoever
    reads the leader's generation after taking the lock knows that no take-over can come before its commit. Those that are done
    `together` are sent as a pipeline.
    """

    def __init__(
        self, opening: "Callable[[], psycopg.Connection[tuple[Any, ...]]]", names: Names, lease: "Lease | None"
    ) -> None:
        import psycopg

        self._opening = opening
        self._names = names
        self._lease = lease
        self._errors = _Errors(psycopg.Error, self)
        self._pipeline: psycopg.Pipeline | None = None
        self._piped = ExitStack()
        self._standing: Rows | None = None
        """The answer to who leads, not yet looked at."""
        self._generation: int | None = None
        self._writer = new_id()
        self._commits = 0
        """How many transactions that may write were begun: each leaves its number as its mark."""
        self._writes = False
        self._changed = False
        self._raw = self._open()

    def _open(self) -> "psycopg.Connection[tuple[Any, ...]]":
        raw = self._opening()
        try:
            if self._lease is not None:
                raw.add_notify_handler(lambda _: self._hear())
                raw.execute(f'listen "{self._names.channel}"'.encode())
        except BaseException:
            raw.close()
            raise
        return raw

    def _hear(self) -> None:
        self._changed = True

    @property
    def lost(self) -> bool:
        return self._raw.closed

    @property
    def in_transaction(self) -> bool:
        return self._pipeline is not None or self._raw.info.transaction_status != 0

    def errors(self) -> _Errors:
        return self._errors

    def execute(self, text: str, values: Sequence[Any] = (), /) -> Rows:
        with self._errors:
            return Rows(self, self._raw.execute(numbered(text), values or None))

    def executemany(self, text: str, rows: Iterable[Sequence[Any]], /) -> None:
        with self._errors:
            self._raw.cursor().executemany(numbered(text), rows)

    def sync(self) -> None:
        if self._pipeline is not None:
            with self._errors:
                self._pipeline.sync()

    # --- transactions ---

    def begin(self, *, together: bool = False) -> None:
        self._reconnect()
        if together:
            with self._errors:
                self._pipeline = self._piped.enter_context(self._raw.pipeline())
        self.execute("begin isolation level read committed")
        self.execute("select pg_advisory_xact_lock(?)", (self._names.writing,))
        self._commits += 1
        self._writes = True
        self._standing = self.execute(_BEGUN, (self._writer, self._commits))
        if self._commits % FORGET_EVERY == 0:
            self.execute("delete from commits where writer = ? and number < ?", (self._writer, self._commits))

    def leads(self) -> bool:
        if self._standing is not None:
            standing, self._standing = self._standing, None
            self._generation = (standing.fetchone() or (None,))[0]
        if self._lease is None:
            return True
        if self._generation != self._lease.generation:
            self._lease.lose()
        return not self._lease.lost

    def begin_reading(self) -> None:
        self._reconnect()
        self.execute("begin isolation level repeatable read, read only")

    def commit(self) -> None:
        self.leads()
        try:
            if self._writes and self._lease is None:
                self.execute("select pg_notify(?, '')", (self._names.channel,))
            self.execute("commit")
            self._end_pipeline()
        except PostgreSQLError as error:
            if not self.lost or not self._writes or not self._was_committed(error):
                raise
        self._writes = False

    def _end_pipeline(self) -> None:
        self._pipeline = None
        with self._errors:
            self._piped.close()

    def rollback(self) -> None:
        self._standing = None
        self._writes = False
        with suppress(PostgreSQLError):
            self._end_pipeline()
        try:
            if not self.lost and self._raw.info.transaction_status != 0:
                self.execute("rollback")
        except PostgreSQLError:
            self._raw.close()

    # --- when the server goes ---

    def _reconnect(self) -> None:
        if not self.lost:
            return
        self._changed = True  # what was announced meanwhile was not heard
        with self._errors:
            self._raw = self._open()

    def _was_committed(self, error: PostgreSQLError) -> bool:
        """The connection went while the answer to `commit` was awaited: look for the mark, once the transaction has ended.

        The server's `pg_xact_status` cannot tell: after a crash, the id of a transaction that left no trace is given again.
        Raises: the error, if the server does not come back.
        """
        with suppress(PostgreSQLError):
            self._end_pipeline()
        clock, pause = SystemClock(), threading.Event()
        until = clock.monotonic() + PATIENCE_S
        while True:
            try:
                self._reconnect()
                self.execute("begin")
                self.execute("select pg_advisory_xact_lock(?)", (self._names.writing,))
                mark = self.execute(
                    "select 1 from commits where writer = ? and number = ?", (self._writer, self._commits)
                )
                found = mark.fetchone() is not None
                self.execute("rollback")
            except PostgreSQLError as failure:
                if not failure.is_lost or clock.monotonic() > until:
                    raise error from failure
                pause.wait(AGAIN_S)
            else:
                return found

    def foreign_change(self) -> bool:
        """Announcements arrive with the answer to anything that is asked."""
        try:
            self._reconnect()
            self.execute("select 1").fetchone()
        except PostgreSQLError:
            return False
        changed, self._changed = self._changed, False
        return changed

    def close(self) -> None:
        self.rollback()
        if self._commits and not self.lost:
            with suppress(PostgreSQLError):
                self.execute("delete from commits where writer = ?", (self._writer,))
        self._raw.close()
