"""Retention: what ended long ago leaves the store, in pieces so small that running work does not feel them.

A tree of runs is first marked, in one transaction that looks again whether all of it may go: from then on it can be neither
retried nor copied, and its start keys are free. What is marked is then deleted a few rows at a time, now or after a crash.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

from orchestrion.core import Clock, Removed, Retention, RunStatus
from orchestrion.store import Blobs, Connection

T = TypeVar("T")
Row = tuple[object, ...]
Tree = list[tuple[str, RunStatus]]

EXPIRED = ":expired"
"""The batch of what is marked: a name no batch has, and one that an index finds."""
ROWS = 200
"""Rows deleted in one transaction."""
ROOTS = 100
"""Trees looked at in one go."""
MARKS = 100
"""Runs marked in one transaction."""
REST = 3.0
"""How much longer than its work each piece is paused after, so that most of the time belongs to runs."""
LEAST_REST_S = 0.002
UNUSED_S = 24 * 3600.0
"""How long a document stays that no run names: its run may still be on its way."""
CANDIDATES = 50_000
"""Blobs held against the rows in one pass."""

_ROOTS = """
select id, created_at from runs
where status = ? and created_at < ? and (created_at > ? or (created_at = ? and id > ?)) and ended_at < ? {workflow}
    and (parent_id is null or not exists (select 1 from runs as parents where parents.id = runs.parent_id))
order by created_at, id limit {limit}
"""
_RUN = "select status, workflow, ended_at, batch from runs where id = ?"
_CHILDREN = "select id from runs where parent_id = ?"
_ASKED = "select 1 from requests where run_id = ? and status = 'open' limit 1"
_MARK = "update runs set batch = ?, digest = '', start_key = null, status = 'cancelled' where id = ?"
_MARKED = "select id from runs where batch = ? limit ?"
_DROP_ENTRIES = "delete from entries where run_id = ? and key in (select key from entries where run_id = ? limit ?)"
_DROP_BELOW = tuple(
    f"delete from {table} where run_id = ?"  # noqa: S608
    for table in ("messages", "requests", "late", "subscriptions")
)
_DROP_RUN = "delete from runs where id = ?"
_EVENTS = """
select seq from events where received_at < ? and routed_at is not null
    and not exists (select 1 from gathered where gathered.seq = events.seq) order by received_at limit ?
"""
_QUARANTINED = 'select batch, "row" from quarantine where created_at < ? limit ?'
_SESSIONS = "select name, agent from sessions where updated_at < ? and run_id is null order by updated_at limit ?"
_DOCUMENTS = "select digest from documents where created_at < ?"
_NAMED = "select distinct digest from runs"
_DROP_DOCUMENT = "delete from documents where digest = ? and created_at < ?"
_BLOBS = "select blobs from {} where blobs is not null"


class Journal(Protocol):
    """What a sweep needs of the journal it sweeps."""

    async def look(self, work: Callable[[Connection], T]) -> T: ...
    async def change(self, work: Callable[[Connection], T]) -> T: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """Runs of one ending, of one workflow or of all without rules of their own, and since when they may go."""

    status: RunStatus
    before: float
    workflow: str | None
    others: Sequence[str] = ()

    def statement(self) -> tuple[str, tuple[object, ...]]:
        if self.workflow is not None:
            return "and workflow = ?", (self.workflow,)
        marks = ", ".join("?" * len(self.others))
        return (f"and workflow not in ({marks})", tuple(self.others)) if self.others else ("", ())


class Sweep:
    """One passage over the store under one policy."""

    def __init__(self, journal: Journal, policy: Retention, clock: Clock) -> None:
        self._journal = journal
        self._policy = policy
        self._clock = clock
        self._now = clock.now()

    async def counted(self) -> Removed:
        """What would go, by a dry run. Blobs and documents are not counted: what they hang on is still there."""
        runs: Counter[RunStatus] = Counter()
        for rule in self._rules():
            async for trees in self._expired(rule):
                runs.update(status for tree in trees for _, status in tree)
        return Removed(
            runs=dict(runs),
            events=len(await self._journal.look(self._old_events(None))),
            quarantined=len(await self._journal.look(self._old_quarantined(None))),
            sessions=len(await self._journal.look(self._old_sessions(None))),
        )

    async def removed(self) -> Removed:
        """Remove it."""
        await self._remove_marked()
        runs: Counter[RunStatus] = Counter()
        for rule in self._rules():
            async for trees in self._expired(rule):
                for group in _groups(trees):
                    runs.update(status for _, status in await self._marked(group))
                await self._remove_marked()
        return Removed(
            runs=dict(runs),
            events=await self._remove(self._old_events(ROWS), "delete from events where seq = ?"),
            quarantined=await self._remove(
                self._old_quarantined(ROWS), 'delete from quarantine where batch = ? and "row" = ?'
            ),
            documents=await self._remove_documents(),
            sessions=await self._remove(
                self._old_sessions(ROWS), "delete from sessions where name = ? and agent = ? and run_id is null"
            ),
        )

    # --- runs ---

    def _rules(self) -> list[_Rule]:
        own = sorted(self._policy.workflows)
        every = [(None, self._policy.runs), *((name, self._policy.workflows[name]) for name in own)]
        return [
            _Rule(status=status, before=self._now - age, workflow=workflow, others=own)
            for workflow, ages in every
            for status, age in ages.items()
            if age is not None
        ]

    async def _expired(self, rule: _Rule) -> AsyncGenerator[list[Tree]]:
        """Trees that may go as a whole, some at a time."""
        after: tuple[float, str] | None = (float("-inf"), "")
        while after is not None:
            after, trees = await self._journal.look(lambda connection, after=after: self._look(connection, rule, after))
            if trees:
                yield trees

    def _look(
        self, connection: Connection, rule: _Rule, after: tuple[float, str]
    ) -> tuple[tuple[float, str] | None, list[Tree]]:
        """Trees that begin after a place, and the place to go on from, None at the end."""
        where, values = rule.statement()
        text = _ROOTS.format(workflow=where, limit=ROOTS)
        given = (rule.status.value, rule.before, after[0], after[0], after[1], rule.before, *values)
        roots = [(float(at), str(name)) for name, at in connection.execute(text, given).fetchall()]
        trees = [tree for _, name in roots if (tree := self._tree(connection, name)) is not None]
        return roots[-1] if len(roots) == ROOTS else None, trees

    def _tree(self, connection: Connection, root: str) -> Tree | None:
        """The run and all it started, parents first; None when something of it must stay."""
        found: Tree = []
        waiting = deque([root])
        while waiting:
            name = waiting.popleft()
            status = self._may_go(connection, name)
            if status is None:
                return None
            found.append((name, status))
            waiting.extend(str(child) for (child,) in connection.execute(_CHILDREN, (name,)).fetchall())
        return found

    def _may_go(self, connection: Connection, run_id: str) -> RunStatus | None:
        """How a run ended that may go; None for one that must stay."""
        row = connection.execute(_RUN, (run_id,)).fetchone()
        if row is None:
            return None
        status, workflow, ended_at, batch = row
        ages = self._policy.workflows.get(workflow, self._policy.runs)
        age = ages.get(RunStatus(status))
        old = age is not None and ended_at is not None and ended_at < self._now - age
        asked = connection.execute(_ASKED, (run_id,)).fetchone() is not None
        return RunStatus(status) if (old or batch == EXPIRED) and not asked else None

    async def _marked(self, trees: list[Tree]) -> Tree:
        """Mark what still may go; those that were. Several small trees at once, or one large one in parts, its root first."""
        marked: Tree = []
        for at in range(0, max(map(len, trees)), MARKS):
            parts = [part for tree in trees if (part := tree[at : at + MARKS])]
            done = await self._paced(lambda connection, parts=parts: self._mark(connection, parts))
            marked += done
            if not done:
                break
        return marked

    def _mark(self, connection: Connection, parts: list[Tree]) -> Tree:
        found = [part for part in parts if all(self._may_go(connection, name) is not None for name, _ in part)]
        marked = [run for part in found for run in part]
        connection.executemany(_MARK, [(EXPIRED, name) for name, _ in marked])
        return marked

    async def _remove_marked(self) -> None:
        while await self._paced(_drop_some):
            pass

    # --- all else ---

    def _old_events(self, limit: int | None) -> Callable[[Connection], list[Row]]:
        return self._older(_EVENTS, self._policy.events, limit)

    def _old_quarantined(self, limit: int | None) -> Callable[[Connection], list[Row]]:
        return self._older(_QUARANTINED, self._policy.quarantined, limit)

    def _old_sessions(self, limit: int | None) -> Callable[[Connection], list[Row]]:
        return self._older(_SESSIONS, self._policy.sessions, limit)

    def _older(self, text: str, age: float | None, limit: int | None) -> Callable[[Connection], list[Row]]:
        if age is None:
            return lambda _: []
        given = (self._now - age, limit or 1_000_000_000)
        return lambda connection: [tuple(row) for row in connection.execute(text, given).fetchall()]

    async def _remove(self, find: Callable[[Connection], list[Row]], text: str) -> int:
        removed = 0
        while found := await self._journal.look(find):
            await self._paced(lambda connection, rows=found: connection.executemany(text, rows) and None)
            removed += len(found)
        return removed

    async def _remove_documents(self) -> int:
        """Versions that no run names, and that were not needed for a day."""
        before = self._now - UNUSED_S

        def unused(connection: Connection) -> list[str]:
            old = [str(digest) for (digest,) in connection.execute(_DOCUMENTS, (before,)).fetchall()]
            named = {str(digest) for (digest,) in connection.execute(_NAMED).fetchall()} if old else set[str]()
            return [digest for digest in old if digest not in named]

        found = await self._journal.look(unused)
        rows = [(digest, before) for digest in found]
        if rows:
            await self._paced(lambda connection: connection.executemany(_DROP_DOCUMENT, rows) and None)
        return len(rows)

    async def _paced(self, work: Callable[[Connection], T]) -> T:
        """Do a piece, and leave the store to others for longer than it took."""
        began = self._clock.monotonic()
        done = await self._journal.change(work)
        await asyncio.sleep(max(LEAST_REST_S, REST * (self._clock.monotonic() - began)))
        return done


def _drop_some(connection: Connection) -> bool:
    """Delete some rows of what is marked; whether there is more."""
    left = ROWS
    marked = connection.execute(_MARKED, (EXPIRED, ROWS)).fetchall()
    for (name,) in marked:
        left -= connection.execute(_DROP_ENTRIES, (name, name, left)).rowcount
        if left <= 0:
            return True
        for text in _DROP_BELOW:
            left -= connection.execute(text, (name,)).rowcount
        left -= connection.execute(_DROP_RUN, (name,)).rowcount
        if left <= 0:
            return True
    return len(marked) == ROWS


async def collect_blobs(journal: Journal, blobs: Blobs, tables: Sequence[str]) -> int:
    """Remove large values that nothing refers to and that nobody wrote for a day; how many. Memory stays bounded."""
    removed = 0
    old = blobs.old()
    while candidates := await asyncio.to_thread(_some, old):

        def unreferred(connection: Connection, candidates: set[str] = candidates) -> set[str]:
            left = set(candidates)
            for table in tables:
                for (listed,) in connection.execute(_BLOBS.format(table)):
                    left.difference_update(str(listed).split())
            return left

        removed += await asyncio.to_thread(_remove_all, blobs, await journal.look(unreferred))
    return removed


def _groups(trees: list[Tree]) -> list[list[Tree]]:
    """Trees to be marked together: as many as one transaction takes; a larger one by itself."""
    groups: list[list[Tree]] = []
    room = 0
    for tree in trees:
        if len(tree) > room:
            groups.append([])
            room = MARKS
        groups[-1].append(tree)
        room -= len(tree)
    return groups


def _some(old: Iterator[str]) -> set[str]:
    return set(islice(old, CANDIDATES))


def _remove_all(blobs: Blobs, digests: Iterable[str]) -> int:
    return sum(blobs.remove_old(digest) for digest in digests)
