"""Versions on trial: each gets a part of a workflow's new runs, until it is promoted, taken back or stopped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrion.core import Clock, Json, UserError, dump, new_id, parse
from orchestrion.store import Connection, Storage

from ._beginning import only_one
from ._bundle import Bundle, short
from ._registry import PRODUCTION, move_alias

_COLUMNS = "id, workflow, candidate, control, plan, status, created_at, created_by, ended_at, verdict, evidence"
_RUNNING = f"select {_COLUMNS} from rollouts where status = 'running' order by workflow"  # noqa: S608
_FIND = f"select {_COLUMNS} from rollouts where id >= ? and id < ? order by id limit 2"  # noqa: S608
_LISTED = f"select {_COLUMNS} from rollouts order by created_at desc limit ?"  # noqa: S608
_ONE = f"select {_COLUMNS} from rollouts where id = ?"  # noqa: S608
_BUSY = "select id from rollouts where workflow = ? and status = 'running'"
_BEGIN = """
insert into rollouts (id, workflow, candidate, control, plan, status, created_at, created_by)
values (?, ?, ?, ?, ?, 'running', ?, ?)
"""
_NOTE = "update rollouts set evidence = ? where id = ? and status = 'running'"
_END = "update rollouts set status = ?, ended_at = ?, verdict = ?, evidence = coalesce(?, evidence) where id = ? and status = 'running'"
_BUNDLE = "select body from bundles where digest = ?"
_RUNS = """
select id, versions, status, created_at, started_at, ended_at,
    (select count(*) from feedback where feedback.run_id = runs.id and feedback.correction is not null) as corrected
from runs
where workflow = ? and namespace = ? and created_at >= ? and parent_id is null order by created_at, id
"""
_ENDED = ("completed", "faulted", "cancelled")


class RolloutStatus(StrEnum):
    RUNNING = "running"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A version on trial beside the one in production."""

    id: str
    workflow: str
    candidate: str
    control: str
    plan: Json
    """How they are compared, as whoever began it said."""
    status: RolloutStatus
    created_at: float
    created_by: str
    ended_at: float | None = None
    verdict: str | None = None
    """How it ended, in a sentence."""
    evidence: Json = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRun:
    """A run of a rollout, as far as its row says."""

    id: str
    side: str
    ended: bool
    waiting: bool
    created_at: float
    started_at: float | None
    ended_at: float | None
    corrected: int = 0
    """How often a person said since what would have been right."""


class Rollouts:
    """The rollouts of a store."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def begin(self, candidate: Bundle, control: Bundle, plan: Json, *, by: str) -> Rollout:
        """Put a version on trial. Both are kept. Raises: UserError `rollout-running`, `nothing-differs`."""
        if candidate.digest == control.digest:
            raise UserError(
                "nothing-differs", f"{short(candidate.digest)} is in production already: there is nothing to try."
            )
        begun = Rollout(
            id=new_id(),
            workflow=candidate.workflow,
            candidate=candidate.digest,
            control=control.digest,
            plan=plan,
            status=RolloutStatus.RUNNING,
            created_at=self._clock.now(),
            created_by=by,
        )

        def write(connection: Connection) -> None:
            if (busy := connection.execute(_BUSY, (begun.workflow,)).fetchone()) is not None:
                raise UserError(
                    "rollout-running",
                    f"A version of {begun.workflow} is on trial already: {busy[0]}.",
                    hint=f"orchestrion rollouts show {busy[0]}, or end it: orchestrion rollouts stop {busy[0]}.",
                )
            row = (begun.id, begun.workflow, begun.candidate, begun.control, dump(plan), begun.created_at, by)
            connection.execute(_BEGIN, row)

        await self._storage.change(write)
        return begun

    async def note(self, rollout: Rollout, evidence: Json) -> None:
        """Keep what is known so far of a rollout under way."""
        await self._storage.change(lambda connection: connection.execute(_NOTE, (dump(evidence), rollout.id)) and None)

    async def end(self, rollout: Rollout, status: RolloutStatus, *, verdict: str, evidence: Json, by: str) -> Rollout:
        """Record how it ended, and with a promotion move `production`, as one: it is done once, whoever else tries.

        Without `evidence`, what was noted before stays.

        Raises: UserError `alias-moved` for a promotion when somebody deployed another version meanwhile.
        """
        now = self._clock.now()

        def write(connection: Connection) -> Rollout:
            known = dump(evidence) if evidence is not None else None
            ended = connection.execute(_END, (status, now, verdict, known, rollout.id)).rowcount
            if ended and status is RolloutStatus.PROMOTED:
                bundle = Bundle.from_json(parse(connection.execute(_BUNDLE, (rollout.candidate,)).fetchone()[0]))
                move_alias(connection, bundle, PRODUCTION, at=now, by=by, why=verdict, expected=rollout.control)
            return _rollout(*connection.execute(_ONE, (rollout.id,)).fetchone())

        return await self._storage.change(write)

    async def running(self) -> Mapping[str, Rollout]:
        """Workflow → its rollout under way."""

        def read(connection: Connection) -> dict[str, Rollout]:
            found = [_rollout(*row) for row in connection.execute(_RUNNING)]
            return {each.workflow: each for each in found}

        return await self._storage.look(read)

    async def find(self, fragment: str) -> Rollout:
        """The rollout whose id begins so. Raises: UserError `unknown-rollout`, `ambiguous-rollout`."""
        return await only_one(
            self._storage,
            _FIND,
            fragment,
            _rollout,
            unknown=UserError(
                "unknown-rollout", f"There is no rollout {fragment!r}.", hint="orchestrion rollouts list"
            ),
            ambiguous=UserError(
                "ambiguous-rollout", f"Several rollouts begin with {fragment!r}.", hint="Write more of it."
            ),
        )

    async def listed(self, limit: int) -> Sequence[Rollout]:
        """The latest first."""
        return await self._storage.look(
            lambda connection: [_rollout(*row) for row in connection.execute(_LISTED, (limit,))]
        )

    async def runs(self, rollout: Rollout, since: float = 0.0) -> Sequence[TrialRun]:
        """Its runs that were created at `since` or later, in the order in which they were."""
        namespace, _, name = rollout.workflow.partition("/")

        def read(connection: Connection) -> list[TrialRun]:
            found: list[TrialRun] = []
            for run_id, versions, status, created_at, started_at, ended_at, corrected in connection.execute(
                _RUNS, (name, namespace, max(since, rollout.created_at))
            ):
                said = parse(versions) if versions and rollout.id in versions else None
                if isinstance(said, dict) and isinstance(side := said.get("side"), str):
                    found.append(
                        TrialRun(
                            id=run_id,
                            side=side,
                            ended=status in _ENDED,
                            waiting=status == "waiting",
                            created_at=created_at,
                            started_at=started_at,
                            ended_at=ended_at,
                            corrected=corrected,
                        )
                    )
            return found

        return await self._storage.look(read)


def _rollout(
    name: str,
    workflow: str,
    candidate: str,
    control: str,
    plan: str,
    status: str,
    created_at: float,
    created_by: str,
    ended_at: float | None,
    verdict: str | None,
    evidence: str | None,
) -> Rollout:
    return Rollout(
        id=name,
        workflow=workflow,
        candidate=candidate,
        control=control,
        plan=parse(plan),
        status=RolloutStatus(status),
        created_at=created_at,
        created_by=created_by,
        ended_at=ended_at,
        verdict=verdict,
        evidence=parse(evidence) if evidence else None,
    )
