"""The journal's statements. Values are bound by position; the SQL is what SQLite and PostgreSQL share."""

from sqlalchemy import Table

from orchestrion.core import RunStatus
from orchestrion.store import (
    documents,
    entries,
    insert_new,
    late,
    messages,
    quarantine,
    requests,
    runs,
    schedules,
    sql,
    upsert,
)

from ._rules import CLAIMABLE


def _columns(table: Table, *without: str) -> str:
    return ", ".join(f'"{column.name}"' for column in table.c if column.name not in without)


def _among(statuses: "frozenset[RunStatus] | list[RunStatus]") -> str:
    return "({})".format(", ".join(f"'{status.value}'" for status in sorted(statuses)))


def _insert(table: Table, *without: str) -> str:
    columns = [column for column in table.c if column.name not in without]
    return f"insert into {table.name} ({_columns(table, *without)}) values ({', '.join('?' for _ in columns)})"  # noqa: S608


OPEN = _among([status for status in RunStatus if not status.ended])

RUN = _columns(runs)
ENTRY = _columns(entries, "run_id", "seq")
REQUEST = _columns(requests)
MESSAGE = _columns(messages, "run_id")

KEEP_DOCUMENT = f"""
{_insert(documents)} on conflict (digest) do update set created_at = excluded.created_at
where documents.created_at < excluded.created_at - 3600
"""
"""`created_at` is when a document was last needed, within the hour: retention must not remove what a run begins with."""
DOCUMENT = "select source from documents where digest = ?"

START = sql(insert_new(runs))
STARTED = f"select {RUN} from runs where id = ? or start_key = ? order by id = ? desc limit 1"  # noqa: S608
PUT = sql(upsert(entries, keep=["seq"]))
EPOCHS = "select id, epoch from runs where id in ({})"

CLAIM = f"""
update runs set epoch = epoch + 1, status = 'running', wake_at = null, due_at = null
where id = ? and status in {_among(CLAIMABLE)} returning {RUN}
"""  # noqa: S608
REST = """
update runs set status = 'waiting', wake_at = ?, due_at = ?
where id = ? and epoch = ? and status = 'running' and inbox_seq = ? and cancel_requested_by is null
"""
RELEASE = "update runs set status = 'pending' where status = 'running' returning id"
RELEASE_ONE = "update runs set status = 'pending' where status = 'running' and id = ? returning id"
SET_RUN = """
update runs set
    status = coalesce(?, status), output = coalesce(?, output), problem = coalesce(?, problem),
    fault_key = coalesce(?, fault_key), labels = coalesce(?, labels), cost = coalesce(?, cost),
    wake_at = coalesce(?, wake_at), started_at = coalesce(?, started_at), ended_at = coalesce(?, ended_at),
    due_at = case when coalesce(?, status) = 'waiting' then coalesce(?, wake_at) end,
    blobs = coalesce(blobs || ' ' || ?, ?, blobs)
where id = ?
"""

ANY_ENTRY = "select 1 from entries where run_id = ? limit 1"
ENTRY_EXISTS = "select 1 from entries where run_id = ? and key = ?"
DROP_ENTRY = "delete from entries where run_id = ? and key = ?"
RENAME_ENTRY = "update entries set key = ?, kind = 'note' where run_id = ? and key = ?"
REOPEN_ENTRY = "update entries set status = 'intent', problem = null, ended_at = null where run_id = ? and key = ?"
ENTRIES = f"select {ENTRY} from entries where run_id = ? order by seq"  # noqa: S608
ENTRY_PLACES = """
select key, kind, status, case when kind = 'scope' then input end from entries where run_id = ? order by key
"""
ENTRIES_AT = f"select seq, {ENTRY} from entries where run_id = ? and key in ({{}})"  # noqa: S608
CHANGES = f"select seq, {ENTRY} from entries where run_id = ? and (seq > ? or seq in ({{}})) order by seq limit ?"  # noqa: S608
ENTRY_COSTS = "select cost from entries where run_id = ? and cost is not null"
ENTRY_STATES = "select key, kind, status, ended_at from entries where run_id = ? order by seq"

ASK = sql(insert_new(requests))
OPEN_REQUESTS = "select id, key from requests where run_id = ? and status = 'open'"
CLOSE_REQUEST = "update requests set status = ? where id = ?"
DECIDE_REQUEST = """
update requests set status = 'decided', answer = ?, blobs = coalesce(blobs || ' ' || ?, ?, blobs) where id = ?
"""
RENAME_REQUEST = "update requests set id = ?, key = key || ? where id = ?"
REQUEST_BY_ID = f"select {REQUEST} from requests where id = ?"  # noqa: S608
REQUESTS_OF_RUN = f"select {REQUEST} from requests where run_id = ? order by created_at, id"  # noqa: S608

RAISE_INBOX = """
update runs set inbox_seq = inbox_seq + 1, due_at = case when status = 'waiting' then 0 else due_at end
where id = ? and not exists (select 1 from messages where run_id = ? and id = ?)
"""
TELL = f"""
insert into messages (run_id, {MESSAGE}) select id, ?, inbox_seq, ?, ?, ?, ? from runs where id = ?
on conflict do nothing
"""  # noqa: S608
RENAME_MESSAGE = "update messages set id = ?, key = key || ? where run_id = ? and id = ?"
MESSAGES = f"select {MESSAGE} from messages where run_id = ? and seq > ? order by seq"  # noqa: S608

CANCEL = f"""
update runs set cancel_requested_by = ?, due_at = case when status = 'waiting' then 0 else due_at end
where id = ? and cancel_requested_by is null and status in {OPEN} returning status
"""  # noqa: S608
END_CANCELLED = "update runs set status = 'cancelled', ended_at = ?, due_at = null where id = ?"
OPEN_CHILDREN = f"select id from runs where parent_id = ? and status in {OPEN}"  # noqa: S608
CHILDREN_AT = f"select {RUN} from runs where parent_id = ? and parent_key = ?"  # noqa: S608
RETRIED = """
update runs set status = 'pending', epoch = epoch + 1, attempt = attempt + 1, output = null, problem = null, fault_key = null,
    ended_at = null, wake_at = null, due_at = null, cancel_requested_by = null
where id = ?
"""

RUN_BY_ID = f"select {RUN} from runs where id = ?"  # noqa: S608
DUE = "select id from runs where due_at <= ? order by due_at, created_at, id limit ?"
PENDING = "select id from runs where status = 'pending' order by created_at, id limit ?"
NEXT_WAKE = "select min(due_at) from runs where due_at is not null"
TO_BE_WALKED = f"status in {OPEN} and cancel_requested_by is null"
SEMANTICS = f"select semantics, count(*) from runs where {TO_BE_WALKED} group by semantics"  # noqa: S608
WITH_SEMANTICS = f"select id from runs where semantics = ? and {TO_BE_WALKED} order by created_at, id limit 5"  # noqa: S608

KEEP_SCHEDULE = sql(insert_new(schedules))
CHANGE_SCHEDULE = """
update schedules set digest = ?, next_at = ?, last_at = ?, last_run_id = ?, paused_by = ?, updated_at = ?, revision = ?
where workflow = ? and revision = ?
"""
SCHEDULES = f"select {_columns(schedules)} from schedules order by workflow"  # noqa: S608

LATE = _insert(late, "id")
LATE_OUTCOMES = f"select {_columns(late, 'id', 'run_id')} from late where run_id = ? order by id"  # noqa: S608
QUARANTINE = sql(upsert(quarantine))
QUARANTINED = f'select {_columns(quarantine)} from quarantine where batch = ? order by "row"'  # noqa: S608
