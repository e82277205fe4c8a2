"""Which of several processes advances the runs: a lease by the database's clock, which a standby takes over when it ends."""

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrion.core import Clock, UserError

from ._postgresql_connection import AGAIN_S, Names

if TYPE_CHECKING:
    import psycopg

LEASE_S = 3.0
RENEW_S = 1.0
MARGIN_S = 0.3
"""The leader believes in its lease for so much less than the others, because clocks run differently."""
MUTEX_PATIENCE_MS = 700

_NOW = "extract(epoch from clock_timestamp())::float8"
_READ = f"select holder, generation, expires_at <= {_NOW} from leader where name = 'engine'".encode()  # noqa: S608
_TAKE = f"""
update leader set holder = $1, generation = generation + 1, expires_at = {_NOW} + $2
where name = 'engine' and generation = $3 and (expires_at <= {_NOW} or $4)
""".encode()  # noqa: S608
_RENEW = f"update leader set expires_at = {_NOW} + $1 where name = 'engine' and generation = $2".encode()  # noqa: S608
_RELEASE = "update leader set expires_at = 0 where name = 'engine' and generation = $1"
_END_HOLDER = """
select pg_terminate_backend(pid) from pg_locks
where locktype = 'advisory' and granted and objsubid = 1 and pid <> pg_backend_pid()
    and database = (select oid from pg_database where datname = current_database())
    and (classid::bigint << 32 | objid::bigint) = $1
"""

_FORGET = f"delete from commits where at < {_NOW} - 86400".encode()  # noqa: S608  marks of writers that were killed

Opening = Callable[[], "psycopg.Connection[tuple[Any, ...]]"]


class Lease:
    """Held by renewing it. What it guards is checked by its generation, in the database; the clock only says when to stop acting.

    Beside the row, the leader's connection holds an advisory lock named after the generation. When it is free, the leader's
    process or its connection has gone, and a standby need not wait for the lease to end: a leader that is alive after all sees
    its connection break at once and stops acting, and its writes carry a generation that is over.
    """

    def __init__(self, opening: Opening, names: Names, clock: Clock, *, place: str) -> None:
        self._opening = opening
        self._names = names
        self._clock = clock
        self._place = place
        self._until = 0.0
        self._lost = False
        self._released = False
        self._tell: list[Callable[[], None]] = []
        self._telling = threading.Lock()
        self._waker, self._wake = socket.socketpair()
        self.generation = 0
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._thread = threading.Thread(target=self._keep, name="orchestrion-lease", daemon=True)

    @staticmethod
    def take(opening: Opening, names: Names, clock: Clock, *, place: str) -> "Lease":
        """Raises: UserError `store-in-use` naming the process that leads; psycopg.Error."""
        lease = Lease(opening, names, clock, place=place)
        try:
            lease._take()
        except BaseException:
            lease._close()
            raise
        lease._thread.start()
        return lease

    def leading(self) -> bool:
        return self._clock.monotonic() < self._until

    @property
    def lost(self) -> bool:
        return self._lost

    def lose(self) -> None:
        """Another process leads now."""
        self._until = 0.0
        with self._telling:
            self._lost = True
            told, self._tell = self._tell, []
        for tell in told:
            tell()

    def when_lost(self, tell: Callable[[], None]) -> None:
        with self._telling:
            if not self._lost:
                self._tell.append(tell)
                return
        tell()

    def release(self) -> None:
        """Let a standby lead at once."""
        if self._released:
            return
        self._released = True
        self._wake.send(b".")
        self._thread.join()
        with contextlib.suppress(Exception):
            if self._connection is not None and not self._lost:
                self._connection.execute(_RELEASE, (self.generation,))
        self._close()

    def _close(self) -> None:
        self._until = 0.0
        if self._connection is not None:
            self._connection.close()
        self._waker.close()
        self._wake.close()

    # --- taking ---

    def _take(self) -> None:
        connection = self._connection = self._opening()
        began = self._clock.monotonic()
        connection.execute("insert into leader values ('engine', '', 0, 0) on conflict do nothing")
        found = connection.execute(_READ).fetchone()
        assert found is not None
        holder, generation, expired = found
        vanished = self._lock(connection, generation)
        if not (expired or vanished) or not self._lock(connection, generation + 1):
            raise self._in_use(holder)
        me = f"{socket.gethostname()}, process {os.getpid()}"
        if not self._take_over(connection, (me, LEASE_S, generation, vanished), expired=expired):
            raise self._in_use(holder)
        if vanished:
            connection.execute("select pg_advisory_unlock($1)", (self._names.leading(generation),))
        connection.execute(_FORGET)
        self.generation = generation + 1
        self._until = began + LEASE_S - MARGIN_S

    def _lock(self, connection: "psycopg.Connection[tuple[Any, ...]]", generation: int) -> bool:
        found = connection.execute("select pg_try_advisory_lock($1)", (self._names.leading(generation),)).fetchone()
        return found is not None and bool(found[0])

    def _take_over(
        self, connection: "psycopg.Connection[tuple[Any, ...]]", values: tuple[object, ...], *, expired: bool
    ) -> bool:
        """Between two writing transactions. One that a frozen process has left open after its lease is ended for it."""
        import psycopg

        try:
            with connection.transaction():
                connection.execute(f"set local lock_timeout = {MUTEX_PATIENCE_MS}".encode())
                connection.execute("select pg_advisory_xact_lock($1)", (self._names.writing,))
                return connection.execute(_TAKE, values).rowcount == 1
        except psycopg.errors.LockNotAvailable:
            if expired:
                with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                    connection.execute(_END_HOLDER, (self._names.writing,))
            return False

    def _in_use(self, holder: str) -> UserError:
        return UserError(
            "store-in-use",
            f"Another process ({holder or 'unknown'}) is advancing the runs in {self._place!r}.",
            hint="Stop it first, or let `orchestrion work` stand by. Listing, showing and approving work beside it.",
        )

    # --- keeping ---

    def _keep(self) -> None:
        """The thread: renew, and notice at once when the connection breaks."""
        pause = RENEW_S
        while not self._lost:
            connection = [] if self._connection is None or self._connection.closed else [self._connection.fileno()]
            select.select([self._waker.fileno(), *connection], [], [], pause)
            if self._released:
                return
            pause = RENEW_S if self._renew() else AGAIN_S

    def _renew(self) -> bool:
        import psycopg

        began = self._clock.monotonic()
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._opening()
                self._lock(self._connection, self.generation)
            if self._connection.execute(_RENEW, (LEASE_S, self.generation)).rowcount == 1:
                self._until = began + LEASE_S - MARGIN_S
            else:
                self.lose()
        except psycopg.Error:
            if self._connection is None or self._connection.closed:
                self._until = 0.0
                return False
        return True
