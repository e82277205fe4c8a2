"""Incidents: what goes wrong with a model, or will, from its first sign to its end, once for all processes on a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from orchestrion.core import Clock, Json, UserError, dump, new_id, parse
from orchestrion.store import Connection, Storage

Count = Literal["failed", "followed", "unanswered"]

_COLUMNS = "id, kind, subject, target, opened_at, closed_at, failed, followed, unanswered, answers"
_OPEN_ONES = f"select {_COLUMNS} from incidents where closed_at is null order by opened_at, id"  # noqa: S608
_OPEN_ONE = "select id from incidents where kind = ? and subject = ? and target = ? and closed_at is null"
_FIND = f"select {_COLUMNS} from incidents where id >= ? and id < ? order by id limit 2"  # noqa: S608
_LISTED = f"select {_COLUMNS} from incidents order by opened_at desc, id limit ?"  # noqa: S608
_STEPS = "select number, mark, at, what, run_id, told from incident_steps where incident = ? order by number"
_OPEN = """
insert into incidents (id, kind, subject, target, opened_at, steps, failed, followed, unanswered, answers)
values (?, ?, ?, ?, ?, 0, 0, 0, 0, 0) on conflict do nothing
"""
_NEXT = """
update incidents set steps = steps + 1 where id = ? and closed_at is null
and not exists (select 1 from incident_steps where incident = ? and mark = ?) returning steps
"""
_STEP = """
insert into incident_steps (incident, number, mark, at, what, run_id, told) values (?, ?, ?, ?, ?, ?, ?)
on conflict do nothing
"""
_COUNT: Mapping[Count, str] = {
    "failed": "update incidents set failed = failed + 1, answers = 0 where id = ? and closed_at is null",
    "followed": "update incidents set followed = followed + 1 where id = ? and closed_at is null",
    "unanswered": "update incidents set unanswered = unanswered + 1 where id = ? and closed_at is null",
}
_ANSWERED = "update incidents set answers = answers + 1 where id = ? and closed_at is null returning answers"
_CLOSE = "update incidents set closed_at = ? where id = ? and closed_at is null"
_CLAIM = """
update incidents set looked_at = ? where id = ? and closed_at is null and (looked_at is null or looked_at <= ?)
"""


class IncidentKind(StrEnum):
    GONE = "model-gone"
    """Its provider says that there is no such model, or no more."""
    OUTAGE = "model-outage"
    """It failed so often in a row that it is left alone for a while."""
    RETIREMENT = "retirement"
    """Its last day comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One thing that goes wrong, or will."""

    id: str
    kind: IncidentKind
    subject: str
    """A model's name."""
    target: str
    """What the name leads to: another provider under the same name is another model."""
    opened_at: float
    closed_at: float | None = None
    failed: int = 0
    """Requests that it failed."""
    followed: int = 0
    """Requests that another model answered in its place."""
    unanswered: int = 0
    """Requests that no model answered."""
    answers: int = 0
    """Good ones since it last failed."""

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentStep:
    """A row of an incident's timeline."""

    number: int
    mark: str
    """What is told once of an incident."""
    at: float
    what: str
    run_id: str | None = None
    told: Json = None
    """The same for machines, where there is more to it than words."""

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__slots__}


class Incidents:
    """The incidents of a store. There is one open at a time of a kind, subject and target."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def open(self, kind: IncidentKind, subject: str, target: str, *, what: str, run_id: str | None = None) -> str:
        """The id of the incident that is open, or is opened now with `what` as its first step."""
        now = self._clock.now()

        def write(connection: Connection) -> str:
            connection.execute(_OPEN, (new_id(), kind, subject, target, now))
            incident = str(connection.execute(_OPEN_ONE, (kind, subject, target)).fetchone()[0])
            _add(connection, incident, "opened", now, what, run_id, None)
            return incident

        return await self._storage.change(write)

    async def note(
        self,
        incident: str,
        mark: str,
        what: str,
        *,
        run_id: str | None = None,
        told: Json = None,
        count: Count | None = None,
    ) -> bool:
        """Add a step unless one of this mark is there, or the incident is closed; and count. Whether it was added."""
        now = self._clock.now()

        def write(connection: Connection) -> bool:
            if count is not None:
                connection.execute(_COUNT[count], (incident,))
            return _add(connection, incident, mark, now, what, run_id, told)

        return await self._storage.change(write)

    async def answered(self, incident: str, *, enough: int, run_id: str) -> bool:
        """What had failed has answered; with `enough` good answers in a row the incident is closed. Whether it is."""
        now = self._clock.now()

        def write(connection: Connection) -> bool:
            rows = connection.execute(_ANSWERED, (incident,)).fetchall()
            if not rows:
                return True
            answers = int(rows[0][0])
            if answers == 1:
                number = connection.execute("select steps from incidents where id = ?", (incident,)).fetchone()[0]
                _add(connection, incident, f"answered:{number}", now, "it answers again", run_id, None)
            if answers < enough:
                return False
            _add(connection, incident, "closed", now, f"over, after {enough} good answers in a row", run_id, None)
            connection.execute(_CLOSE, (now, incident))
            return True

        return await self._storage.change(write)

    async def close(self, incident: str, what: str) -> None:
        """End it, with `what` as its last step. Closing it again changes nothing."""
        now = self._clock.now()

        def write(connection: Connection) -> None:
            _add(connection, incident, "closed", now, what, None, None)
            connection.execute(_CLOSE, (now, incident))

        await self._storage.change(write)

    async def claim(self, incident: str, every_s: float) -> bool:
        """Whether this process may look after it now: one of all does, and not again within `every_s`."""
        now = self._clock.now()
        return await self._storage.change(
            lambda connection: connection.execute(_CLAIM, (now, incident, now - every_s)).rowcount == 1
        )

    async def current(self) -> Sequence[Incident]:
        """Those that are open, the oldest first."""
        return await self._storage.look(
            lambda connection: [_incident(*row) for row in connection.execute(_OPEN_ONES).fetchall()]
        )

    async def listed(self, limit: int) -> Sequence[Incident]:
        """The latest first, open or not."""
        return await self._storage.look(
            lambda connection: [_incident(*row) for row in connection.execute(_LISTED, (limit,)).fetchall()]
        )

    async def find(self, fragment: str) -> Incident:
        """The incident whose id begins so. Raises: UserError `unknown-incident`, `ambiguous-incident`."""
        found = await self._storage.look(
            lambda connection: [_incident(*row) for row in connection.execute(_FIND, (fragment, fragment + "g"))]
        )
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(
                "ambiguous-incident", f"Several incidents begin with {fragment!r}.", hint="Write more of it."
            )
        raise UserError("unknown-incident", f"There is no incident {fragment!r}.", hint="orchestrion incidents list")

    async def steps(self, incident: str) -> Sequence[IncidentStep]:
        """Its timeline."""
        return await self._storage.look(
            lambda connection: [_step(*row) for row in connection.execute(_STEPS, (incident,)).fetchall()]
        )


def _add(
    connection: Connection, incident: str, mark: str, at: float, what: str, run_id: str | None, told: Json
) -> bool:
    """The row that counts an incident's steps is locked by its update, so that two processes do not take one number."""
    rows = connection.execute(_NEXT, (incident, incident, mark)).fetchall()
    if not rows:
        return False
    values = (incident, rows[0][0], mark, at, what, run_id, None if told is None else dump(told))
    return connection.execute(_STEP, values).rowcount == 1


def _incident(
    name: str,
    kind: str,
    subject: str,
    target: str,
    opened_at: float,
    closed_at: float | None,
    failed: int,
    followed: int,
    unanswered: int,
    answers: int,
) -> Incident:
    return Incident(
        id=name,
        kind=IncidentKind(kind),
        subject=subject,
        target=target,
        opened_at=opened_at,
        closed_at=closed_at,
        failed=failed,
        followed=followed,
        unanswered=unanswered,
        answers=answers,
    )


def _step(number: int, mark: str, at: float, what: str, run_id: str | None, told: str | None) -> IncidentStep:
    return IncidentStep(
        number=number, mark=mark, at=at, what=what, run_id=run_id, told=parse(told) if told is not None else None
    )
