"""A desk for tests of events: documents, an engine over any journal, and somebody who sends."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from orchestrion.core import Event, Journal, Json, Run, RunFilter
from orchestrion.engine import Engine
from orchestrion.interpreter import Evaluator
from orchestrion.spec import Document

from ._routing import DocumentRouting, an_event
from ._stage import Stage
from ._walking import interpreting, read_document, run_of

_HEAD = "document: { dsl: '1.0.3', namespace: test, name: %s, version: '1.0.0' }\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Runs of its documents, which hear what is sent."""

    engine: Engine
    journal: Journal
    documents: Sequence[Document]

    async def start(self, value: Json = None, *, document: int = 0, run_id: str | None = None) -> Run:
        """A run that has come to rest: it listens now, or has ended."""
        run = await self.engine.start(run_of(self.documents[document], value, run_id))
        return await self.engine.settle(run.id)

    async def send(self, type_: str, content: Json = None, /, **attributes: Json) -> bool:
        """An event, and everything that comes of it; whether it was new."""
        return await self.send_event(an_event(type_, content, **attributes))

    async def send_event(self, event: Event) -> bool:
        new = await self.engine.receive(event)
        await self.engine.routed()
        return new

    async def settled(self, run: Run) -> Run:
        await self.engine.routed()
        return await self.engine.settle(run.id, events=True)

    async def runs(self, name: str) -> Sequence[Run]:
        """All runs of a document, oldest first, settled."""
        await self.engine.routed()
        found = await self.journal.runs(RunFilter(workflow=name, limit=1000))
        return [await self.engine.settle(run.id, events=True) for run in reversed(found)]


@asynccontextmanager
async def desk(
    bodies: Sequence[str], *, journal: Journal, evaluator: Evaluator, stage: Stage | None = None
) -> AsyncGenerator[Desk]:
    """A desk for documents given by what follows their head; the first is `workflow-0`."""
    documents = [read_document(_HEAD % f"workflow-{i}" + body) for i, body in enumerate(bodies)]
    interpret = interpreting({document.digest: document for document in documents}, evaluator)
    routing = DocumentRouting(documents, evaluator)
    async with (stage or Stage()).engine(journal, interpret, routing) as engine:
        yield Desk(engine=engine, journal=journal, documents=documents)
