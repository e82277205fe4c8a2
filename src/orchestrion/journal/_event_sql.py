"""The journal's statements about events, in what SQLite and PostgreSQL share."""

from sqlalchemy import Table

from orchestrion.store import events, filters, gathered, insert_new, reached, sql, subscriptions


def _columns(table: Table, *without: str) -> str:
    return ", ".join(f'"{column.name}"' for column in table.c if column.name not in without)


EVENT = _columns(events)

RECEIVE = """
insert into events (source, id, type, body, labels, received_at, deliveries, blobs) values (?, ?, ?, ?, ?, ?, 0, ?)
on conflict do nothing
"""
UNROUTED = f"select {EVENT} from events where routed_at is null order by seq limit ?"  # noqa: S608
BY_NAME = f"select {EVENT} from events where source = ? and id = ?"  # noqa: S608
NUMBERED = f"select {EVENT} from events where seq = ?"  # noqa: S608
EARLIER = f"""
select {EVENT} from events where received_at >= ? and seq > ? and type = ? order by seq limit ?
"""  # noqa: S608
EARLIER_OF_ANY = f"select {EVENT} from events where received_at >= ? and seq > ? order by seq limit ?"  # noqa: S608

KEEP_FILTER = sql(insert_new(filters))
SUBSCRIBE = sql(insert_new(subscriptions))
LISTENED_WITH = "select distinct filter from subscriptions where run_id = ? and key = ?"
LISTENED_WITH_BY_RUN = "select distinct filter from subscriptions where run_id = ?"
UNSUBSCRIBE = "delete from subscriptions where run_id = ? and key = ?"
UNSUBSCRIBE_RUN = "delete from subscriptions where run_id = ?"
DROP_FILTER = "delete from filters where digest = ? and not exists (select 1 from subscriptions where filter = ?)"
INTERESTS = """
select body from filters where type = ? and exists (select 1 from subscriptions where filter = filters.digest)
union all
select body from filters where type is null and exists (select 1 from subscriptions where filter = filters.digest)
"""

UNROUTED_YET = "select 1 from events where seq = ? and routed_at is null"
LISTENERS = "select distinct run_id, key from subscriptions where filter = ? and expected is null"
LISTENERS_EXPECTING = "select distinct run_id, key from subscriptions where filter = ? and expected = ?"
REACH = sql(insert_new(reached))
RAISE_INBOX = """
update runs set inbox_seq = inbox_seq + 1, due_at = case when status = 'waiting' then 0 else due_at end
where id = ? returning inbox_seq, coalesce(root_id, id)
"""
TELL = "insert into messages (run_id, id, seq, key, kind, body) values (?, ?, ?, ?, 'event', ?)"
ROUTED = "update events set routed_at = ?, deliveries = deliveries + ?, notes = ? where seq = ?"
COUNT_DELIVERY = "update events set deliveries = deliveries + 1 where seq = ?"
REACHED = "select run_id, key from reached where seq = ? order by run_id, key"

GATHER = sql(insert_new(gathered))
DROP_GATHERED = 'delete from gathered where "trigger" = ? and correlation = ? and place = ? and seq = ?'
GATHERED = f"""
select {_columns(gathered)} from gathered where "trigger" = ? and correlation = ? order by place
"""  # noqa: S608
