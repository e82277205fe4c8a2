"""Lists stay fast beside a million runs: every question finds its rows by an index, in its order, and reads no more than it gives."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from orchestrion.core import RequestStatus, RunFilter, RunStatus
from orchestrion.journal import _queries as queries
from orchestrion.store import Connection, Store

NOTHING: Callable[[str], bytes] = lambda _: b""  # noqa: E731


class Explaining(sqlite3.Connection):
    """Remembers the plan of every statement."""

    plans: list[str]

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> sqlite3.Cursor:  # pyright: ignore[reportIncompatibleMethodOverride] positions only
        for row in super().execute(f"explain query plan {sql}", tuple(parameters)):
            self.plans.append(str(row[3]))
        return super().execute(sql, tuple(parameters))


@pytest.fixture
def connection(tmp_path: Path) -> Explaining:
    Store.open(tmp_path / "journal.db", mode="own").close()
    connection = sqlite3.connect(tmp_path / "journal.db", factory=Explaining)
    connection.plans = []
    return connection


LISTS = {
    "all": RunFilter(limit=20),
    "status": RunFilter(status=[RunStatus.FAULTED], limit=20),
    "workflow": RunFilter(workflow="ask", limit=20),
    "workflow and status": RunFilter(workflow="ask", status=[RunStatus.FAULTED], limit=20),
    "batch": RunFilter(batch="b", limit=20),
    "page": RunFilter(before_id="r", limit=20),
    "page by time": RunFilter(before=(5.0, "r"), since=1.0, bare=True, limit=20),
    "statuses": RunFilter(status=[RunStatus.FAULTED, RunStatus.COMPLETED], limit=20),
}


@pytest.mark.parametrize("which", LISTS.values(), ids=LISTS)
def test_lists_come_in_the_order_of_an_index(connection: Explaining, which: RunFilter) -> None:
    _explained(connection, queries.listed(which, NOTHING))
    assert not [plan for plan in connection.plans if plan.startswith("SCAN runs") and "INDEX" not in plan]
    assert "USE TEMP B-TREE FOR ORDER BY" not in connection.plans


def test_a_list_of_a_workflow_in_one_state_reads_only_those(connection: Explaining) -> None:
    _explained(connection, queries.listed(LISTS["workflow and status"], NOTHING))
    assert connection.plans == ["SEARCH runs USING INDEX ix_runs_workflow_status (workflow=? AND status=?)"]


@pytest.mark.parametrize(
    "look",
    [
        queries.count(None, ended=False),
        queries.find("019"),
        queries.runnable(1.0, 10),
        queries.next_wake,
        queries.asked(None, RequestStatus.OPEN, 10, NOTHING),
    ],
    ids=["count", "find", "runnable", "next_wake", "asked"],
)
def test_what_a_process_asks_again_and_again_reads_no_table(
    connection: Explaining, look: Callable[[Connection], object]
) -> None:
    _explained(connection, look)
    assert connection.plans
    assert not [plan for plan in connection.plans if plan in {"SCAN runs", "SCAN requests"}]


def _explained(connection: Explaining, look: Callable[[Connection], object]) -> None:
    look(connection)  # pyright: ignore[reportArgumentType] it is one, with plans
    connection.close()
