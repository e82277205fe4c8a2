"""LangGraph: a graph of ten nodes in a row, a checkpoint after each (`durability="sync"`), on the SQLite or PostgreSQL saver.

A saver serialises its statements behind one lock, so several graphs, each with a saver and a connection of its own, are offered:
on one event loop, or in threads with the synchronous savers.
"""

import asyncio
import itertools
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict

import aiosqlite
import psycopg
from _workload import PAYLOAD, STEPS, Settings, answer, effect, place
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row

GRAPHS = 8


class State(TypedDict):
    output: dict[str, str]


def _node(number: int) -> Any:
    def node(_: State) -> State:
        return {"output": effect(number)}

    return node


def _async_node(number: int) -> Any:
    async def node(_: State) -> State:
        return {"output": effect(number)}

    return node


def _graph(saver: Any, node_of: Callable[[int], Any]) -> Any:
    builder = StateGraph(State)
    names = [f"step{number}" for number in range(STEPS)]
    for number, name in enumerate(names):
        builder.add_node(name, node_of(number))
    for earlier, later in itertools.pairwise([START, *names, END]):
        builder.add_edge(earlier, later)
    return builder.compile(checkpointer=saver)


async def _async_graphs(where: Settings) -> list[Any]:
    savers: list[Any] = []
    for _ in range(GRAPHS):
        if where["database"] is None:
            connection = await aiosqlite.connect(Path(where["folder"]) / "langgraph.db")
            await connection.execute("pragma journal_mode=wal")
            await connection.execute("pragma synchronous=full")
            await connection.execute("pragma busy_timeout=30000")
            savers.append(AsyncSqliteSaver(connection))
        else:
            connection = await psycopg.AsyncConnection.connect(
                where["database"], autocommit=True, prepare_threshold=0, row_factory=dict_row
            )
            savers.append(AsyncPostgresSaver(connection))
        if len(savers) == 1:
            await savers[0].setup()
    return [_graph(saver, _async_node) for saver in savers]


def _sync_graphs(where: Settings) -> list[Any]:
    savers: list[Any] = []
    for _ in range(GRAPHS):
        if where["database"] is None:
            connection = sqlite3.connect(Path(where["folder"]) / "langgraph.db", check_same_thread=False, timeout=30)
            connection.execute("pragma journal_mode=wal")
            connection.execute("pragma synchronous=full")
            savers.append(SqliteSaver(connection))
        else:
            connection = psycopg.connect(where["database"], autocommit=True, prepare_threshold=0, row_factory=dict_row)
            savers.append(PostgresSaver(connection))
        if len(savers) == 1:
            savers[0].setup()
    return [_graph(saver, _node) for saver in savers]


def _durability(graph: Any) -> str:
    """As the connections say themselves that are written through."""
    connection = graph.checkpointer.conn
    if isinstance(connection, sqlite3.Connection):
        found = [str(connection.execute(f"pragma {name}").fetchone()[0]) for name in ("journal_mode", "synchronous")]
    else:
        found = [connection.execute(f"show {name}").fetchone()[name] for name in ("fsync", "synchronous_commit")]
    if found not in (["wal", "2"], ["on", "on"]):
        raise SystemExit(f"not as durable as the others: {found}")
    return "WAL, synchronous=FULL" if found[0] == "wal" else "fsync and synchronous_commit on"


async def main() -> None:
    where = place()
    loop = asyncio.get_running_loop()
    in_threads, on_loop = _sync_graphs(where), await _async_graphs(where)
    pool = ThreadPoolExecutor(256)
    turns = itertools.count()

    async def run_one(name: str, settings: Settings) -> None:
        number = next(turns) % settings["graphs"]
        config = {"configurable": {"thread_id": name}}
        start: State = {"output": {}}
        if settings["mode"] == "threads":
            graph = in_threads[number]
            ended = await loop.run_in_executor(pool, lambda: graph.invoke(start, config, durability="sync"))
        else:
            ended = await on_loop[number].ainvoke(start, config, durability="sync")
        assert ended["output"] == PAYLOAD

    await answer(run_one, {"durability": _durability(in_threads[0])})
    for graph in on_loop:
        await graph.checkpointer.conn.close()


asyncio.run(main())
