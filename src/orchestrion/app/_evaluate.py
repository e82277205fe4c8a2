"""Evaluations: cases through one or two versions, in memory, with no effect outside; then scores, intervals and the gate."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from orchestrion.core import Clock, Json, Nature, Run, SystemClock, UserError, new_id
from orchestrion.engine import DryRun
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.oversight import (
    Case,
    EvaluationFile,
    Judge,
    Observation,
    Row,
    Score,
    Scorer,
    observe,
    read_evaluation,
    score,
    summarise,
)
from orchestrion.project import BadProject, Project
from orchestrion.registry import Bundle, Registry
from orchestrion.spec import Document, Finding, finding_at, pointer_step

from ._app import App, conduct
from ._cases import Gathered, gather
from ._files import read_each
from ._journals import open_journal
from ._judge import NAMESPACE, identity, judging, score_of, shown
from ._mocks import mocks_at, mocks_of
from ._project import Checked
from ._records import records_of
from ._release import resolve
from ._results import Results
from ._rooms import open_rooms
from ._scorers import load_scorer, require_scorer, score_by
from ._together import together
from ._workflows import input_labels, require_input

Tell = Callable[[int, int], None]
"""How many cases are done, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What an evaluation found."""

    file: EvaluationFile
    bundle: Bundle
    against: Bundle | None
    gathered: Gathered
    seen: Sequence[Observation]
    scores: Mapping[str, Sequence[Score]]
    """Scorer → what it says of each case."""
    theirs: Mapping[str, Sequence[Score]] | None
    """The same of the other version."""
    rows: Sequence[Row]
    reused: int
    """Cases that were known from before."""

    @property
    def passed(self) -> bool:
        return not any(row.failures for row in self.rows)

    def to_json(self) -> Json:
        """Whether it passed, each scorer with its interval, and each case."""
        cases: list[Json] = []
        for number, (case, seen) in enumerate(zip(self.gathered.cases, self.seen, strict=True)):
            said = {name: scores[number] for name, scores in self.scores.items()}
            cases.append(
                {
                    "case": case.name,
                    "status": seen.status,
                    "scores": {name: {"value": each.value, "why": each.why} for name, each in said.items()},
                }
            )
        return {
            "evaluation": self.file.name,
            "version": self.bundle.digest,
            "against": self.against.digest if self.against else None,
            "passed": self.passed,
            "rows": [row.to_json() for row in self.rows],
            "set_aside": list(self.gathered.set_aside),
            "known_before": self.reused,
            "cases": cases,
        }


@dataclass(slots=True)
class _Stage:
    """The dry run of each case, by the run that it is."""

    cases: dict[str, DryRun] = field(default_factory=dict[str, DryRun])

    def of(self, run: Run) -> DryRun:
        return self.cases[run.root_id or run.id]


def really_read(nature: Nature) -> bool:
    """What evaluations ask for real: databases they only read, models, and the project's own documents."""
    return nature.effect == "read" and (
        nature.resource[0] in {"Connection", "Model"} or nature.resource == ("Function", "retrieve")
    )


def read_evaluations(project: Project, checked: Checked) -> tuple[Mapping[str, EvaluationFile], list[Finding]]:
    """The project's evaluations by name, and what is wrong with them."""
    files, findings = read_each(
        project, project.evaluations, lambda text, file: read_evaluation(text, file=file, name=Path(file).stem)
    )
    for file in files.values():
        findings += _unknown(file, project, checked)
    return files, findings


def _unknown(file: EvaluationFile, project: Project, checked: Checked) -> list[Finding]:
    """Names that lead to nothing."""
    source, evaluation = file.source, file.evaluation
    try:
        document = checked.shelf.named(evaluation.workflow)
    except UserError as error:
        return [finding_at(source, "/workflow", error.code, error.message, hint=error.hint)]
    found: list[Finding] = []
    tasks = {task.name for task in document.every_task()}
    for name, scorer in evaluation.scorers.items():
        for way, task in scorer.routing.ways.items() if scorer.routing else ():
            if task not in tasks:
                place = f"/scorers/{name}/routing/ways{pointer_step(way)}"
                message = f"{document.id} has no task {task!r}."
                hint = f"There are: {', '.join(sorted(tasks))}."
                found.append(finding_at(source, place, "unknown-task", message, hint=hint))
        if scorer.python is not None:
            try:
                require_scorer(scorer.python)
            except UserError as error:
                place = f"/scorers/{name}/python/name"
                found.append(finding_at(source, place, error.code, error.message, hint=error.hint))
    several = isinstance(source.at("/cases"), list | tuple)
    places = [f"/cases/{index}" if several else "/cases" for index in range(len(evaluation.cases))]
    for place, each in zip(places, evaluation.cases, strict=True):
        if each.file is not None and not (project.root / each.file).is_file():
            message, hint = f"There is no file {each.file!r}.", "The path starts at the project's folder."
            found.append(finding_at(source, f"{place}/file", "missing-file", message, hint=hint))
    for place in ["/mocks", *(f"{place}/mocks" for place in places)]:
        if source.at(place) is not None:
            found += mocks_at(source, place, checked.shelf.documents, checked.agents)[1]
    return found


async def evaluate(
    path: Path,
    name: str | None,
    *,
    version: str,
    against: str | None,
    fresh: bool,
    by: str,
    tell: Tell,
    clock: Clock | None = None,
) -> Evaluated:
    """Try the cases of an evaluation with a version. What was found before is taken from the store, unless `fresh`.

    Raises: BadProject; UserError `which-evaluation`, `unknown-evaluation`, and about versions, cases and scorers.
    """
    async with _opened(path, clock or SystemClock()) as (app, stage, results, kept):
        files, findings = read_evaluations(app.project, app.checked)
        file = _named(files, findings, name)
        bundle = await resolve(app, version, file.evaluation.workflow, by)
        other = await resolve(app, against, file.evaluation.workflow, by) if against else None
        chosen = await app.versions.version(bundle)
        gathered = await gather(file.evaluation, app.project, chosen.document, kept, app.clock.now())
        trial = _Trial(app, stage, results, file, gathered.cases, fresh=fresh, tell=tell, sides=2 if other else 1)
        seen = await trial.observations(bundle)
        scores = await trial.scores(bundle, seen)
        theirs = await trial.scores(other, await trial.observations(other)) if other else None
        return Evaluated(
            file=file,
            bundle=bundle,
            against=other,
            gathered=gathered,
            seen=seen,
            scores=scores,
            theirs=theirs,
            rows=summarise(file.evaluation.scorers, scores, theirs),
            reused=trial.reused,
        )


@asynccontextmanager
async def _opened(path: Path, clock: Clock) -> AsyncGenerator[tuple[App, _Stage, Results, DurableJournal]]:
    """Runs go into memory; results, versions and past runs are in the project's store, beside whoever works with it."""
    stage = _Stage()
    async with open_rooms(path, clock=clock) as rooms:
        rooms.checked.require_sound()
        await _make_store(rooms.project)
        async with open_journal(rooms.project, mode="join", clock=clock) as kept:
            assert isinstance(kept, DurableJournal)
            results = Results(kept, clock)
            await results.forget_old()
            memory, registry = MemoryJournal(clock), Registry(kept, clock)
            async with conduct(rooms, memory, clock=clock, dry=stage, registry=registry) as app:
                yield app, stage, results, kept


async def _make_store(project: Project) -> None:
    try:
        async with open_journal(project, mode="join", clock=SystemClock()):
            return
    except UserError as error:
        if error.code not in {"store-missing", "store-folder-missing"}:
            raise
    async with open_journal(project, mode="own", clock=SystemClock()):
        return


def _named(files: Mapping[str, EvaluationFile], findings: Sequence[Finding], name: str | None) -> EvaluationFile:
    flawed = [each for each in findings if name is None or Path(each.file).stem == name]
    if any(each.severity == "error" for each in flawed):
        raise BadProject(flawed)
    listed = ", ".join(sorted(files)) or "none; write one into the folder `evaluations`"
    if name is None and len(files) != 1:
        raise UserError("which-evaluation", "Say which evaluation.", hint=f"There are: {listed}.")
    if name is not None and name not in files:
        raise UserError("unknown-evaluation", f"There is no evaluation {name!r}.", hint=f"There are: {listed}.")
    return files[name] if name is not None else next(iter(files.values()))


class _Trial:
    """One evaluation's cases, through one version after the other."""

    def __init__(
        self,
        app: App,
        stage: _Stage,
        results: Results,
        file: EvaluationFile,
        cases: Sequence[Case],
        *,
        fresh: bool,
        tell: Tell,
        sides: int,
    ) -> None:
        self._app, self._stage, self._results, self._file, self._cases = app, stage, results, file, cases
        self._fresh, self._tell = fresh, tell
        self._done, self._all = 0, sides * len(cases)
        self._places = asyncio.Semaphore(app.project.settings.limits.concurrency)
        self.reused = 0

    async def observations(self, bundle: Bundle) -> list[Observation]:
        """What a version does with each case; each is kept as soon as it is known."""
        known: Mapping[str, Observation] = {} if self._fresh else await self._results.observations(bundle.digest)
        chosen = await self._app.versions.version(bundle)

        async def one(case: Case) -> Observation:
            found = known.get(case.digest)
            if found is None:
                async with self._places:
                    found = await self._observe(case, chosen.document, chosen.versions)
                await self._results.keep(bundle.digest, case, "", found.to_json())
            else:
                self.reused += 1
            self._done += 1
            self._tell(self._done, self._all)
            return found

        return await together(one(case) for case in self._cases)

    async def _observe(self, case: Case, document: Document, versions: Json) -> Observation:
        try:
            require_input(document, case.input)
        except UserError as error:
            return Observation(status="faulted", problem=error.problem.to_json())
        mocks = mocks_of(cast("Mapping[str, Json]", case.mocks or {}))
        dry = DryRun(mocks=mocks, reads=really_read, approve=case.approve, questions=False)
        run = await self._walked(document, case.input, versions, dry)
        return observe(await records_of(self._app.journal, run), dry)

    async def _walked(self, document: Document, value: Json, versions: Json, dry: DryRun) -> Run:
        run = await self._app.workflows.pin(
            document, run_id=new_id(), value=value, labels=input_labels(document), versions=versions
        )
        self._stage.cases[run.id] = dry
        started = await self._app.engine.start(replace(run, subject="evaluation"))
        return await self._app.engine.settle(started.id)

    # --- scores ---

    async def scores(self, bundle: Bundle, seen: Sequence[Observation]) -> dict[str, list[Score]]:
        """Scorer → what it says of each case."""
        return {
            name: await self._scores(scorer, bundle, seen) for name, scorer in self._file.evaluation.scorers.items()
        }

    async def _scores(self, scorer: Scorer, bundle: Bundle, seen: Sequence[Observation]) -> list[Score]:
        pairs = list(zip(self._cases, seen, strict=True))
        if scorer.judge is not None:
            return await self._judged(scorer.judge, bundle, pairs)
        if scorer.python is not None:
            named, judgement = scorer.python, load_scorer(scorer.python)
            return [score_by(judgement, named, case, found) for case, found in pairs]
        return [score(scorer, case, found) for case, found in pairs]

    async def _judged(self, judge: Judge, bundle: Bundle, pairs: Sequence[tuple[Case, Observation]]) -> list[Score]:
        document = judging(self._file.name, judge)
        model = self._app.project.settings.models.get(judge.model)
        key = identity(judge, cast("Json", model.model_dump(mode="json")) if model else None)
        known: Mapping[str, Json] = {} if self._fresh else await self._results.of(bundle.digest, key)

        async def one(case: Case, seen: Observation) -> Score:
            said = known.get(case.digest)
            if said is None:
                async with self._places:
                    run = await self._walked(document, shown(judge, case, seen), None, DryRun(reads=really_read))
                if not isinstance(run.output, Mapping):
                    detail = run.problem.get("detail") if isinstance(run.problem, Mapping) else None
                    raise UserError(
                        "judge-failed",
                        f"The judge said nothing of {case.name}: {detail}",
                        hint=f'Policies see it as Workflow::"{NAMESPACE}/{self._file.name}"; it needs `infer` and `model`.',
                    )
                said = run.output
                await self._results.keep(bundle.digest, case, key, said)
            return score_of(judge, case, said)

        return await together(one(case, seen) for case, seen in pairs)
