"""Reading beside the writer: a few threads with their own connections, which never make it wait."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from orchestrion.store import Connection, DriverError, Store, explain

T = TypeVar("T")

THREADS = 2


class Reader:
    """Runs a function on a connection within one read transaction, so that all it sees belongs together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="orchestrion-reader")
        self._own = threading.local()
        self._connections: list[Connection] = []

    async def read(self, look: Callable[[Connection], T]) -> T:
        """Raises: OrchestrionError for what the database cannot do."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, look)

    def _read(self, look: Callable[[Connection], T]) -> T:
        try:
            connection = self._connection()
            connection.execute("begin")
            try:
                return look(connection)
            finally:
                connection.execute("commit")
        except DriverError as error:
            raise explain(error, self._store.path) from error

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._store.connect(writes=False)
            self._connections.append(connection)
        return connection

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        while self._connections:
            self._connections.pop().close()
