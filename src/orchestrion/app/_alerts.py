"""Alerts: each is opened once, told once, and cleared when all is well again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from orchestrion.core import Clock, Json, UserError, derived_id, dump, iso, parse
from orchestrion.oversight import Subject
from orchestrion.store import Connection, Storage

_COLUMNS = "id, rule, kind, name, opened_at, cleared_at, body, run_id, acknowledged_at, acknowledged_by"
_OPEN = """
insert into alerts (id, rule, kind, name, opened_at, body) values (?, ?, ?, ?, ?, ?) on conflict do nothing
"""
_CLEAR = "update alerts set cleared_at = ? where id = ? and cleared_at is null"
_CURRENT = f"select {_COLUMNS} from alerts where cleared_at is null order by opened_at, id"  # noqa: S608
_LISTED = f"select {_COLUMNS} from alerts order by opened_at desc, id limit ?"  # noqa: S608
_FIND = f"select {_COLUMNS} from alerts where id >= ? and id < ? order by id limit 2"  # noqa: S608
_UNTOLD = f"select {_COLUMNS} from alerts where run_id is null order by opened_at, id"  # noqa: S608
_TOLD = "update alerts set run_id = ?, body = ? where id = ? and run_id is null"
_ACKNOWLEDGE = """
update alerts set acknowledged_at = ?, acknowledged_by = ? where id = ? and acknowledged_at is null
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something was out of bounds."""

    id: str
    rule: str
    subject: Subject
    opened_at: float
    cleared_at: float | None = None
    body: Json
    """`sentence`, `runs` (the latest behind it), and the numbers."""
    run: str | None = None
    """The run that told somebody; empty where none could be started."""
    acknowledged_at: float | None = None
    acknowledged_by: str | None = None

    @property
    def sentence(self) -> str:
        return str(cast("dict[str, Json]", self.body)["sentence"])

    @property
    def problem(self) -> str | None:
        """Why nobody could be told."""
        return cast("str | None", cast("dict[str, Json]", self.body).get("problem"))

    @property
    def runs(self) -> Sequence[str]:
        return cast("Sequence[str]", cast("dict[str, Json]", self.body)["runs"])

    def to_json(self) -> dict[str, Json]:
        return {
            "id": self.id,
            "rule": self.rule,
            "of": self.subject.kind,
            "name": self.subject.name,
            "opened_at": iso(self.opened_at),
            "cleared_at": iso(self.cleared_at) if self.cleared_at is not None else None,
            "acknowledged_at": iso(self.acknowledged_at) if self.acknowledged_at is not None else None,
            "acknowledged_by": self.acknowledged_by,
            "run": self.run or None,
            "alert": self.body,
        }


class AlertBook:
    """The alerts of a store."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def open(self, rule: str, subject: Subject, body: Json, *, occasion: str) -> bool:
        """Open an alert, unless one of the rule and subject is open, or this occasion had one before."""
        row = (
            derived_id("alert", rule, subject.kind, subject.name, occasion),
            rule,
            subject.kind,
            subject.name,
            self._clock.now(),
            dump(body),
        )
        return await self._storage.change(lambda connection: connection.execute(_OPEN, row).rowcount > 0)

    async def clear(self, alert: Alert) -> None:
        row = (self._clock.now(), alert.id)
        await self._storage.change(lambda connection: connection.execute(_CLEAR, row) and None)

    async def current(self) -> Sequence[Alert]:
        """Those that are open, the first first."""
        return await self._read(_CURRENT)

    async def untold(self) -> Sequence[Alert]:
        """Those for which no run was started yet."""
        return await self._read(_UNTOLD)

    async def listed(self, limit: int) -> Sequence[Alert]:
        """The latest first."""
        return await self._read(_LISTED, limit)

    async def find(self, fragment: str) -> Alert:
        """The alert whose id begins so. Raises: UserError `unknown-alert`, `ambiguous-alert`."""
        found = await self._read(_FIND, fragment, fragment + "g")
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError("ambiguous-alert", f"Several alerts begin with {fragment!r}.", hint="Write more of it.")
        raise UserError("unknown-alert", f"There is no alert {fragment!r}.", hint="orchestrion alerts list")

    async def told(self, alert: Alert, run_id: str, problem: str | None = None) -> None:
        """A run tells of it; or none can, and why."""
        body = {**cast("dict[str, Json]", alert.body), **({"problem": problem} if problem else {})}
        row = (run_id, dump(body), alert.id)
        await self._storage.change(lambda connection: connection.execute(_TOLD, row) and None)

    async def acknowledge(self, alert: Alert, by: str) -> Alert:
        """Somebody has seen it. Raises: UserError `alert-acknowledged`."""
        row = (self._clock.now(), by, alert.id)
        if not await self._storage.change(lambda connection: connection.execute(_ACKNOWLEDGE, row).rowcount):
            now = await self.find(alert.id)
            raise UserError("alert-acknowledged", f"{now.acknowledged_by!r} has acknowledged it already.")
        return await self.find(alert.id)

    async def _read(self, text: str, *given: object) -> Sequence[Alert]:
        def read(connection: Connection) -> list[Alert]:
            return [_alert(*row) for row in connection.execute(text, given)]

        return await self._storage.look(read)


def _alert(
    name: str,
    rule: str,
    kind: str,
    subject: str,
    opened_at: float,
    cleared_at: float | None,
    body: str,
    run: str | None,
    acknowledged_at: float | None,
    acknowledged_by: str | None,
) -> Alert:
    return Alert(
        id=name,
        rule=rule,
        subject=Subject(kind, subject),  # pyright: ignore[reportArgumentType] - as it was kept
        opened_at=opened_at,
        cleared_at=cleared_at,
        body=parse(body),
        run=run,
        acknowledged_at=acknowledged_at,
        acknowledged_by=acknowledged_by,
    )
