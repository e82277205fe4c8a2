"""Events in tests of the engine alone: real filters, and the documents of the test as what events start."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from orchestrion.core import Event, EventFilter, Json, Run, SystemClock, derived_id, event_of, labels_json
from orchestrion.engine import Fit
from orchestrion.interpreter import Evaluator, Started, values_of
from orchestrion.spec import Document

from ._walking import run_of


class DocumentRouting:
    """The routing of a test: every document with `schedule.on` is started by its events."""

    def __init__(self, documents: Iterable[Document], evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._started = [
            (document, Started(document.trigger, evaluator)) for document in documents if document.trigger is not None
        ]

    async def values(self, wanted: EventFilter, event: Event) -> Sequence[Json] | None:
        return await values_of(wanted, event, self._evaluator)

    async def fits(self, event: Event) -> tuple[Sequence[Fit], Sequence[str]]:
        found: list[Fit] = []
        for document, started in self._started:
            if options := await started.by(event):
                start = _starting(document, started)
                found.append(Fit(trigger=document.digest, start=start, places=started.places, options=options))
        return found, []


def _starting(document: Document, started: Started) -> Callable[[Sequence[Event]], Awaitable[Run]]:
    async def start(events: Sequence[Event]) -> Run:
        names = [f"{event.source} {event.id}" for event in events]
        given = started.input(events)
        run = run_of(document, given.value, derived_id(document.digest, *names))
        return replace(run, start_key=f"{document.digest} {names}", labels=labels_json(given.labels) or None)

    return start


def an_event(type_: str, content: Json = None, /, **attributes: Json) -> Event:
    """An event from outside, received now. `source` and `id` may be among the attributes."""
    given = {"source": "/test", "type": type_, **({} if content is None else {"data": content}), **attributes}
    return event_of(given, now=SystemClock().now(), labels={"": ["untrusted"]})
