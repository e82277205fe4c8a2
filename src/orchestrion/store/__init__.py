"""The database: tables, migrations, blobs, and who owns it. The only room that knows which database it is."""

from ._blobs import KEPT_S, Blobs
from ._schema import REFERRING, REVISIONS, documents, entries, late, messages, metadata, quarantine, requests, runs
from ._sqlite import (
    Connection,
    DriverError,
    begin,
    bound,
    changes_by_others,
    explain,
    insert_new,
    is_passing,
    is_row_error,
    sql,
    upsert,
)
from ._store import Mode, Store, database_path

__all__ = [
    "KEPT_S",
    "REFERRING",
    "REVISIONS",
    "Blobs",
    "Connection",
    "DriverError",
    "Mode",
    "Store",
    "begin",
    "bound",
    "changes_by_others",
    "database_path",
    "documents",
    "entries",
    "explain",
    "insert_new",
    "is_passing",
    "is_row_error",
    "late",
    "messages",
    "metadata",
    "quarantine",
    "requests",
    "runs",
    "sql",
    "upsert",
]
