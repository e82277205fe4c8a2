"""Conversations that outlive a run: kept in the store, one engagement at a time, added to exactly once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from orchestrion.core import Clock, Json, SystemClock, TransientError, UserError, dump, parse
from orchestrion.store import Connection, Storage

TURNS = 20
"""Of a session, the last ones are kept and shown to the model."""
CHARACTERS = 60_000
"""As many as the kept turns may have together, as JSON."""

_HOLDER = "select run_id, key from sessions where name = ? and agent = ?"
_ALIVE = "select status from runs where id = ?"
_OVER = {"completed", "faulted", "cancelled", "diverged"}
_CLAIM = """
insert into sessions (name, agent, run_id, key, created_at, updated_at) values (?, ?, ?, ?, ?, ?)
on conflict (name, agent) do update set run_id = excluded.run_id, key = excluded.key
"""
_TURNS = "select messages, labels from session_turns where name = ? and agent = ? order by number"
_ADDED = "select 1 from session_turns where name = ? and agent = ? and run_id = ? and key = ?"
_LAST = "select coalesce(max(number), 0) from session_turns where name = ? and agent = ?"
_ADD = (
    "insert into session_turns (name, agent, number, run_id, key, at, messages, labels) values (?, ?, ?, ?, ?, ?, ?, ?)"
)
_FORGET = "delete from session_turns where name = ? and agent = ? and number <= ?"
_RELEASE = "update sessions set run_id = null, key = null, updated_at = ? where name = ? and agent = ? and run_id = ? and key = ?"
_LIST = """
select sessions.name, sessions.agent, sessions.created_at, sessions.updated_at, sessions.run_id,
    (select count(*) from session_turns where session_turns.name = sessions.name and session_turns.agent = sessions.agent)
from sessions order by sessions.updated_at desc, sessions.name, sessions.agent limit ?
"""
_SHOW = "select agent, number, run_id, at, messages, labels from session_turns where name = ? order by agent, number"
_DELETE = "delete from sessions where name = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One engagement of an agent in a session."""

    name: str
    agent: str
    run_id: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one engagement has said, as messages in JSON, and the labels of all of it."""

    messages: Sequence[Json]
    labels: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """A session, as lists show it."""

    name: str
    agent: str
    created_at: float
    updated_at: float
    held_by: str | None
    """The run whose engagement has it now."""
    turns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTurn:
    """One engagement of a session, as it is shown."""

    agent: str
    number: int
    run_id: str
    at: float
    messages: Sequence[Json]
    labels: Sequence[str]


class Sessions:
    """The sessions of a store. Until a store is `open`, there are none: what keeps nothing can continue nothing."""

    def __init__(self) -> None:
        self._clock: Clock = SystemClock()
        self._storage: Storage | None = None

    def open(self, storage: Storage, clock: Clock) -> None:
        self._storage, self._clock = storage, clock

    async def begin(self, place: Place) -> list[Turn]:
        """Take the session for this engagement; what was said in it before. The same engagement may take it again.

        Raises: TransientError `session-busy` while another run that is not over has it; UserError `session-unkept`.
        """
        return await self._kept().change(lambda connection: _begin(connection, place, self._clock.now()))

    async def end(self, place: Place, turn: Turn | None, summary: Turn | None = None) -> None:
        """Add what was said, once, and let the session go. None when the engagement failed: it then leaves nothing.

        A `summary` takes the place of all turns before this one.
        """
        await self._kept().change(lambda connection: _end(connection, place, turn, summary, self._clock.now()))

    async def listed(self, limit: int) -> list[SessionSummary]:
        """The latest first."""

        def read(connection: Connection) -> list[SessionSummary]:
            return [
                SessionSummary(
                    name=name, agent=agent, created_at=created, updated_at=updated, held_by=held_by, turns=turns
                )
                for name, agent, created, updated, held_by, turns in connection.execute(_LIST, (limit,))
            ]

        return await self._kept().look(read)

    async def shown(self, name: str) -> list[SessionTurn]:
        """All that is kept of a session, agent by agent."""

        def read(connection: Connection) -> list[SessionTurn]:
            return [
                SessionTurn(
                    agent=agent,
                    number=number,
                    run_id=run_id,
                    at=at,
                    messages=cast("list[Json]", parse(messages)),
                    labels=cast("list[str]", parse(labels)),
                )
                for agent, number, run_id, at, messages, labels in connection.execute(_SHOW, (name,))
            ]

        return await self._kept().look(read)

    async def deleted(self, name: str) -> int:
        """Remove a session of all agents; how many there were. An engagement that has it now goes on, and adds nothing."""

        def remove(connection: Connection) -> int:
            return connection.execute(_DELETE, (name,)).rowcount

        return await self._kept().change(remove)

    def _kept(self) -> Storage:
        if self._storage is None:
            raise UserError(
                "session-unkept",
                "Nothing is kept here, so a session cannot be continued.",
                hint="Run it without --express.",
            )
        return self._storage


def _begin(connection: Connection, place: Place, now: float) -> list[Turn]:
    held = connection.execute(_HOLDER, (place.name, place.agent)).fetchone()
    # a run may take over from itself: an attempt whose time was up could not give it back
    if held is not None and held[0] not in {None, place.run_id}:
        holder = connection.execute(_ALIVE, (held[0],)).fetchone()
        if holder is not None and holder[0] not in _OVER:
            raise TransientError(
                "session-busy",
                f"The session {place.name!r} of {place.agent!r} is in use by the run {held[0]}, which is {holder[0]}.",
                hint=f"What it does: orchestrion runs show {held[0]}. Catch this with a `retry`, or when that run has ended: "
                f"orchestrion runs retry {place.run_id}.",
            )
    connection.execute(_CLAIM, (place.name, place.agent, place.run_id, place.key, now, now))
    return [
        Turn(messages=cast("list[Json]", parse(messages)), labels=frozenset(cast("list[str]", parse(labels))))
        for messages, labels in connection.execute(_TURNS, (place.name, place.agent)).fetchall()
    ]


def _end(connection: Connection, place: Place, turn: Turn | None, summary: Turn | None, now: float) -> None:
    at = (place.name, place.agent)
    held = connection.execute(_HOLDER, at).fetchone()
    if held is None:
        return  # deleted meanwhile: nothing of it comes back
    if turn is not None and connection.execute(_ADDED, (*at, place.run_id, place.key)).fetchone() is None:
        number = int(connection.execute(_LAST, at).fetchone()[0]) + 1
        if summary is not None:
            connection.execute(_FORGET, (*at, number - 1))
            connection.execute(_ADD, _row(at, number, place, f"{place.key}/summary", now, summary))
            number += 1
        connection.execute(_ADD, _row(at, number, place, place.key, now, turn))
        connection.execute(_FORGET, (*at, number - TURNS))
    connection.execute(_RELEASE, (now, *at, place.run_id, place.key))


def _row(at: tuple[str, str], number: int, place: Place, key: str, now: float, turn: Turn) -> tuple[object, ...]:
    return (*at, number, place.run_id, key, now, dump(list(turn.messages)), dump(sorted(turn.labels)))
