"""Walking real workflow documents in tests: the interpreter, real jq, any journal, and functions that count."""

from collections.abc import Mapping
from typing import cast

from orchestrion.core import Datum, Effects, Journal, Json, Run, SystemClock, UserError, labels_from, new_id
from orchestrion.engine import Interpret
from orchestrion.interpreter import Evaluator, Interpreter
from orchestrion.spec import Document, read

from ._stage import Stage


def read_document(text: str) -> Document:
    """The document, or a UserError with every finding."""
    reading = read(text)
    if reading.document is None:
        raise UserError("bad-document", "\n".join(str(finding) for finding in reading.findings))
    return reading.document


def interpreting(documents: Mapping[str, Document], evaluator: Evaluator) -> Interpret:
    """What an engine needs to walk runs of these documents; a run names its document by `digest`."""
    interpreter = Interpreter(evaluator)

    async def interpret(run: Run, effects: Effects) -> Datum:
        return await interpreter.run(
            documents[run.digest], Datum(run.input, labels_from(cast("Json", run.labels))), effects
        )

    return interpret


def run_of(document: Document, value: object, run_id: str | None = None) -> Run:
    """A pending run of a document."""
    return Run(
        id=run_id or new_id(),
        namespace=document.namespace,
        workflow=document.name,
        version=document.version,
        digest=document.digest,
        semantics=1,
        input=value,  # pyright: ignore[reportArgumentType] tests pass plain JSON
        created_at=SystemClock().now(),
    )


async def walk_document(
    document: Document, value: object, *, journal: Journal, stage: Stage, evaluator: Evaluator
) -> Run:
    """Run a document until it ends or waits."""
    async with stage.engine(journal, interpreting({document.digest: document}, evaluator)) as engine:
        run = await engine.start(run_of(document, value))
        return await engine.settle(run.id)
