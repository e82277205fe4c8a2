"""The tables, in SQL that SQLite and PostgreSQL share.

JSON stands in text columns, written by `core.dump`. A value too large for a row stands there as `blob:` and its digest, which no
JSON text begins with; the row's `blobs` column then lists the digests it refers to, so that collecting needs no scan.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from . import _management_tables as _management_tables
from ._metadata import metadata, run_id


def _record() -> list[Column[str] | Column[float] | Column[int]]:
    """The columns of an entry, wherever one is kept."""
    return [
        Column("kind", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("task", Text, nullable=False),
        Column("function", Text, nullable=False),
        Column("digest", Text, nullable=False),
        Column("input", Text),
        Column("output", Text),
        Column("problem", Text),
        Column("labels", Text),
        Column("decision", Text),
        Column("why", Text),
        Column("cost", Text),
        Column("model", Text),
        Column("versions", Text),
        Column("subject", Text),
        Column("started_at", Double),
        Column("ended_at", Double),
        Column("epoch", BigInteger, nullable=False),
        Column("blobs", Text),
    ]


documents = Table(
    "documents",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)
"""Source text of every version that was run, by the digest of its canonical JSON."""

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("semantics", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("start_key", Text),
    Column("batch", Text),
    Column("row", BigInteger),
    Column("input", Text),
    Column("output", Text),
    Column("problem", Text),
    Column("fault_key", Text),
    Column("labels", Text),
    Column("decision", Text),
    Column("cost", Text),
    Column("versions", Text),
    Column("subject", Text),
    Column("parent_id", Text),
    Column("parent_key", Text),
    Column("root_id", Text),
    Column("copied_from", Text),
    Column("attempt", Integer, nullable=False),
    Column("inbox_seq", BigInteger, nullable=False),
    Column("cancel_requested_by", Text),
    Column("wake_at", Double),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("due_at", Double),
    Column("blobs", Text),
)
"""One row a run. due_at: when a sleeper should be advanced; 0 once there is news for it."""
Index("ix_runs_start_key", runs.c.start_key, unique=True)
Index("ix_runs_created", runs.c.created_at, runs.c.id)
Index("ix_runs_status", runs.c.status, runs.c.created_at, runs.c.id)
Index("ix_runs_workflow", runs.c.workflow, runs.c.created_at, runs.c.id)
Index("ix_runs_workflow_status", runs.c.workflow, runs.c.status, runs.c.created_at, runs.c.id)
for _name, _then in {"batch": ("created_at", "id"), "parent_id": (), "due_at": (), "ended_at": (), "blobs": ()}.items():
    _present = text(f"{_name} IS NOT NULL")
    _columns = [runs.c[name] for name in (_name, *_then)]
    Index(f"ix_runs_{_name}", *_columns, sqlite_where=_present, postgresql_where=_present)

entries = Table(
    "entries",
    metadata,
    run_id(),
    Column("key", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    *_record(),
    PrimaryKeyConstraint("run_id", "key"),
    sqlite_with_rowid=False,
)
"""What happened in a run, by place. seq: order of first writes within the run."""
Index(
    "ix_entries_blobs",
    entries.c.blobs,
    sqlite_where=text("blobs IS NOT NULL"),
    postgresql_where=text("blobs IS NOT NULL"),
)

late = Table(
    "late",
    metadata,
    Column("id", Integer, primary_key=True),
    run_id(),
    Column("key", Text, nullable=False),
    *_record(),
)
"""Outcomes of workers that had lost their run: evidence, never read by a run."""
Index("ix_late_run_id", late.c.run_id, late.c.id)

requests = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    run_id(),
    Column("key", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("answer", Text),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("blobs", Text),
)
"""Questions to people, each addressed to one place of one run."""
Index("ix_requests_run_id", requests.c.run_id)
Index("ix_requests_status", requests.c.status, requests.c.created_at, requests.c.id)

messages = Table(
    "messages",
    metadata,
    run_id(),
    Column("id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text),
    Column("blobs", Text),
    PrimaryKeyConstraint("run_id", "id"),
    sqlite_with_rowid=False,
)
"""Inboxes: answers and ends of children."""
Index("ix_messages_seq", messages.c.run_id, messages.c.seq)

quarantine = Table(
    "quarantine",
    metadata,
    Column("batch", Text, nullable=False),
    Column("row", BigInteger, nullable=False),
    Column("value", Text),
    Column("reasons", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("blobs", Text),
    PrimaryKeyConstraint("batch", "row"),
)
"""Rows of a batch that were set aside, with the reasons."""

events = Table(
    "events",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("labels", Text),
    Column("received_at", Double, nullable=False),
    Column("routed_at", Double),
    Column("deliveries", Integer, nullable=False),
    Column("notes", Text),
    Column("blobs", Text),
    sqlite_autoincrement=True,
)
"""CloudEvents, each once by (source, id). deliveries: how many runs were told or started; 0 once routed: nobody wanted it.
notes: filters that could not be evaluated for it."""
Index("ix_events_source", events.c.source, events.c.id, unique=True)
Index("ix_events_type", events.c.type, events.c.received_at)
Index("ix_events_received", events.c.received_at)
Index(
    "ix_events_unrouted",
    events.c.seq,
    sqlite_where=text("routed_at IS NULL"),
    postgresql_where=text("routed_at IS NULL"),
)

reached = Table(
    "reached",
    metadata,
    Column("seq", BigInteger, nullable=False),
    run_id(),
    Column("key", Text, nullable=False),
    PrimaryKeyConstraint("seq", "run_id", "key"),
    sqlite_with_rowid=False,
)
"""The runs an event (seq) reached: told at a listener's key, or started (the empty key)."""

filters = Table(
    "filters",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("type", Text),
    Column("body", Text, nullable=False),
)
"""What runs listen for, without what differs from run to run: evaluated once an event, however many runs share one."""
Index("ix_filters_type", filters.c.type)

subscriptions = Table(
    "subscriptions",
    metadata,
    run_id(),
    Column("key", Text, nullable=False),
    Column("place", Integer, nullable=False),
    Column("filter", Text, nullable=False),
    Column("expected", Text),
    PrimaryKeyConstraint("run_id", "key", "place"),
    sqlite_with_rowid=False,
)
"""Which runs listen now. expected: digest of the correlation values this run wants; without one, every match is for it."""
Index("ix_subscriptions_filter", subscriptions.c.filter, subscriptions.c.expected)

gathered = Table(
    "gathered",
    metadata,
    Column("trigger", Text, nullable=False),
    Column("correlation", Text, nullable=False),
    Column("place", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    PrimaryKeyConstraint("trigger", "correlation", "place"),
)
"""Events that wait for others before they start a run together (`schedule.on.all`)."""

schedules = Table(
    "schedules",
    metadata,
    Column("workflow", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("next_at", Double),
    Column("last_at", Double),
    Column("last_run_id", Text),
    Column("paused_by", Text),
    Column("updated_at", Double, nullable=False),
    Column("revision", BigInteger, nullable=False),
)
"""One row a scheduled workflow (`namespace/name`): which version's calendar it follows, and where it stands in it."""

leader = Table(
    "leader",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("expires_at", Double, nullable=False),
)
"""Which process advances runs where several may: a lease by the database's own clock. Unused on SQLite, which has a lock file."""

commits = Table(
    "commits",
    metadata,
    Column("writer", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("writer", "number"),
)
"""A mark of each recent commit, by which a writer whose connection went during one knows whether it took place. Unused on SQLite."""

knowledge_files = Table(
    "knowledge_files",
    metadata,
    Column("base", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("seen", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("passages", Integer, nullable=False),
    Column("problem", Text),
    Column("remark", Text),
    PrimaryKeyConstraint("base", "file"),
)
"""Documents that passages were made of. seen: how a file looked to the file system; digest: of its content and how it was cut."""

knowledge_passages = Table(
    "knowledge_passages",
    metadata,
    Column("base", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("place", Integer, nullable=False),
    Column("id", Text, nullable=False),
    Column("heading", Text, nullable=False),
    Column("page", Integer),
    Column("row", Integer),
    Column("line", Integer),
    Column("last_line", Integer),
    Column("text", Text, nullable=False),
    Column("vector", LargeBinary),
    PrimaryKeyConstraint("base", "file", "place"),
)
"""Passages of documents. Unused in a SQLite store: there the index is a file of its own, with these tables."""

DERIVED = (knowledge_files, knowledge_passages)
"""What is made again from other files, and so is not copied."""

WORDS_INDEX = (
    "create index ix_knowledge_passages_words on knowledge_passages "
    "using gin (to_tsvector('english', heading || ' ' || text))"
)
"""On PostgreSQL alone."""

slots = Table(
    "slots",
    metadata,
    Column("ticket", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("granted_at", Double),
    Column("released_at", Double),
    Column("expires_at", Double, nullable=False),
)
"""Requests to models with limits: waiting, under way, and those of the last minute. A row whose holder stopped renewing it expires."""
Index("ix_slots_model", slots.c.model, slots.c.asked_at)

sessions = Table(
    "sessions",
    metadata,
    Column("name", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("run_id", Text),
    Column("key", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    PrimaryKeyConstraint("name", "agent"),
)
"""Conversations that outlive a run. run_id, key: the engagement that has it now."""
Index("ix_sessions_updated_at", sessions.c.updated_at)

session_turns = Table(
    "session_turns",
    metadata,
    Column("name", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("messages", Text, nullable=False),
    Column("labels", Text, nullable=False),
    PrimaryKeyConstraint("name", "agent", "number"),
    ForeignKeyConstraint(["name", "agent"], ["sessions.name", "sessions.agent"], ondelete="CASCADE"),
)
"""What was said in them: one row an engagement, which a repeated ending of it does not add again."""

REFERRING = (runs, entries, late, requests, messages, quarantine, events)
"""The tables that may refer to blobs."""
