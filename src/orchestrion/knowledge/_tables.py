"""The index in SQLite or PostgreSQL: the same tables, and each database's own way to find words."""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from orchestrion.store import Store, knowledge_files, knowledge_passages, sql, upsert

from ._settings import Place

MOST_WORDS = 64
"""Of a question, that count."""
_WORD = re.compile(r"\w+")
_FORMAT = "1"

_WORDS = """create virtual table knowledge_words using fts5(
    base unindexed, file unindexed, place unindexed, heading, text, tokenize = 'porter unicode61 remove_diacritics 2')"""
_BY_BM25 = """select file, place, -bm25(knowledge_words, 0, 0, 0, 2.0, 1.0) as score from knowledge_words
    where knowledge_words match ? and base = ? order by score desc, file, place limit ?"""
_BY_RANK = """select file, place, ts_rank_cd(to_tsvector('english', heading || ' ' || text), question, 1) as score
    from knowledge_passages, to_tsquery('english', ?) as question
    where to_tsvector('english', heading || ' ' || text) @@ question and base = ?
    order by score desc, file, place limit ?"""

INSERT_PASSAGE = sql(insert(knowledge_passages))
PUT_FILE = sql(upsert(knowledge_files))
PASSAGE_COLUMNS = [column.name for column in knowledge_passages.c]
FILE_COLUMNS = [column.name for column in knowledge_files.c]


class Connection(Protocol):
    """What the index needs of a connection."""

    def execute(self, text: str, values: Sequence[Any] = ..., /) -> Any: ...

    def executemany(self, text: str, rows: Iterable[Sequence[Any]], /) -> object: ...

    def begin(self) -> None: ...

    def begin_reading(self) -> None: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


class File(sqlite3.Connection):
    """A SQLite file of the index's own. It holds nothing that could not be made again."""

    def begin(self) -> None:
        self.execute("begin immediate")

    def begin_reading(self) -> None:
        self.execute("begin")


class Tables:
    """One connection to the index, for one thread at a time."""

    def __init__(self, place: Place) -> None:
        """Raises: UserError about the store; sqlite3.Error."""
        self._server = place.server is not None
        self.connection: Connection = _on_server(place) if self._server else _in_file(place.file)

    def by_words(self, base: str, question: str, most: int) -> list[tuple[tuple[str, int], float]]:
        """Places of the passages that have any of the question's words, the best first, with their scores."""
        words = list(dict.fromkeys(word.lower() for word in _WORD.findall(question)))[:MOST_WORDS]
        if not words:
            return []
        asked = (
            " | ".join(f"'{word}'" for word in words) if self._server else " OR ".join(f'"{word}"' for word in words)
        )
        rows = self.connection.execute(_BY_RANK if self._server else _BY_BM25, (asked, base, most)).fetchall()
        return [((file, int(place)), float(score)) for file, place, score in rows]

    def forget(self, base: str, file: str) -> None:
        """Remove a file's passages, within a transaction."""
        tables = ("knowledge_passages",) if self._server else ("knowledge_passages", "knowledge_words")
        for table in tables:
            self.connection.execute(f"delete from {table} where base = ? and file = ?", (base, file))  # noqa: S608

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add passages, within a transaction."""
        self.connection.executemany(INSERT_PASSAGE, rows)
        if not self._server:
            at = [PASSAGE_COLUMNS.index(name) for name in ("base", "file", "place", "heading", "text")]
            words = [[row[column] for column in at] for row in rows]
            self.connection.executemany("insert into knowledge_words values (?, ?, ?, ?, ?)", words)


def _on_server(place: Place) -> Connection:
    store = Store.open(place.server or "", mode="join", blobs=place.blobs)
    return store.connect(writes=True)


def _in_file(path: Path) -> File:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _opened(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            each.unlink(missing_ok=True)  # damaged: it is made again from the documents
        return _opened(path)


def _opened(path: Path) -> File:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30, factory=File)
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        connection.begin()
        known = connection.execute("pragma user_version").fetchone()[0]
        if known != int(_FORMAT):
            _create(connection)
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: File) -> None:
    connection.execute("drop table if exists knowledge_words")
    dialect = sqlite.dialect()
    for table in (knowledge_files, knowledge_passages):
        connection.execute(f"drop table if exists {table.name}")
        connection.execute(str(CreateTable(table).compile(dialect=dialect)))
    connection.execute(_WORDS)
    connection.execute(f"pragma user_version = {_FORMAT}")
