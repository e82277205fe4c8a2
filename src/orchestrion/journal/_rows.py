"""Between the journal's words and the rows of the tables, by position: this is the hot path of every step."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from orchestrion.core import (
    Answer,
    Entry,
    EntryKind,
    EntryStatus,
    Json,
    Message,
    Quarantined,
    Question,
    Request,
    RequestStatus,
    Run,
    RunStatus,
    dump_bytes,
    parse,
)
from orchestrion.store import Blobs

from ._rules import require_bytes
from ._stored import Reference, StoredEntry, held_by

INLINE = 256 * 1024
"""Bytes of JSON text that stay in the row; what is larger goes to the blobs."""

_BLOB = "blob:"
"""No JSON text begins with it."""

Row: TypeAlias = "tuple[Any, ...]"
Fetch: TypeAlias = Callable[[str], bytes]

_LAZY = {"input": 6, "output": 7, "why": 11}
"""Columns of an entry that are read when they are asked for, where they are large."""
_KINDS = {kind.value: kind for kind in EntryKind}
_ENTRY_STATUS = {status.value: status for status in EntryStatus}
_RUN_STATUS = {status.value: status for status in RunStatus}
_REQUEST_STATUS = {status.value: status for status in RequestStatus}


class Large:
    """The large values of one transaction: to be kept before its rows are."""

    __slots__ = ("contents", "digests")

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.digests: list[str] = []
        """Of the row that is being built."""

    def text(self, value: Json, what: str) -> str | None:
        """What stands in the column: JSON text, a reference, or nothing. Raises: UserError `not-json`, `value-too-large`."""
        if value is None:
            return None
        content = dump_bytes(value)
        return content.decode() if len(content) <= INLINE // 4 else self._referred(content, what)

    def _referred(self, content: bytes, what: str) -> str:
        """A long text, or the reference to it if it has too many bytes for a row."""
        require_bytes(content, what)
        if len(content) <= INLINE:
            return content.decode()
        digest = hashlib.sha256(content).hexdigest()
        self.contents[digest] = content
        return self.refer(digest)

    def refer(self, digest: str) -> str:
        """The reference to a value that is kept already."""
        self.digests.append(digest)
        return _BLOB + digest

    def row_digests(self) -> str | None:
        """The `blobs` column of the row built since the last call."""
        if not self.digests:
            return None
        found = " ".join(self.digests)
        self.digests.clear()
        return found

    def keep(self, blobs: Blobs) -> None:
        """Make them durable. Raises: OSError."""
        for digest, content in self.contents.items():
            blobs.put(digest, content)


def load(row: Row, fetch: Fetch) -> Row:
    """The row with references to blobs replaced by what they refer to. The `blobs` column is the last of every table."""
    if row[-1] is None:
        return row
    return tuple(
        fetch(column[len(_BLOB) :]) if isinstance(column, str) and column.startswith(_BLOB) else column
        for column in row
    )


def _json(text: str | bytes | None) -> Any:
    return None if text is None else parse(text)


# --- entries ---


def entry_row(run_id: str, entry: Entry, epoch: int, seq: int, large: Large) -> Row:
    return (run_id, entry.key, seq, *_record(entry, epoch, large))


def late_row(run_id: str, entry: Entry, large: Large) -> Row:
    return (run_id, entry.key, *_record(entry, entry.epoch, large))


def _record(entry: Entry, epoch: int, large: Large) -> Row:
    """`_value_` and the tests for None are there for speed: this is done for every step."""
    text, what = large.text, entry.key
    if type(entry) is StoredEntry:
        given, output, why = (_column(entry, name, large) for name in _LAZY)
    else:
        given = None if entry.input is None else text(entry.input, what)
        output = None if entry.output is None else text(entry.output, what)
        why = None if entry.why is None else text(entry.why, what)
    return (
        entry.kind._value_,
        entry.status._value_,
        entry.task,
        entry.function,
        entry.digest,
        given,
        output,
        None if entry.problem is None else text(entry.problem, what),
        None if entry.labels is None else text(entry.labels, what),
        None if entry.decision is None else text(entry.decision, what),
        why,
        None if entry.cost is None else text(entry.cost, what),
        entry.model,
        None if entry.versions is None else text(entry.versions, what),
        entry.subject,
        entry.started_at,
        entry.ended_at,
        epoch,
        large.row_digests() if large.digests else None,
    )


def _column(entry: StoredEntry, name: str, large: Large) -> str | None:
    """A value that is in the store already is referred to, and neither read nor written again."""
    held = held_by(entry, name)
    return large.refer(held.digest) if isinstance(held, Reference) else large.text(held, entry.key)


def stored_entry(row: Row, fetch: Fetch) -> Entry:
    """From the same columns as `entry_from`; large values are read when they are asked for."""
    if row[-1] is None:
        return entry_from(row)
    large = {name: Reference(row[at][len(_BLOB) :], fetch) for name, at in _LAZY.items() if _is_large(row[at])}
    small = [None if at in _LAZY.values() and _is_large(column) else column for at, column in enumerate(row)]
    entry = entry_from(load(tuple(small), fetch))
    fields: dict[str, Any] = {each.name: getattr(entry, each.name) for each in dataclasses.fields(entry)}
    fields |= large
    return StoredEntry(**fields)


def _is_large(column: object) -> bool:
    return isinstance(column, str) and column.startswith(_BLOB)


def entry_from(row: Row) -> Entry:
    """From the columns of `entries` without run_id and seq, or of `late` without id and run_id."""
    return Entry(
        key=row[0],
        kind=_KINDS[row[1]],
        status=_ENTRY_STATUS[row[2]],
        task=row[3],
        function=row[4],
        digest=row[5],
        input=_json(row[6]),
        output=_json(row[7]),
        problem=_json(row[8]),
        labels=_json(row[9]),
        decision=_json(row[10]),
        why=_json(row[11]),
        cost=_json(row[12]),
        model=row[13],
        versions=_json(row[14]),
        subject=row[15],
        started_at=row[16],
        ended_at=row[17],
        epoch=row[18],
    )


class StoredEntries(Mapping[str, Entry]):
    """Entries by key, in the order of first writes, each read from its row when it is first asked for."""

    def __init__(self, rows: Sequence[Row], fetch: Fetch) -> None:
        self._rows: dict[str, Row | Entry] = {row[0]: row for row in rows}
        self._fetch = fetch

    def __getitem__(self, key: str) -> Entry:
        found = self._rows[key]
        if isinstance(found, tuple):
            found = self._rows[key] = stored_entry(found, self._fetch)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        return key in self._rows


# --- runs ---


def run_row(run: Run, large: Large) -> Row:
    return (
        run.id,
        run.namespace,
        run.workflow,
        run.version,
        run.digest,
        run.semantics,
        run.status.value,
        run.epoch,
        run.start_key,
        run.batch,
        run.row,
        large.text(run.input, "The run's input"),
        large.text(run.output, "The run's output"),
        large.text(run.problem, "The run's problem"),
        run.fault_key,
        large.text(run.labels, "The run's labels"),
        large.text(run.decision, "The run's decision"),
        large.text(run.cost, "The run's cost"),
        large.text(run.versions, "The run's versions"),
        run.subject,
        run.parent_id,
        run.parent_key,
        run.root_id,
        run.copied_from,
        run.attempt,
        run.inbox_seq,
        run.cancel_requested_by,
        run.wake_at,
        run.created_at,
        run.started_at,
        run.ended_at,
        run.wake_at if run.status is RunStatus.WAITING else None,
        large.row_digests(),
    )


def run_from(row: Row) -> Run:
    return Run(
        id=row[0],
        namespace=row[1],
        workflow=row[2],
        version=row[3],
        digest=row[4],
        semantics=row[5],
        status=_RUN_STATUS[row[6]],
        epoch=row[7],
        start_key=row[8],
        batch=row[9],
        row=row[10],
        input=_json(row[11]),
        output=_json(row[12]),
        problem=_json(row[13]),
        fault_key=row[14],
        labels=_json(row[15]),
        decision=_json(row[16]),
        cost=_json(row[17]),
        versions=_json(row[18]),
        subject=row[19],
        parent_id=row[20],
        parent_key=row[21],
        root_id=row[22],
        copied_from=row[23],
        attempt=row[24],
        inbox_seq=row[25],
        cancel_requested_by=row[26],
        wake_at=row[27],
        created_at=row[28],
        started_at=row[29],
        ended_at=row[30],
    )


# --- requests, messages, quarantine ---


def request_row(request: Request, large: Large) -> Row:
    return (
        request.id,
        request.run_id,
        request.key,
        request.task,
        request.status.value,
        large.text(request.question.to_json(), "A question"),
        large.text(request.answer.to_json(), "An answer") if request.answer else None,
        request.created_at,
        request.expires_at,
        large.row_digests(),
    )


def request_from(row: Row) -> Request:
    return Request(
        id=row[0],
        run_id=row[1],
        key=row[2],
        task=row[3],
        status=_REQUEST_STATUS[row[4]],
        question=Question.from_json(_json(row[5])),
        answer=None if row[6] is None else Answer.from_json(_json(row[6])),
        created_at=row[7],
        expires_at=row[8],
    )


def message_from(row: Row) -> Message:
    """From the columns of `messages` without run_id."""
    return Message(id=row[0], seq=row[1], key=row[2], kind=row[3], body=_json(row[4]))


def quarantined_row(row: Quarantined, large: Large) -> Row:
    return (
        row.batch,
        row.row,
        large.text(row.value, "A quarantined row"),
        large.text(list(row.reasons), "The reasons"),
        row.created_at,
        large.row_digests(),
    )


def quarantined_from(row: Row) -> Quarantined:
    reasons = cast("list[str]", _json(row[3]))
    return Quarantined(batch=row[0], row=row[1], value=_json(row[2]), reasons=reasons, created_at=row[4])
