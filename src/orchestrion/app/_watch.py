"""Watching at work: what runs do is counted by windows of time, and looked at for drift."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from orchestrion.core import Clock, Json, dump, iso, parse
from orchestrion.oversight import MEASURES, Measures, Seen, Signal, Subject, SubjectKind, detect, measured
from orchestrion.store import Connection, Storage

from ._news import LATE_S, Cursor, News, Said, news

WINDOW_S = 300.0
"""Length of a window: what is measured over a time is measured over whole ones."""
KEPT_S = 35 * 86_400.0
"""Seconds after which a window is removed."""
NAME = "watch"
FAMILIES: Mapping[SubjectKind, str] = {"agent": "tool", "router": "label"}
"""What of a subject's doings is a choice among several."""
MOST_CHOICES = 30
"""Choices of one subject that are watched for drift."""

_CURSOR = "select body, revision from cursors where name = ?"
_MOVE = """
insert into cursors (name, body, revision) values (?, ?, 1)
on conflict (name) do update set body = excluded.body, revision = cursors.revision + 1
"""
_WINDOW = "select body from measures where at = ? and kind = ? and name = ?"
_KEEP_WINDOW = """
insert into measures (at, kind, name, body) values (?, ?, ?, ?)
on conflict (at, kind, name) do update set body = excluded.body
"""
_FORGET_WINDOWS = "delete from measures where at < ?"
_COUNTED = """
insert into watched (run_id, seq, open, ended_at, again) select ?, ?, ?, ?, ? where exists (select 1 from runs where id = ?)
on conflict (run_id) do update
    set seq = excluded.seq, open = excluded.open, ended_at = excluded.ended_at, again = excluded.again
"""
_FORGET_COUNTED = "delete from watched where ended_at < ? and again = 0"
_SIGNALS = "select signal, body from signals where kind = ? and name = ?"
_KEEP_SIGNAL = """
insert into signals (kind, name, signal, body) values (?, ?, ?, ?)
on conflict (kind, name, signal) do update set body = excluded.body
"""
_ALL_SIGNALS = "select kind, name, signal, body from signals order by kind, name, signal"
_SUMS = "select kind, name, body from measures where at >= ? and kind = ? order by at"
_DRIFTED = "update signals set body = ? where kind = ? and name = ? and signal = ? and body = ?"


class Watch:
    """Counts what runs of a store do. Several processes may: each thing is counted once, by whoever comes first."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def look(self) -> bool:
        """Count a page of what is new; whether there is more."""
        now = self._clock.now()

        def read(connection: Connection) -> tuple[int, News, Mapping[tuple[float, Subject], Measures], list[Seen]]:
            row = connection.execute(_CURSOR, (NAME,)).fetchone()
            begun = now - KEPT_S
            cursor = Cursor.from_json(parse(row[0])) if row else Cursor(ended_at=begun, begun_at=begun)
            found = news(connection, cursor, now)
            seen = [each for record in found.records for each in measured(record)]
            seen += [each for said in found.said for each in _of_feedback(said)]
            return row[1] if row else 0, found, _windows(seen), sorted(seen, key=lambda each: each.at)

        revision, found, windows, seen = await self._storage.look(read)

        def write(connection: Connection) -> None:
            row = connection.execute(_CURSOR, (NAME,)).fetchone()
            if (row[1] if row else 0) != revision:
                return  # somebody else has counted these
            connection.execute(_MOVE, (NAME, dump(found.cursor.to_json())))
            for (at, subject), sums in windows.items():
                _add(connection, at, subject, sums)
            connection.executemany(_COUNTED, [(*each.row, each.run) for each in found.counted])
            connection.execute(_FORGET_COUNTED, (found.cursor.ended_at - LATE_S,))
            connection.execute(_FORGET_WINDOWS, (now - KEPT_S,))
            _signal(connection, seen)

        if not found.nothing:
            await self._storage.change(write)
        return found.more

    async def catch_up(self, pages: int = 1_000_000) -> bool:
        """Count what is new, up to so many pages; whether there is more."""
        for _ in range(pages):
            if not await self.look():
                return False
        return True

    async def sums(self, kind: SubjectKind, since: float) -> Mapping[str, Measures]:
        """Name → what subjects of a kind did in the windows that end after `since`."""

        def read(connection: Connection) -> dict[str, Measures]:
            found: dict[str, Measures] = defaultdict(Measures)
            for _, name, body in connection.execute(_SUMS, (window(since), kind)):
                found[name].add(Measures.from_json(parse(body)))
            return dict(found)

        return await self._storage.look(read)

    async def signals(self) -> Mapping[tuple[Subject, str], Signal]:
        """What is watched for drift."""

        def read(connection: Connection) -> dict[tuple[Subject, str], Signal]:
            rows = connection.execute(_ALL_SIGNALS)
            return {(Subject(kind, name), signal): Signal.from_json(parse(body)) for kind, name, signal, body in rows}

        return await self._storage.look(read)

    async def detect(self) -> Sequence[tuple[Subject, str, Signal]]:
        """Look for drift in what has not been looked at; the signals that have just changed."""
        at = self._clock.now()
        changed: list[tuple[Subject, str, Signal]] = []
        for (subject, name), before in (await self.signals()).items():
            if before.checked == len(before.values):
                continue
            after = await asyncio.to_thread(detect, before, at)
            row = (dump(after.to_json()), subject.kind, subject.name, name, dump(before.to_json()))
            kept = await self._storage.change(lambda connection, row=row: connection.execute(_DRIFTED, row).rowcount)
            if kept and after.changes != before.changes:
                changed.append((subject, name, after))
        return changed


def window(at: float) -> float:
    """The beginning of the window a time falls into."""
    return at // WINDOW_S * WINDOW_S


def _windows(seen: Sequence[Seen]) -> Mapping[tuple[float, Subject], Measures]:
    found: dict[tuple[float, Subject], Measures] = defaultdict(Measures)
    for each in seen:
        found[window(each.at), each.subject].add(each.measures)
    return found


def _add(connection: Connection, at: float, subject: Subject, sums: Measures) -> None:
    row = connection.execute(_WINDOW, (at, subject.kind, subject.name)).fetchone()
    whole = Measures.from_json(parse(row[0])) if row else Measures()
    whole.add(sums)
    connection.execute(_KEEP_WINDOW, (at, subject.kind, subject.name, dump(whole.to_json())))


def _of_feedback(said: Said) -> Iterator[Seen]:
    subjects = [Subject("workflow", said.workflow)]
    subjects += [Subject("agent", name) for name in said.agents]
    subjects += [Subject("router", name) for name in said.routers]
    for subject in subjects:
        sums = Measures()
        sums.tell("corrected", said.run, int(said.corrected))
        if said.thumb is not None:
            sums.tell(said.thumb, said.run)
        wrong = said.corrected or said.thumb == "bad"
        yield Seen(at=said.at, subject=subject, measures=sums, signals={"feedback": float(wrong)})


def _signal(connection: Connection, seen: Sequence[Seen]) -> None:
    """Keep what is watched for drift: rates, and of each choice whether it was taken."""
    by_subject: dict[Subject, list[Seen]] = defaultdict(list)
    for each in seen:
        if each.signals:
            by_subject[each.subject].append(each)
    for subject, those in by_subject.items():
        rows = connection.execute(_SIGNALS, (subject.kind, subject.name)).fetchall()
        known = {name: Signal.from_json(parse(body)) for name, body in rows}
        more = _values(FAMILIES.get(subject.kind), those, known)
        for name, values in more.items():
            body: Json = known.get(name, Signal()).seen(values).to_json()
            connection.execute(_KEEP_SIGNAL, (subject.kind, subject.name, name, dump(body)))


def _values(family: str | None, those: Sequence[Seen], known: Mapping[str, Signal]) -> Mapping[str, list[float]]:
    """Signal → what is new of it, in order. A choice that was never seen before begins with the one that takes it."""
    choices = [name for name in known if family is not None and name.startswith(f"{family} ")]
    found: dict[str, list[float]] = defaultdict(list)
    for each in those:
        for name, value in each.signals.items():
            found[name].append(value)
        if each.used is None:
            continue
        taken = {f"{family} {name}" for name in each.used}
        choices += [name for name in sorted(taken) if name not in choices][: max(0, MOST_CHOICES - len(choices))]
        for name in choices:
            found[name].append(float(name in taken))
    return found


def watched_json(
    found: Mapping[SubjectKind, Mapping[str, Measures]], signals: Mapping[tuple[Subject, str], Signal]
) -> Json:
    """What was counted and what drifted, for scripts and over HTTP."""
    drift: list[Json] = [
        {
            "of": subject.kind,
            "name": subject.name,
            "signal": signal,
            "mean": seen.mean,
            "values": len(seen.values),
            "changes": [
                {"at": iso(each.at), "before": each.before, "after": each.after, "values": each.values}
                for each in seen.changes
            ],
        }
        for (subject, signal), seen in signals.items()
    ]
    return {
        "measures": [
            {
                "of": kind,
                "name": name,
                **{measure: sums.value(measure) for measure in MEASURES},
                "mix": cast("Json", sums.mix),
                "runs": cast("Json", sums.runs),
            }
            for kind, subjects in found.items()
            for name, sums in subjects.items()
        ],
        "drift": drift,
    }
