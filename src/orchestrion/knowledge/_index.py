"""The index: brought up to date, asked, and known by its digest."""

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from orchestrion.core import OrchestrionError, TransientError, UserError, digest
from orchestrion.embeddings import EMBEDDING
from orchestrion.store import DRIVER_ERRORS

from ._folder import files_of
from ._passages import Passage, passages_of
from ._readers import pieces_of
from ._settings import Base, Place
from ._tables import FILE_COLUMNS, PASSAGE_COLUMNS, PUT_FILE, Tables

MADE_BY = "1"
"""How files become passages; raised when they would be cut otherwise now."""
CANDIDATES = 50
"""Of each order, before they are merged."""
FUSION = 60
"""The constant of reciprocal rank fusion. Source: Cormack, Clarke & Buettcher, SIGIR 2009."""

At = tuple[str, int]
"""File, and the passage's place in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNote:
    """A file of a base: how many passages it gave, and what there is to say about it."""

    file: str
    passages: int
    problem: str | None
    remark: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """A base as it is now, and what was done to bring it there."""

    base: str
    digest: str
    files: Sequence[FileNote]
    read: int = 0
    removed: int = 0

    @property
    def passages(self) -> int:
        return sum(file.passages for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The passages of an answer, the best first, with scores that only compare within it."""

    digest: str
    """Of the index that was asked."""
    passages: Sequence[tuple[Passage, float]]
    by_meaning: bool
    problems: int
    """How many files of the base could not be read."""
    labels: frozenset[str]


class Knowledge:
    """The knowledge bases of a project. Calls block; any thread may make them."""

    def __init__(self, bases: Mapping[str, Base], place: Callable[[], Place]) -> None:
        """`place` is asked when the index is first needed."""
        self.bases = bases
        self._place = place
        self._lock = threading.Lock()
        self._tables: Tables | None = None
        self._meanings: dict[str, tuple[str, Sequence[At], Any]] = {}
        """Base → the digest of the index that these places and vectors are of."""

    def close(self) -> None:
        with self._lock:
            if self._tables is not None:
                self._tables.connection.close()
                self._tables = None

    def update(self, base: str) -> Indexed:
        """Read what has changed. Raises: UserError `unknown-knowledge`, `embeddings-missing`, and about the place."""
        settings = self.base(base)
        with self._using() as tables:
            read, removed = self._update(tables, base, settings)
            known, files = _known(tables, base), _notes(tables, base)
            return Indexed(base=base, digest=_digest(known), files=files, read=read, removed=removed)

    def search(self, base: str, query: str, k: int) -> Found:
        """The passages that fit best. Raises: as `update` does."""
        settings = self.base(base)
        with self._using() as tables:
            self._update(tables, base, settings)
            tables.connection.begin_reading()
            try:
                return self._search(tables, base, settings, query, k)
            finally:
                tables.connection.rollback()

    def base(self, name: str) -> Base:
        """Raises: UserError `unknown-knowledge`."""
        if name in self.bases:
            return self.bases[name]
        listed = ", ".join(sorted(self.bases))
        raise UserError(
            "unknown-knowledge",
            f"There is no knowledge base {name!r}.",
            hint=f"There are: {listed}." if listed else "Put documents into the project's folder `knowledge`.",
        )

    @contextmanager
    def _using(self) -> Generator[Tables]:
        with self._lock:
            try:
                if self._tables is None:
                    self._tables = Tables(self._place())
                yield self._tables
            except DRIVER_ERRORS as error:
                self._drop()
                place = self._place()
                where = "the store's database" if place.server else repr(str(place.file))
                if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                    raise UserError(
                        "knowledge-index-damaged",
                        f"The index in {where} cannot be used: {error}.",
                        hint="Delete it: it is made again from the documents.",
                    ) from None
                raise TransientError(
                    "knowledge-index-busy", f"The index in {where} does not answer: {error}."
                ) from None

    def _drop(self) -> None:
        if self._tables is not None:
            self._tables.connection.rollback()
            self._tables.connection.close()
            self._tables = None

    # --- bringing it up to date ---

    def _update(self, tables: Tables, base: str, settings: Base) -> tuple[int, int]:
        """How many files were read, and how many have gone."""
        made_by = f"{MADE_BY} {EMBEDDING}" if settings.embeddings else MADE_BY
        there = {file: f"{made_by} {seen}" for file, seen in files_of(settings).items()}
        known = _known(tables, base)
        gone = known.keys() - there.keys()
        changed = [file for file, seen in there.items() if file not in known or known[file][0] != seen]
        for file in sorted(gone):
            tables.connection.begin()
            tables.forget(base, file)
            tables.connection.execute("delete from knowledge_files where base = ? and file = ?", (base, file))
            tables.connection.commit()
        for file in changed:
            self._take_in(tables, base, settings, file, seen=there[file], made_by=made_by)
        return len(changed), len(gone)

    def _take_in(self, tables: Tables, base: str, settings: Base, file: str, *, seen: str, made_by: str) -> None:
        """One file, in one transaction."""
        passages: Sequence[Passage] = ()
        problem = remark = None
        named = ""
        try:
            content = (settings.folder / file).read_bytes()
            named = hashlib.sha256(made_by.encode() + b"\0" + content).hexdigest()
            before = _known(tables, base).get(file)
            if before is not None and before[1] == named:
                tables.connection.begin()
                tables.connection.execute(
                    "update knowledge_files set seen = ? where base = ? and file = ?", (seen, base, file)
                )
                tables.connection.commit()
                return
            pieces, remark = pieces_of(content, (settings.folder / file).suffix.lower())
            passages = passages_of(file, pieces)
        except OSError as error:
            problem = f"It cannot be read: {error.strerror}."
        except OrchestrionError as error:
            problem = str(error)
        vectors = _vectors(passages) if settings.embeddings else [None] * len(passages)
        row = {
            "base": base,
            "file": file,
            "seen": seen,
            "digest": named,
            "passages": len(passages),
            "problem": problem,
            "remark": remark,
        }
        tables.connection.begin()
        tables.forget(base, file)
        tables.add(
            [
                _row(base, place, each, vector)
                for place, (each, vector) in enumerate(zip(passages, vectors, strict=True))
            ]
        )
        tables.connection.execute(PUT_FILE, [row[name] for name in FILE_COLUMNS])
        tables.connection.commit()

    # --- asking ---

    def _search(self, tables: Tables, base: str, settings: Base, query: str, k: int) -> Found:
        known = _known(tables, base)
        index = _digest(known)
        ranked = tables.by_words(base, query, max(k, CANDIDATES))
        if settings.embeddings:
            ranked = _merged(ranked, self._by_meaning(tables, base, index, query))
        chosen = [(_passage(tables, base, at), round(score, 4)) for at, score in ranked[:k]]
        problems = sum(file.problem is not None for file in _notes(tables, base))
        return Found(
            digest=index,
            passages=chosen,
            by_meaning=settings.embeddings,
            problems=problems,
            labels=settings.labels,
        )

    def _by_meaning(self, tables: Tables, base: str, index: str, query: str) -> list[At]:
        import numpy as np

        from orchestrion.embeddings import embedder

        held = self._meanings.get(base)
        if held is None or held[0] != index:
            rows = tables.connection.execute(
                "select file, place, vector from knowledge_passages where base = ? and vector is not null", (base,)
            ).fetchall()
            vectors = np.frombuffer(b"".join(bytes(row[2]) for row in rows), dtype="<f4").reshape(len(rows), -1)
            held = index, [(row[0], int(row[1])) for row in rows], vectors
            self._meanings[base] = held
        _, places, vectors = held
        if not places:
            return []
        nearness = vectors @ embedder().embed([query])[0]
        return [places[at] for at in np.argsort(-nearness, kind="stable")[:CANDIDATES].tolist()]


def _merged(by_words: Sequence[tuple[At, float]], by_meaning: Sequence[At]) -> list[tuple[At, float]]:
    scores: dict[At, float] = {}
    for order in ([at for at, _ in by_words], by_meaning):
        for rank, at in enumerate(order, 1):
            scores[at] = scores.get(at, 0) + 1 / (FUSION + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _vectors(passages: Sequence[Passage]) -> list[bytes | None]:
    from orchestrion.embeddings import embedder

    texts = [f"{each.heading}\n{each.text}" for each in passages]
    return [vector.astype("<f4").tobytes() for vector in embedder().embed(texts)] if texts else []


def _known(tables: Tables, base: str) -> dict[str, tuple[str, str]]:
    """File → how it looked, and its digest."""
    rows = tables.connection.execute("select file, seen, digest from knowledge_files where base = ?", (base,))
    return {file: (seen, named) for file, seen, named in rows.fetchall()}


def _digest(known: Mapping[str, tuple[str, str]]) -> str:
    return digest([[file, named] for file, (_, named) in sorted(known.items())])


def _notes(tables: Tables, base: str) -> list[FileNote]:
    rows = tables.connection.execute(
        "select file, passages, problem, remark from knowledge_files where base = ? order by file", (base,)
    )
    return [
        FileNote(file=file, passages=passages, problem=problem, remark=remark)
        for file, passages, problem, remark in rows.fetchall()
    ]


def _row(base: str, place: int, passage: Passage, vector: bytes | None) -> list[Any]:
    values: dict[str, Any] = {
        "base": base,
        "file": passage.file,
        "place": place,
        "id": passage.id,
        "heading": _storable(passage.heading),
        "page": passage.page,
        "row": passage.row,
        "line": passage.line,
        "last_line": passage.last_line,
        "text": _storable(passage.text),
        "vector": vector,
    }
    return [values[name] for name in PASSAGE_COLUMNS]


def _storable(text: str) -> str:
    """Without what no database keeps: zero characters and halves of characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _passage(tables: Tables, base: str, at: At) -> Passage:
    row = tables.connection.execute(
        "select id, heading, page, row, line, last_line, text from knowledge_passages "
        "where base = ? and file = ? and place = ?",
        (base, *at),
    ).fetchone()
    found, heading, page, number, line, last_line, text = row
    return Passage(
        id=found, file=at[0], heading=heading, page=page, row=number, line=line, last_line=last_line, text=text
    )
