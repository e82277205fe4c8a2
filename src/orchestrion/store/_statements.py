"""Statements in the SQL that SQLite and PostgreSQL share, with values bound by position as `?`."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.sqlite import Insert, dialect, insert
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql import ClauseElement

DIALECT = dialect()


def upsert(table: Table, keep: Sequence[str] = ()) -> Insert:
    """Insert a row, or replace all but its key and the columns to `keep` of the one that is there."""
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(
        index_elements=keys,
        set_={
            column.name: statement.excluded[column.name]
            for column in table.c
            if column.name not in keys and column.name not in keep
        },
    )


def insert_new(table: Table) -> Insert:
    """Insert a row unless one like it is there."""
    return insert(table).on_conflict_do_nothing()


def sql(statement: ClauseElement) -> str:
    """The text of a statement whose values are bound by position."""
    return str(statement.compile(dialect=DIALECT))


def created(table: Table) -> str:
    """The statement that creates a table of SQLite's."""
    return str(CreateTable(table).compile(dialect=DIALECT))


def bound(statement: ClauseElement) -> tuple[str, list[Any]]:
    """The text of a statement that holds its values, and the values."""
    compiled = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    parameters = compiled.params or {}
    names: list[str] = getattr(compiled, "positiontup", None) or []
    return str(compiled), [parameters[name] for name in names]
