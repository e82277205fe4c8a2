"""Reading beside the writer: a few threads with their own connections, which never make it wait."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from orchestrion.core import SystemClock
from orchestrion.store import DRIVER_ERRORS, Connection, Store

T = TypeVar("T")

THREADS = 2
PATIENCE_S = 30.0
"""How long a server that has gone is waited for."""
AGAIN_S = 0.2


class Reader:
    """Runs a function on a connection within one read transaction, so that all it sees belongs together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="orchestrion-reader")
        self._own = threading.local()
        self._connections: list[Connection] = []
        self._closing = threading.Event()

    async def read(self, look: Callable[[Connection], T]) -> T:
        """Raises: OrchestrionError for what the database cannot do."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, look)

    def _read(self, look: Callable[[Connection], T]) -> T:
        clock = SystemClock()
        until = clock.monotonic() + PATIENCE_S
        while True:
            try:
                return self._looked(look)
            except DRIVER_ERRORS as error:
                database = self._store.database
                if not database.is_lost(error) or clock.monotonic() > until or self._closing.wait(AGAIN_S):
                    raise database.explain(error) from error

    def _looked(self, look: Callable[[Connection], T]) -> T:
        connection = self._connection()
        try:
            connection.begin_reading()
            found = look(connection)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        return found

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._store.connect(writes=False)
            self._connections.append(connection)
        return connection

    async def close(self) -> None:
        self._closing.set()
        await asyncio.to_thread(self._threads.shutdown)
        while self._connections:
            self._connections.pop().close()
