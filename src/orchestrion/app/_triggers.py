"""What events start: the workflows of the shelf that have `schedule.on`, the newest version of each."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
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

from ._workflows import Shelf, Workflows, input_labels


class Triggers:
    """The routing of an engine: filters by the evaluator, starts by the shelf."""

    def __init__(self, shelf: Shelf, workflows: Workflows, evaluator: Evaluator, versions: Json) -> None:
        self._workflows = workflows
        self._evaluator = evaluator
        self._versions = versions
        self._started = [
            (document, Started(document.trigger, evaluator))
            for document in _newest(shelf)
            if document.trigger is not None
        ]

    async def values(self, wanted: EventFilter, event: Event) -> Sequence[Json] | None:
        return await values_of(wanted, event, self._evaluator)

    async def fits(self, event: Event) -> tuple[Sequence[Fit], Sequence[str]]:
        found: list[Fit] = []
        wrong: list[str] = []
        for document, started in self._started:
            if event.type.startswith(LIFECYCLE) and event.source == f"/workflows/{document.id}":
                continue  # a workflow that begins by its own end would never stop
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
            run = await self._workflows.pin(
                document,
                run_id=new_id(),
                value=given.value,
                labels=merge_labels([given.labels, input_labels(document)]),
                versions=self._versions,
            )
            names = fingerprint([[event.source, event.id] for event in events])
            subject = f"Event::{events[-1].type}"
            return replace(run, start_key=f"event:{document.digest}:{names}", subject=subject)

        return start


def _newest(shelf: Shelf) -> Iterable[Document]:
    """Older versions of a workflow that the project still has do not start any more."""
    return [shelf.named(name) for name in sorted({document.id for document in shelf.documents})]
