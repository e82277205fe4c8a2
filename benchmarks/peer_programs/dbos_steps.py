"""DBOS: a workflow function with ten steps, in threads or on an event loop, on SQLite or PostgreSQL."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy
from _workload import PAYLOAD, STEPS, Settings, answer, effect, place
from dbos import DBOS, DBOSConfig, SetWorkflowID

THREADS = 128


@DBOS.step()
def step(number: int) -> dict[str, str]:
    return effect(number)


@DBOS.workflow()
def workflow() -> dict[str, str]:
    output: dict[str, str] = {}
    for number in range(STEPS):
        output = step(number)
    return output


@DBOS.step()
async def async_step(number: int) -> dict[str, str]:
    return effect(number)


@DBOS.workflow()
async def async_workflow() -> dict[str, str]:
    output: dict[str, str] = {}
    for number in range(STEPS):
        output = await async_step(number)
    return output


def _in_thread(name: str) -> dict[str, str]:
    with SetWorkflowID(name):
        return workflow()


async def _on_loop(name: str) -> dict[str, str]:
    with SetWorkflowID(name):
        return await async_workflow()


def _write_through(connection: Any, _: object) -> None:
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")


def _durability(engine: sqlalchemy.Engine) -> str:
    with engine.connect() as connection:
        asked = (
            ("pragma journal_mode", "pragma synchronous")
            if engine.dialect.name == "sqlite"
            else ("show fsync", "show synchronous_commit")
        )
        found = [str(connection.execute(sqlalchemy.text(question)).scalar()) for question in asked]
    if found not in (["wal", "2"], ["on", "on"]):
        raise SystemExit(f"not as durable as the others: {dict(zip(asked, found, strict=True))}")
    return "WAL, synchronous=FULL" if found[0] == "wal" else "fsync and synchronous_commit on"


async def main() -> None:
    where = place()
    url = where["database"]
    if url is None:
        sqlalchemy.event.listen(sqlalchemy.Engine, "connect", _write_through)
        url = f"sqlite:///{where['folder']}/dbos.db"
    config = DBOSConfig(
        name="steps",
        system_database_url=url.replace("postgresql://", "postgresql+psycopg://"),
        sys_db_pool_size=where.get("pool", 20),
        max_executor_threads=THREADS,
        executor_id=str(os.getpid()),
        log_level="ERROR",
    )
    DBOS(config=config)
    DBOS.launch()
    pool = ThreadPoolExecutor(THREADS)
    loop = asyncio.get_running_loop()

    async def run_one(name: str, settings: Settings) -> None:
        if settings["mode"] == "threads":
            output = await loop.run_in_executor(pool, _in_thread, name)
        else:
            output = await _on_loop(name)
        assert output == PAYLOAD

    from dbos._dbos import _get_dbos_instance

    await answer(run_one, {"durability": _durability(_get_dbos_instance()._sys_db.engine)})
    DBOS.destroy()


asyncio.run(main())
