"""The line before a model with limits, as rows: who waits, who is being answered, and who was within the last minute."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from orchestrion.store import Connection, created, slots

from ._settings import ModelLimits

T = TypeVar("T")

LEASE_S = 6.0
"""A row lives for so long unless its process renews it: what a killed one held is free after that."""
RENEW_S = 2.0
POLL_S = 0.2
"""How often a process that waits for another one's slot looks."""
WINDOW_S = 60.0

_FORGET = """
delete from slots where model = ? and ((granted_at is null and expires_at <= ?)
    or (granted_at <= ? and (released_at is not null or expires_at <= ?)))
"""
_RENEW = "update slots set expires_at = ? where model = ? and holder = ? and released_at is null"
_RELEASE = "update slots set released_at = ? where ticket = ? and granted_at is not null"
_GIVE_UP = "delete from slots where ticket = ? and granted_at is null"
_JOIN = """
insert into slots (ticket, model, holder, run_id, asked_at, expires_at) values (?, ?, ?, ?, ?, ?)
on conflict (ticket) do nothing
"""
_HELD = """
select count(*) from slots where model = ? and granted_at is not null and released_at is null and expires_at > ?
"""
_RECENT = "select count(*), min(granted_at) from slots where model = ? and granted_at > ?"
_WAITING = "select ticket, holder from slots where model = ? and granted_at is null order by asked_at, ticket limit ?"
_GRANT = "update slots set granted_at = ? where ticket = ?"
_IN_LINE = """
select run_id, model, asked_at from slots where granted_at is null and expires_at > ? order by asked_at, ticket
"""
_MANY = 10_000


class Line(Protocol):
    """Where the rows are: a journal on the store, or this process."""

    async def change(self, work: Callable[[Connection], T]) -> T: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A request's place in the line."""

    name: str
    run_id: str
    asked_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InLine:
    """A request that waits for its turn."""

    run_id: str
    model: str
    asked_at: float


def advance(
    connection: Connection,
    *,
    model: str,
    limits: ModelLimits,
    holder: str,
    waiting: Sequence[Ticket],
    released: Sequence[str],
    now: float,
) -> tuple[list[str], float]:
    """One step of the line, as one transaction: this process's tickets that have their turn, and when to look again, in seconds.

    The first in the line come first, whichever process they are of; those of another one are left for it to take.
    """
    connection.execute(_FORGET, (model, now, now - WINDOW_S, now))
    connection.execute(_RENEW, (now + LEASE_S, model, holder))
    for name in released:
        connection.execute(_RELEASE, (now, name))
        connection.execute(_GIVE_UP, (name,))
    for ticket in waiting:
        connection.execute(_JOIN, (ticket.name, model, holder, ticket.run_id, min(ticket.asked_at, now), now + LEASE_S))
    free, again_s = _free(connection, model, limits, now)
    granted: list[str] = []
    if free > 0:
        for name, of in connection.execute(_WAITING, (model, free)).fetchall():
            if of == holder:
                connection.execute(_GRANT, (now, name))
                granted.append(str(name))
    return granted, again_s if len(granted) < len(waiting) else RENEW_S


def _free(connection: Connection, model: str, limits: ModelLimits, now: float) -> tuple[int, float]:
    """How many may begin now, and when that may have changed."""
    free, again_s = _MANY, POLL_S
    if limits.concurrency is not None:
        free = limits.concurrency - int(connection.execute(_HELD, (model, now)).fetchone()[0])
    if limits.requests_per_minute is not None:
        count, oldest = connection.execute(_RECENT, (model, now - WINDOW_S)).fetchone()
        left = limits.requests_per_minute - int(count)
        if left <= 0:
            again_s = min(RENEW_S, max(POLL_S, oldest + WINDOW_S - now))
        free = min(free, left)
    return free, again_s


def in_line(connection: Connection, now: float) -> list[InLine]:
    """Every request that waits for a turn at a model, of whatever process, first come first."""
    return [
        InLine(run_id=str(run_id), model=str(model), asked_at=float(asked_at))
        for run_id, model, asked_at in connection.execute(_IN_LINE, (now,))
    ]


class OwnLine:
    """A line within this process, where there is no store."""

    def __init__(self) -> None:
        self._connection: Any = None  # sqlite3's own, which fits Connection as far as `advance` uses it

    async def change(self, work: Callable[[Connection], T]) -> T:
        if self._connection is None:
            self._connection = sqlite3.connect(":memory:", isolation_level=None)
            self._connection.execute(created(slots))
        return work(self._connection)

    def close(self) -> None:
        if self._connection is not None:
            with closing(self._connection):
                self._connection = None
