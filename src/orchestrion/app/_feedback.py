"""What people say of runs after the fact: a thumb, what would have been right, a note."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrion.core import Clock, Json, Run, UserError, dump, parse
from orchestrion.store import Storage

Thumb = Literal["good", "bad"]

_KEEP = 'insert into feedback (run_id, at, "by", thumb, correction, note) values (?, ?, ?, ?, ?, ?)'
_OF_RUN = 'select run_id, at, "by", thumb, correction, note from feedback where run_id = ? order by number'
_CORRECTED = """
select feedback.run_id, feedback.at, feedback."by", feedback.thumb, feedback.correction, feedback.note
from feedback join runs on runs.id = feedback.run_id
where feedback.correction is not null and runs.namespace = ? and runs.workflow = ?
    and not exists (
        select 1 from feedback as later
        where later.run_id = feedback.run_id and later.correction is not null and later.number > feedback.number
    )
order by feedback.number desc limit ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """One word of somebody on one run."""

    run: str
    at: float
    by: str
    thumb: Thumb | None = None
    correction: Json = None
    """What the output should have been, or the fields of it that were wrong."""
    note: str | None = None

    def to_json(self) -> dict[str, Json]:
        return {
            "run": self.run,
            "at": self.at,
            "by": self.by,
            "thumb": self.thumb,
            "correction": self.correction,
            "note": self.note,
        }


class FeedbackBook:
    """The feedback of a store."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def give(
        self, run: Run, *, by: str, thumb: Thumb | None = None, correction: Json = None, note: str | None = None
    ) -> Feedback:
        """Keep what somebody says of a run. A correction makes the run a bad one, unless the thumb says something else.

        Raises: UserError `empty-feedback`, `correction-fits-nothing`.
        """
        if thumb is None and correction is None and note is None:
            raise UserError(
                "empty-feedback",
                "Nothing is said of the run.",
                hint="Say --good or --bad, what would have been right with --correct, or something with --note.",
            )
        if correction is not None:
            _require_fit(run, correction)
            thumb = thumb or "bad"
        given = Feedback(run=run.id, at=self._clock.now(), by=by, thumb=thumb, correction=correction, note=note)
        row = (run.id, given.at, by, thumb, None if correction is None else dump(correction), note)
        await self._storage.change(lambda connection: connection.execute(_KEEP, row) and None)
        return given

    async def of(self, run_id: str) -> Sequence[Feedback]:
        """What was said of a run, the first first."""
        return await self._storage.look(
            lambda connection: [_feedback(*row) for row in connection.execute(_OF_RUN, (run_id,))]
        )

    async def corrections(self, namespace: str, workflow: str, limit: int) -> Sequence[Feedback]:
        """The last correction of each run of a workflow that has one, the newest first."""
        given = (namespace, workflow, limit)
        return await self._storage.look(
            lambda connection: [_feedback(*row) for row in connection.execute(_CORRECTED, given)]
        )


def corrected(output: Json, correction: Json) -> Json:
    """What a run should have given: the output with the fields of the correction in place of its own."""
    if isinstance(output, dict) and isinstance(correction, dict):
        return {**output, **{name: corrected(output.get(name), each) for name, each in correction.items()}}
    return correction


def _require_fit(run: Run, correction: Json) -> None:
    """A field that the output does not have is a misspelt one, as a rule. Raises: UserError `correction-fits-nothing`."""
    if not isinstance(run.output, dict) or not isinstance(correction, dict):
        return
    strange = sorted(set(correction) - set(run.output))
    if strange:
        raise UserError(
            "correction-fits-nothing",
            f"The output of the run {run.id} has no field {strange[0]!r}.",
            hint=f"It has: {', '.join(sorted(run.output)) or 'none'}.",
        )


def _feedback(run: str, at: float, by: str, thumb: Thumb | None, correction: str | None, note: str | None) -> Feedback:
    return Feedback(run=run, at=at, by=by, thumb=thumb, correction=parse(correction) if correction else None, note=note)
