"""How models outside fare, as all processes on a store see it together: which are gone, which failed, and who answered then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrion.core import Clock, OrchestrionError, TransientError, UserError, iso
from orchestrion.registry import Incident, IncidentKind, Incidents

from ._tests import ModelTests

if TYPE_CHECKING:
    from ._models import Candidate

GONE = ("model-not-found", "model-retired")
"""A provider's word that there is no such model, or no more: it answered 404 or 410."""
NO_FAILURES = ("model-rate-limited", "model-resting", "model-busy")
"""What says nothing of whether a model works."""
PROBE_S = 180.0
"""How long a model that is gone is left alone; then one request of all processes tries it."""
ENOUGH = 3
"""Good answers in a row that end an incident."""
FRESH_S = 0.5
"""How long another process may still ask a model that is gone."""

_KINDS = (IncidentKind.GONE, IncidentKind.OUTAGE)


@dataclass(slots=True, kw_only=True)
class Health:
    """Of the models of a project. Without a store nothing is known of them but what each request finds out."""

    clock: Clock
    incidents: Incidents | None = None
    tests: ModelTests | None = None
    _open: Mapping[tuple[str, str, str], Incident] | None = None
    _seen_at: float = float("-inf")

    async def admit(self, candidate: "Candidate") -> None:
        """Let a request to a model through. Raises: UserError `model-gone`."""
        if self.incidents is None:
            return
        await self._look()
        gone = self._of(candidate, IncidentKind.GONE)
        if gone is None or gone.answers > 0 or await self.incidents.claim(gone.id, PROBE_S):
            return
        raise UserError(
            "model-gone",
            f"The model {candidate.name!r} is gone since {iso(gone.opened_at)}, says its provider; it is tried again every "
            f"{PROBE_S / 60:g} minutes.",
            hint=f"orchestrion incidents show {gone.id[:13]}",
        )

    async def failed(self, candidate: "Candidate", failure: OrchestrionError, run_id: str) -> None:
        """A model did not answer: it is gone, or rests after failures in a row, or failed again while an incident is open."""
        if self.incidents is None:
            return
        kind = _kind_of(failure)
        known = self._of(candidate, kind) if kind else None
        if kind is None or (known is None and kind is IncidentKind.OUTAGE and not candidate.breaker.resting):
            return
        identity = (candidate.name, candidate.target)
        incident = await self.incidents.open(kind, *identity, what=failure.message, run_id=run_id)
        again = f"failed:{known.answers}:{iso(self.clock.now())}" if known and known.answers else "opened"
        await self.incidents.note(incident, again, f"failed again: {failure.message}", run_id=run_id, count="failed")
        if known is None and kind is IncidentKind.GONE:
            await self.incidents.claim(incident, PROBE_S)
        await self._look(now=True)

    async def answered(self, candidate: "Candidate", run_id: str) -> None:
        """A model answered: what was wrong with it may be over."""
        for kind in _KINDS:
            if self.incidents is not None and (known := self._of(candidate, kind)) is not None:
                await self.incidents.answered(known.id, enough=ENOUGH, run_id=run_id)
                await self._look(now=True)

    async def followed(self, failed: Sequence["Candidate"], by: "Candidate", run_id: str) -> None:
        """A model answered in the place of others."""
        for incident in self._of_these(failed):
            assert self.incidents is not None
            where = f" (region {by.region})" if by.region else ""
            what = f"{by.name!r}{where} answers in its place: {await self._proof(by)}"
            mark = f"followed:{by.name}:{by.target}"
            await self.incidents.note(incident.id, mark, what, run_id=run_id, count="followed")

    async def not_followed(self, failed: Sequence["Candidate"], error: OrchestrionError, run_id: str) -> None:
        """No model answered, and the run was told so."""
        for incident in self._of_these(failed):
            assert self.incidents is not None
            what = f"no model answered: {error.message}"
            await self.incidents.note(incident.id, f"unanswered:{error.code}", what, run_id=run_id, count="unanswered")

    async def refused(self, failed: Sequence["Candidate"], by: "Candidate", why: str, run_id: str) -> None:
        """Policy does not let a model answer in the place of others."""
        for incident in self._of_these(failed):
            assert self.incidents is not None
            where = f" (region {by.region})" if by.region else ""
            what = f"policy refuses that {by.name!r}{where} answers in its place: {why}"
            await self.incidents.note(incident.id, f"refused:{by.name}:{by.target}", what, run_id=run_id)

    async def _proof(self, by: "Candidate") -> str:
        if by.effect == "none":
            return "rules, which need no provider"
        last = await self.tests.last(by.name, by.target) if self.tests is not None else None
        if last is None:
            return f"it was never tested. orchestrion models test {by.name}"
        return f"tested {iso(last.at)}, {last.in_words()}"

    def _of_these(self, failed: Sequence["Candidate"]) -> list[Incident]:
        found = [self._of(each, kind) for each in failed for kind in _KINDS]
        return [each for each in found if each is not None]

    def _of(self, candidate: "Candidate", kind: IncidentKind) -> Incident | None:
        return (self._open or {}).get((kind, candidate.name, candidate.target))

    async def _look(self, *, now: bool = False) -> None:
        at = self.clock.monotonic()
        if self.incidents is not None and (now or self._open is None or at - self._seen_at > FRESH_S):
            self._seen_at = at
            self._open = {(each.kind, each.subject, each.target): each for each in await self.incidents.current()}


def _kind_of(failure: OrchestrionError) -> IncidentKind | None:
    """Of which kind of incident a failure may be a sign."""
    if failure.code in GONE:
        return IncidentKind.GONE
    return IncidentKind.OUTAGE if isinstance(failure, TransientError) and failure.code not in NO_FAILURES else None
