"""The database: tables, migrations, blobs, and who owns it. The only room that knows which database it is."""

from ._blobs import KEPT_S, Blobs
from ._database import Connection, Mode
from ._schema import (
    REFERRING,
    REVISIONS,
    documents,
    entries,
    events,
    filters,
    gathered,
    late,
    leader,
    messages,
    metadata,
    quarantine,
    reached,
    requests,
    runs,
    schedules,
    subscriptions,
)
from ._statements import bound, insert_new, sql, upsert
from ._store import DRIVER_ERRORS, Store, database_path, is_postgresql

__all__ = [
    "DRIVER_ERRORS",
    "KEPT_S",
    "REFERRING",
    "REVISIONS",
    "Blobs",
    "Connection",
    "Mode",
    "Store",
    "bound",
    "database_path",
    "documents",
    "entries",
    "events",
    "filters",
    "gathered",
    "insert_new",
    "is_postgresql",
    "late",
    "leader",
    "messages",
    "metadata",
    "quarantine",
    "reached",
    "requests",
    "runs",
    "schedules",
    "sql",
    "subscriptions",
    "upsert",
]
