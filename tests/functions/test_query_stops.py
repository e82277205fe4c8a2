"""A statement is really interrupted: by its time limit, by cancellation, and while a file is locked."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrion.core import Faulted, Permit, TransientError, permitted
from orchestrion.functions import Connections, ConnectionSettings
from orchestrion.functions import _connections as module  # pyright: ignore[reportPrivateUsage]  its limits
from orchestrion.functions._statement import read_statement

pytestmark = pytest.mark.anyio

FOREVER = read_statement("with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n")
SLOW_INSERT = read_statement(
    "insert into t with recursive n(i) as (select 1 union all select i + 1 from n) select i from n where i < 0"
)
ONE = read_statement("select 1")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "bank.db"
    connection = sqlite3.connect(file)
    connection.execute("create table t (i integer)")
    connection.close()
    return file


@pytest.fixture
def connections(file: Path) -> Iterator[Connections]:
    made = Connections({
        "hasty": ConnectionSettings(url=f"sqlite:///{file}", timeout_s=0.3, write=True),
        "patient": ConnectionSettings(url=f"sqlite:///{file}", timeout_s=60, write=True),
    })  # fmt: skip
    with permitted(Permit(run_id="r", key="k")):
        yield made
    made.close()


async def begun(connections: Connections) -> None:
    """A thread has begun a statement."""
    while not connections._engines:  # noqa: ASYNC110  # pyright: ignore[reportPrivateUsage]  threads set no asyncio event
        await asyncio.sleep(0)


@pytest.mark.parametrize("statement", [FOREVER, SLOW_INSERT])
async def test_a_statement_without_end_stops_in_time(connections: Connections, statement: module.Statement) -> None:
    started = time.monotonic()
    with permitted(Permit(run_id="r", key="k")), pytest.raises(Faulted) as caught:
        await connections.execute("hasty", statement, {}, max_rows=1)

    assert time.monotonic() - started < 2
    assert caught.value.code == "query-timeout"
    assert caught.value.problem.type.endswith("/timeout")


async def test_all_threads_are_free_afterwards(connections: Connections) -> None:
    with permitted(Permit(run_id="r", key="k")):
        endless = [connections.execute("hasty", FOREVER, {}, max_rows=1) for _ in range(3 * module.THREADS)]
        faults = await asyncio.gather(*endless, return_exceptions=True)
        assert [getattr(fault, "code", None) for fault in faults] == ["query-timeout"] * len(faults)

        rows = await asyncio.gather(*(connections.execute("hasty", ONE, {}, max_rows=1) for _ in range(8)))

    assert [each.rows for each in rows] == [[(1,)]] * 8


async def test_a_statement_that_never_got_a_thread_stops_waiting_in_time(connections: Connections) -> None:
    with permitted(Permit(run_id="r", key="k")):
        endless = [
            asyncio.ensure_future(connections.execute("patient", FOREVER, {}, max_rows=1))
            for _ in range(module.THREADS)
        ]
        await asyncio.sleep(0)  # they queue first
        started = time.monotonic()
        with pytest.raises(Faulted, match="longer than"):
            await connections.execute("hasty", ONE, {}, max_rows=1)
        assert time.monotonic() - started < 3
        for task in endless:
            task.cancel()
        await asyncio.gather(*endless, return_exceptions=True)


async def test_cancelling_interrupts(connections: Connections) -> None:
    with permitted(Permit(run_id="r", key="k")):
        tasks = [
            asyncio.ensure_future(connections.execute("patient", FOREVER, {}, max_rows=1))
            for _ in range(2 * module.THREADS)
        ]
        await begun(connections)
        started = time.monotonic()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)

        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert time.monotonic() - started < 2
        assert (await connections.execute("hasty", ONE, {}, max_rows=1)).rowcount == 1


async def test_a_statement_cancelled_twice_still_leaves_its_thread_free(connections: Connections) -> None:
    with permitted(Permit(run_id="r", key="k")):
        task = asyncio.ensure_future(connections.execute("patient", FOREVER, {}, max_rows=1))
        await begun(connections)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

        assert (await connections.execute("hasty", ONE, {}, max_rows=1)).rowcount == 1


async def test_a_locked_file_is_waited_for(connections: Connections, file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("begin immediate")
    with permitted(Permit(run_id="r", key="k")):
        writing = asyncio.ensure_future(
            connections.execute("patient", read_statement("insert into t values (1)"), {}, max_rows=1)
        )
        await begun(connections)
        other.execute("commit")
        assert (await writing).rowcount == 1
    other.close()


async def test_a_file_locked_for_good_is_a_passing_failure(
    connections: Connections, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_S", 0.1)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("begin immediate")
    with permitted(Permit(run_id="r", key="k")), pytest.raises(TransientError) as caught:
        await connections.execute("patient", read_statement("insert into t values (1)"), {}, max_rows=1)

    assert caught.value.code == "database-locked"
    other.close()
