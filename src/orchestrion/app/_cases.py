"""The cases of an evaluation: rows of files, what stands in the evaluation itself, past runs, what people said in them, and of them."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from orchestrion.core import Journal, Json, RequestStatus, RunFilter, RunStatus, SystemClock, UserError
from orchestrion.engine import task_name
from orchestrion.journal import DurableJournal
from orchestrion.oversight import Case, Cases, Evaluation
from orchestrion.project import Project
from orchestrion.spec import Document

from ._batch import open_rows
from ._feedback import FeedbackBook, corrected

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """All cases, and the rows that can be none, each with the reason."""

    cases: Sequence[Case]
    set_aside: Sequence[str]


async def gather(
    evaluation: Evaluation, project: Project, document: Document, journal: Journal, now: float
) -> Gathered:
    """The cases of an evaluation, those of its first source first.

    Raises: UserError `no-cases`, and as `open_rows` does.
    """
    cases: list[Case] = []
    set_aside: list[str] = []
    for number, source in enumerate(evaluation.cases, 1):
        if source.file is not None:
            for found in _from_file(source, project, document):
                if isinstance(found, Case):
                    cases.append(_completed(found, source, evaluation))
                else:
                    set_aside.append(found)
        elif source.runs is not None:
            cases += [_completed(case, source, evaluation) async for case in _from_runs(source, document, journal, now)]
        elif source.people is not None:
            cases += [_completed(case, source, evaluation) async for case in _from_people(source, document, journal)]
        elif source.corrections is not None:
            found = _from_corrections(source.corrections.limit, document, journal)
            cases += [_completed(case, source, evaluation) async for case in found]
        else:
            case = Case(name=f"case {number}", input=cast("Json", source.input), truth={})
            cases.append(_completed(case, source, evaluation))
    if not cases:
        raise UserError(
            "no-cases",
            "The evaluation has no cases.",
            hint=f"Set aside: {set_aside[0]}" if set_aside else "Its files have no rows, or no run fits its query.",
        )
    return Gathered(cases=cases, set_aside=set_aside)


def _completed(case: Case, source: Cases, evaluation: Evaluation) -> Case:
    """The case with what its source and the evaluation say of it; what is nearer counts."""
    truth = {**cast("dict[str, Json]", case.truth), **cast("dict[str, Json]", source.expect)}
    mocks = {**evaluation.mocks, **source.mocks}
    approve = next((each for each in (case.approve, source.approve, evaluation.approve) if each is not None), None)
    return replace(case, truth=truth, mocks=cast("Json", mocks or None), approve=approve)


def _from_file(source: Cases, project: Project, document: Document) -> Iterator[Case | str]:
    assert source.file is not None
    settings = project.settings.batches
    batch = settings.get(document.name) or settings.get(document.id)
    rows = open_rows(project.root / source.file, document, batch, source.mapping)
    for row in rows.rows():
        if source.limit is not None and row.number > source.limit:
            return
        name = f"{source.file}:{row.number}"
        if row.reasons:
            yield f"{name}: {'; '.join(row.reasons)}"
        else:
            yield Case(name=name, input=row.value, truth=row.record)


async def _from_runs(source: Cases, document: Document, journal: Journal, now: float) -> AsyncIterator[Case]:
    query = source.runs
    assert query is not None
    which = RunFilter(
        status=[RunStatus(each) for each in query.status], workflow=document.name, limit=min(query.limit, 500)
    )
    left = query.limit
    while left > 0:
        page = await journal.runs(replace(which, limit=min(left, 500)))
        for run in page:
            if query.days is not None and run.created_at < now - query.days * DAY_S:
                return
            if run.namespace == document.namespace:
                truth: Json = {"output": run.output, "status": run.status.value}
                yield Case(name=f"run {run.id}", input=run.input, truth=truth)
        if len(page) < min(left, 500):
            return
        left -= len(page)
        which = replace(which, before_id=page[-1].id)


async def _from_people(source: Cases, document: Document, journal: Journal) -> AsyncIterator[Case]:
    query = source.people
    assert query is not None
    left = query.limit
    for request in reversed(await journal.requests(status=RequestStatus.DECIDED)):
        if left == 0:
            return
        if request.answer is None or (query.task is not None and task_name(request.task) != query.task):
            continue
        run = await journal.run(request.run_id)
        if run is None or (run.namespace, run.workflow) != (document.namespace, document.name):
            continue
        left -= 1
        answer = request.answer
        is_approval = request.question.kind == "approval"
        yield Case(
            name=f"run {run.id}, {task_name(request.task)}",
            input=run.input,
            truth={"answer": answer.value.value, "verdict": answer.verdict, "by": answer.by, "output": run.output},
            approve=answer.verdict == "approved" if is_approval else None,
        )


async def _from_corrections(limit: int, document: Document, journal: Journal) -> AsyncIterator[Case]:
    """A run that was corrected more than once is one case, by the last word."""
    if not isinstance(journal, DurableJournal):
        return
    for said in await FeedbackBook(journal, SystemClock()).corrections(document.namespace, document.name, limit):
        run = await journal.run(said.run)
        if run is not None:
            truth: Json = {
                "output": corrected(run.output, said.correction),
                "correction": said.correction,
                "by": said.by,
            }
            yield Case(name=f"run {run.id}, corrected", input=run.input, truth=truth)
