"""What events start: the workflows that have `schedule.on`, in the version that new runs get."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from orchestrion.core import (
    Event,
    EventFilter,
    Json,
    OrchestrionError,
    Run,
    fingerprint,
    merge_labels,
    new_id,
)
from orchestrion.engine import LIFECYCLE, Fit
from orchestrion.interpreter import Evaluator, Started, values_of
from orchestrion.spec import Document

from ._versions import Versions
from ._workflows import Workflows, input_labels


class Triggers:
    """The routing of an engine: filters by the evaluator, starts by the versions."""

    def __init__(self, workflows: Workflows, evaluator: Evaluator, versions: Versions) -> None:
        self._workflows = workflows
        self._evaluator = evaluator
        self._versions = versions
        self._known: dict[str, Started] = {}

    async def values(self, wanted: EventFilter, event: Event) -> Sequence[Json] | None:
        return await values_of(wanted, event, self._evaluator)

    async def fits(self, event: Event) -> tuple[Sequence[Fit], Sequence[str]]:
        found: list[Fit] = []
        wrong: list[str] = []
        for document in await self._versions.documents():
            if document.trigger is None:
                continue
            if event.type.startswith(LIFECYCLE) and event.source == f"/workflows/{document.id}":
                continue  # a workflow that begins by its own end would never stop
            if document.digest not in self._known:
                self._known[document.digest] = Started(document.trigger, self._evaluator)
            started = self._known[document.digest]
            try:
                options = await started.by(event)
            except OrchestrionError as error:
                wrong.append(f"schedule.on of {document.id}: {error.message}")
                continue
            if options:
                start = self._starting(document, started)
                found.append(Fit(trigger=document.digest, start=start, places=started.places, options=options))
        return found, wrong

    def _starting(self, document: Document, started: Started) -> Callable[[Sequence[Event]], Awaitable[Run]]:
        async def start(events: Sequence[Event]) -> Run:
            given = started.input(events)
            names = fingerprint([[event.source, event.id] for event in events])
            subject = f"Event::{events[-1].type}"
            run_id = new_id()
            chosen = await self._versions.choose(document.id, subject, value=given.value, key=run_id)
            run = await self._workflows.pin(
                chosen.document,
                run_id=run_id,
                value=given.value,
                labels=merge_labels([given.labels, input_labels(chosen.document)]),
                versions=chosen.versions,
            )
            return replace(run, start_key=f"event:{document.digest}:{names}", subject=subject)

        return start
