"""`query` on PostgreSQL: reading enforced, interruption, values, errors."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from orchestrion.core import Faulted, OrchestrionError, Permit, UserError, permitted
from orchestrion.functions import Connections, ConnectionSettings
from orchestrion.functions._query import rows_json
from orchestrion.functions._statement import read_statement

pytestmark = pytest.mark.anyio


@pytest.fixture
async def connections(postgresql: str) -> AsyncIterator[Connections]:
    url = postgresql.replace("postgresql://", "postgresql+psycopg://", 1)
    made = Connections({
        "bank": ConnectionSettings(url=url, write=True, timeout_s=1.5),
        "patient": ConnectionSettings(url=url, timeout_s=60),
    })  # fmt: skip
    with permitted(Permit(run_id="r", key="k")):
        yield made
    made.close()


async def ask(connections: Connections, source: str, name: str = "bank", **parameters: str | int) -> object:
    with permitted(Permit(run_id="r", key="k")):
        return rows_json(await connections.execute(name, read_statement(source), parameters, max_rows=5))


async def test_values(connections: Connections) -> None:
    assert await ask(
        connections,
        "select 1.10::numeric as n, :d::date as d, '12:30'::time as t, '\\x00ff'::bytea as b, array[1,2] as a, '{\"k\": 1}'::jsonb as j, 100 % 7 as m",
        d="2030-01-31",
    ) == {
        "rows": [{"n": "1.10", "d": "2030-01-31", "t": "12:30:00", "b": "AP8=", "a": [1, 2], "j": {"k": 1}, "m": 2}],
        "rowcount": 1,
    }


async def test_a_read_that_writes_is_refused_by_the_database(connections: Connections) -> None:
    with pytest.raises(UserError) as caught:
        await ask(connections, "select * into stolen from (values (1)) v")
    assert caught.value.code == "read-only-connection"


@pytest.mark.parametrize("source", ["select pg_sleep(60)", "select count(*) from generate_series(1, 1000000000000)"])
async def test_a_statement_without_end_stops_in_time(connections: Connections, source: str) -> None:
    started = time.monotonic()
    with pytest.raises(Faulted) as caught:
        await ask(connections, source)

    assert caught.value.code == "query-timeout"
    assert time.monotonic() - started < 3
    assert await ask(connections, "select 1 as one") == {"rows": [{"one": 1}], "rowcount": 1}


async def test_cancelling_interrupts(connections: Connections) -> None:
    tasks = [asyncio.ensure_future(ask(connections, "select pg_sleep(60)", "patient")) for _ in range(4)]
    while not connections._engines:  # noqa: ASYNC110  # pyright: ignore[reportPrivateUsage]  a thread has begun
        await asyncio.sleep(0)
    started = time.monotonic()
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert time.monotonic() - started < 3


async def test_errors_show_no_data(connections: Connections) -> None:
    with pytest.raises(OrchestrionError) as text:
        await ask(connections, "select :s::integer", s="SECRET")
    with pytest.raises(OrchestrionError) as column:
        await ask(connections, "select nope")
    assert "SECRET" not in str(text.value)
    assert "nope" in str(column.value)


async def test_a_broken_constraint_is_named_without_data(connections: Connections) -> None:
    insert = "with v as (select :s as name) insert into pg_temp.once select name from v"
    create = "create temporary table if not exists once (name text constraint only_once unique)"
    engine = connections._engine("bank", connections.settings("bank"), True)  # pyright: ignore[reportPrivateUsage]  to set up
    with engine.begin() as connection:
        connection.exec_driver_sql(create)

    assert await ask(connections, insert, s="SECRET") == {"rows": [], "rowcount": 1}
    with pytest.raises(Faulted) as caught:
        await ask(connections, insert, s="SECRET")
    assert caught.value.code == "constraint-violated"
    assert "only_once" in caught.value.message
    assert "SECRET" not in str(caught.value.problem)


async def test_a_server_that_cannot_be_reached_is_a_passing_failure() -> None:
    connections = Connections({"bank": ConnectionSettings(url="postgresql+psycopg://u:hunter2@127.0.0.1:1/d")})
    with pytest.raises(OrchestrionError) as caught:
        await ask(connections, "select 1")
    assert caught.value.code == "connection-failed"
    assert "hunter2" not in str(caught.value)
    connections.close()
