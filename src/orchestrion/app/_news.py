"""What runs have done since somebody last looked: read from the store by a cursor, a page at a time, each thing once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from orchestrion.core import Entry, EntryKind, EntryStatus, Json, dump, parse
from orchestrion.oversight import Record
from orchestrion.store import Connection

PAGE = 100
"""Runs, and as many words of feedback, read in one go."""
BEGUN = 1_000
"""Rows of new runs read in one go."""
LATE_S = 5.0
"""How long after its time a row may appear: a clock is read before what it said is written."""
UNSETTLED_S = 60.0
"""How long a new run is watched for whether it waits. One that takes longer is counted when it ends."""

_NOT_YET = """
not exists (select 1 from watched where watched.run_id = runs.id and watched.ended_at >= runs.ended_at)
"""
_ENDED = f"""
select id, status, ended_at from runs where ended_at >= ? and {_NOT_YET} order by ended_at, id limit ?
"""  # noqa: S608
_BEGUN = """
select id, status, created_at from runs
where created_at >= ? and (created_at > ? or id > ?) order by created_at, id limit ?
"""
_RUN = """
select namespace, workflow, status, created_at, started_at, ended_at, fault_key from runs where id = ?
"""
_WATCHED = "select seq, open from watched where run_id = ?"
_ENTRIES = """
select seq, key, kind, function, status, subject, model, started_at, ended_at, decision, why, cost,
    case when function in ('route:1.0.0', 'model:1.0.0') or kind = 'request' then output end,
    case when function = 'route:1.0.0' or (function = 'model:1.0.0' and model is null) then input end
from entries where run_id = ? and kind in ('leaf', 'request') order by seq
"""
_FEEDBACK = (
    "select number, run_id, at, thumb, correction is not null from feedback where number > ? order by number limit ?"
)
_ACTORS = """
select distinct subject, case when function = 'route:1.0.0' then input end from entries
where run_id = ? and (function = 'route:1.0.0' or (function = 'model:1.0.0' and subject is not null))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the runs of a store have been counted."""

    ended_at: float
    begun_at: float
    begun_id: str = ""
    feedback: int = 0

    def to_json(self) -> Json:
        return cast("Json", asdict(self))

    @staticmethod
    def from_json(kept: Json) -> "Cursor":
        return Cursor(**cast("dict[str, Any]", kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What is remembered of a run until it cannot change any more."""

    run: str
    seq: int
    open: Sequence[str]
    ended_at: float | None
    again: bool

    @property
    def row(self) -> Sequence[object]:
        return self.run, self.seq, dump(list(self.open)), self.ended_at, int(self.again)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Feedback on a run, and whom it is about: `Agent::billing`, and the routers that were asked."""

    run: str
    workflow: str
    at: float
    thumb: str | None
    corrected: bool
    agents: Sequence[str]
    routers: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One page."""

    records: Sequence[Record] = ()
    counted: Sequence[Counted] = ()
    said: Sequence[Said] = ()
    cursor: Cursor
    more: bool = False

    @property
    def nothing(self) -> bool:
        return not self.counted and not self.said


@dataclass(slots=True)
class _Page:
    records: list[Record] = field(default_factory=list[Record])
    counted: list[Counted] = field(default_factory=list[Counted])


def news(connection: Connection, cursor: Cursor, now: float) -> News:
    """What is new at the time `now`, and the cursor behind it."""
    page = _Page()
    ended = connection.execute(_ENDED, (cursor.ended_at, PAGE)).fetchall()
    for run_id, _, _ in ended:
        _count(connection, run_id, page)
    last = min(ended[-1][2] if len(ended) == PAGE else now, now - LATE_S)
    cursor = replace(cursor, ended_at=max(cursor.ended_at, last))
    cursor = _begun(connection, cursor, now, page)
    said = connection.execute(_FEEDBACK, (cursor.feedback, PAGE)).fetchall()
    return News(
        records=page.records,
        counted=page.counted,
        said=[_said(connection, *row[1:]) for row in said],
        cursor=replace(cursor, feedback=said[-1][0]) if said else cursor,
        more=len(ended) == PAGE or len(said) == PAGE,
    )


def _begun(connection: Connection, cursor: Cursor, now: float, page: _Page) -> Cursor:
    """Runs that wait for the first time; how far the new ones have been seen through."""
    given = (cursor.begun_at, cursor.begun_at, cursor.begun_id, BEGUN)
    taken = {each.run for each in page.counted}
    settled = True
    for run_id, status, created_at in connection.execute(_BEGUN, given).fetchall():
        if status in {"waiting", "paused"} and run_id not in taken and _known(connection, run_id) is None:
            _count(connection, run_id, page)
        settled = settled and (status not in {"pending", "running"} or created_at < now - UNSETTLED_S)
        if settled and created_at < now - LATE_S:
            cursor = replace(cursor, begun_at=created_at, begun_id=run_id)
        if len(page.counted) >= 2 * PAGE:
            break
    return cursor


def _known(connection: Connection, run_id: str) -> tuple[int, Sequence[str]] | None:
    row = connection.execute(_WATCHED, (run_id,)).fetchone()
    return None if row is None else (row[0], cast("Sequence[str]", parse(row[1])))


def _count(connection: Connection, run_id: str, page: _Page) -> None:
    """Put a run's record on the page, with what of it is news."""
    row = connection.execute(_RUN, (run_id,)).fetchone()
    namespace, workflow, status, created_at, started_at, ended_at, fault_key = row
    seen, unanswered = _known(connection, run_id) or (0, ())
    entries: list[Entry] = []
    fresh: list[str] = []
    last = seen
    for seq, *columns in connection.execute(_ENTRIES, (run_id,)):
        entry = _entry(*columns)
        entries.append(entry)
        last = max(last, seq)
        taken_over = (entry.ended_at or entry.started_at or created_at) < created_at
        if not taken_over and (seq > seen or entry.key in unanswered):
            fresh.append(entry.key)
    waiting = [each.key for each in entries if each.status is EntryStatus.INTENT]
    page.records.append(
        Record(
            run=run_id,
            workflow=f"{namespace}/{workflow}",
            entries=entries,
            news=frozenset(key for key in fresh if key not in unanswered or key not in waiting),
            known=unanswered,
            ended_at=ended_at,
            seconds=max(0.0, (ended_at or 0.0) - (started_at or created_at)),
            faulted=status == "faulted",
            fault_key=fault_key,
        )
    )
    page.counted.append(Counted(run=run_id, seq=last, open=waiting, ended_at=ended_at, again=status == "faulted"))


def _entry(
    key: str,
    kind: str,
    function: str,
    status: str,
    subject: str | None,
    model: str | None,
    started_at: float | None,
    ended_at: float | None,
    decision: str | None,
    why: str | None,
    cost: str | None,
    output: str | None,
    given: str | None,
) -> Entry:
    return Entry(
        key=key,
        kind=EntryKind(kind),
        function=function,
        status=EntryStatus(status),
        subject=subject,
        model=model,
        started_at=started_at,
        ended_at=ended_at,
        decision=_value(decision),
        why=_value(why),
        cost=_value(cost),
        output=_value(output),
        input=_value(given),
    )


def _value(text: str | None) -> Json:
    """None for a value too large to stand in its row: nothing that is counted is."""
    return None if text is None or text.startswith("blob:") else parse(text)


def _said(connection: Connection, run_id: str, at: float, thumb: str | None, corrected: object) -> Said:
    namespace, workflow, *_ = connection.execute(_RUN, (run_id,)).fetchone()
    agents: set[str] = set()
    routers: set[str] = set()
    for subject, given in connection.execute(_ACTORS, (run_id,)):
        asked = _value(given)
        if isinstance(asked, dict) and isinstance(router := asked.get("router"), str):
            routers.add(router)
        elif (subject or "").startswith("Agent::"):
            agents.add(subject.removeprefix("Agent::"))
    return Said(
        run=run_id,
        workflow=f"{namespace}/{workflow}",
        at=at,
        thumb=thumb,
        corrected=bool(corrected),
        agents=sorted(agents),
        routers=sorted(routers),
    )
