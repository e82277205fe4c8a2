"""What goes wrong in a database, in our words. Messages never show a row's data, so drivers' texts are mostly kept out."""

import sqlite3
from typing import Any, NoReturn

from sqlalchemy import exc

from orchestrion.core import ERROR_TYPES, Faulted, Problem, TransientError, UserError


class Stopped(Exception):
    """The statement was interrupted on purpose."""


def is_busy(error: exc.SQLAlchemyError) -> bool:
    """Whether an SQLite file is locked by another process at this moment."""
    cause = getattr(error, "orig", None)
    return isinstance(cause, sqlite3.OperationalError) and (cause.sqlite_errorcode & 0xFF) in {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    }


def timed_out(name: str, timeout_s: float) -> Faulted:
    return Faulted(
        Problem(
            type=ERROR_TYPES["timeout"],
            status=408,
            title="Query timeout",
            code="query-timeout",
            detail=f"A statement on the connection {name!r} took longer than {timeout_s:g} s and was interrupted.",
            hint="Nothing of it remains. Make it cheaper, or raise `timeout_s` of the connection.",
        )
    )


def raise_outcome_unknown(error: exc.SQLAlchemyError) -> NoReturn:
    """The connection broke while committing."""
    raise Faulted(
        Problem(
            type=ERROR_TYPES["runtime"],
            status=500,
            title="Outcome unknown",
            code="outcome-unknown",
            detail="The connection was lost while the statement was being committed; it may or may not have happened.",
            hint="Look in the database before repeating it. Binding :idempotency_key to a unique column makes repeating safe.",
        )
    ) from error


def raise_translated(error: exc.SQLAlchemyError) -> NoReturn:
    """Raises: Faulted `constraint-violated`; TransientError `connection-failed`, `transaction-conflict`; UserError otherwise."""
    cause = getattr(error, "orig", None)
    state = str(getattr(cause, "sqlstate", None) or "")
    if isinstance(error, exc.IntegrityError):
        raise _constraint_violated(cause, state) from None
    if state in {"40001", "40P01"}:
        raise TransientError("transaction-conflict", "Another transaction was in the way.") from None
    if isinstance(cause, sqlite3.Error):
        raise _of_sqlite(cause) from None
    if state == "25006":
        raise _wrote_while_reading() from None
    if isinstance(error, exc.OperationalError | exc.InterfaceError) and state[:2] in {"", "08", "53", "57"}:
        raise TransientError("connection-failed", f"The database cannot be reached ({type(cause).__name__}).") from None
    raise UserError("statement-failed", f"The database refuses the statement: {_said(cause, state)}.") from None


def _constraint_violated(cause: object, state: str) -> Faulted:
    # SQLite names the constraint's columns and nothing else; other drivers quote the row's values.
    what = str(cause) if isinstance(cause, sqlite3.Error) else _constraint_name(cause) or state
    return Faulted(
        Problem(
            type=ERROR_TYPES["validation"],
            status=409,
            title="Constraint violated",
            code="constraint-violated",
            detail=f"The database refuses the statement: {what}.",
            hint="For an insert that may be repeated, write `on conflict (…) do nothing` for the column of :idempotency_key.",
        )
    )


def _of_sqlite(cause: sqlite3.Error) -> UserError:
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_READONLY:
        return _wrote_while_reading()
    if code == sqlite3.SQLITE_CANTOPEN:
        return UserError(
            "no-database",
            "The database file does not exist or cannot be opened.",
            hint="Connecting never creates one: make it first (the examples have a prepare.py), or correct `connections`.",
        )
    if code == sqlite3.SQLITE_ERROR:  # about the statement's text, never about data
        return UserError("statement-failed", f"The database refuses the statement: {cause}.")
    return UserError("statement-failed", f"The database refuses the statement: {cause.sqlite_errorname}.")


def _wrote_while_reading() -> UserError:
    return UserError(
        "read-only-connection",
        "The statement looks like a read and writes; the database refused that.",
        hint="Begin it with insert, update or delete, on a connection with `write: true`.",
    )


def _said(cause: Any, state: str) -> str:  # drivers share no interface for this
    about_text_only = state.startswith("42")  # syntax error or access rule violation
    message = getattr(getattr(cause, "diag", None), "message_primary", None)
    return str(message) if about_text_only and message else f"{type(cause).__name__} {state}".strip()


def _constraint_name(cause: Any) -> str | None:  # as above
    name = getattr(getattr(cause, "diag", None), "constraint_name", None)
    return f"constraint {name!r}" if name else None
