"""Schedules in the tables: read, and changed by whoever saw the latest change."""

from collections.abc import Callable, Sequence

from orchestrion.core import Run, ScheduleState
from orchestrion.store import Connection

from . import _sql as sql
from . import _transactions as transactions
from ._rows import Fetch, Row


def schedule_row(state: ScheduleState) -> Row:
    """By position, for `KEEP_SCHEDULE`."""
    return (
        state.workflow,
        state.digest,
        state.next_at,
        state.last_at,
        state.last_run_id,
        state.paused_by,
        state.updated_at,
        state.revision + 1,
    )


def schedules(connection: Connection) -> Sequence[ScheduleState]:
    return [_state_from(row) for row in connection.execute(sql.SCHEDULES)]


def _state_from(row: Row) -> ScheduleState:
    return ScheduleState(
        workflow=row[0],
        digest=row[1],
        next_at=row[2],
        last_at=row[3],
        last_run_id=row[4],
        paused_by=row[5],
        updated_at=row[6],
        revision=row[7],
    )


def reschedule(
    state: ScheduleState, rows: Sequence[Row], fetch: Fetch
) -> Callable[[Connection], Sequence[Run | None] | None]:
    """For each run the one that was there first, or None where it is new; nothing at all if the state has moved on."""
    kept = schedule_row(state)

    def work(connection: Connection) -> Sequence[Run | None] | None:
        if state.revision == 0:
            changed = connection.execute(sql.KEEP_SCHEDULE, kept).rowcount
        else:
            changed = connection.execute(sql.CHANGE_SCHEDULE, (*kept[1:], state.workflow, state.revision)).rowcount
        return [transactions.copy(row, (), fetch)(connection) for row in rows] if changed else None

    return work
