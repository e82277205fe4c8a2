"""Trying a model: a run in memory, whose three questions pass the project's policies like any other call."""

from collections.abc import Sequence
from functools import partial

from orchestrion.core import (
    ERROR_TYPES,
    Acting,
    Clock,
    Datum,
    Effects,
    Invocation,
    Json,
    Nature,
    OrchestrionError,
    PolicyDenied,
    Run,
    UserError,
    canonical_error_type,
    new_id,
)
from orchestrion.engine import Engine, Limits
from orchestrion.interpreter import SEMANTICS, Interpreter
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.models import QUESTIONS, Candidate, ModelTests, Trial, ask_trial

from ._journals import open_journal
from ._project import TRIAL
from ._rooms import Rooms, outside_of

_NAMESPACE, _, _NAME = TRIAL.partition("/")
_AT = "/do/0/try"


async def try_model(rooms: Rooms, name: str, clock: Clock, *, subject: str | None = None) -> Trial:
    """Ask a model the three questions of `orchestrion models test`, in the name of `subject`.

    Raises: BadProject for a project that is not sound; UserError about the model's name.
    """
    candidate = rooms.models.candidates([name])[0]
    trial, journal = Trial(model=name), MemoryJournal(clock)

    async def interpret(run: Run, effects: Effects) -> Datum:
        await _ask(candidate, trial, effects, clock)
        return Datum(trial.to_json())

    outside = outside_of(rooms, journal, Interpreter(rooms.shared.expressions), now=rooms, express=True)
    run = Run(
        id=new_id(),
        namespace=_NAMESPACE,
        workflow=_NAME,
        version="1.0.0",
        digest="",
        semantics=SEMANTICS,
        input={"model": name},
        subject=subject,
        created_at=clock.now(),
    )
    engine = Engine(
        journal=journal, interpret=interpret, outside=outside, clock=clock, semantics=SEMANTICS, limits=Limits()
    )
    async with engine:
        await engine.settle((await engine.start(run)).id)
    return trial


async def keep_trials(rooms: Rooms, trials: Sequence[Trial], clock: Clock) -> None:
    """Keep what came of trying models, so that incidents can say whether a fallback was seen to work. Nothing where no store is."""
    asked = [each for each in trials if each.problem is None or each.problem.code != "policy-denied"]
    try:
        async with open_journal(rooms.project, mode="join", clock=clock) as journal:
            assert isinstance(journal, DurableJournal)
            tests = ModelTests(journal, clock)
            for trial in asked:
                await tests.keep(trial.model, rooms.models.target(trial.model), trial.to_json())
    except UserError as error:
        if error.code not in {"store-missing", "store-folder-missing"}:
            raise


async def _ask(candidate: Candidate, trial: Trial, effects: Effects, clock: Clock) -> None:
    nature = Nature(effect="read", idempotent=True, resource=("Model", candidate.name))
    known: dict[str, Json] = {"model": candidate.name, **({"region": candidate.region} if candidate.region else {})}
    for number, (question, prompt) in enumerate(QUESTIONS.items()):
        invocation = Invocation(
            key=f"{_AT}#1/model/{number}",
            task=_AT,
            function="model:1.0.0",
            arguments=Datum({"model": candidate.name, "prompt": prompt}),
            acting=Acting(principal=("Workflow", TRIAL), action="model", arguments=known),
        )
        perform = partial(ask_trial, candidate, question, run_id=effects.run.id, clock=clock)
        try:
            outcome = await effects.record(invocation, nature, perform)
        except OrchestrionError as error:
            trial.problem = _explained(error)
            return
        trial.take(question, outcome.output.value)


def _explained(error: OrchestrionError) -> OrchestrionError:
    """A refusal with the policy that would permit it."""
    if canonical_error_type(error.problem.type) != ERROR_TYPES["authorization"] or error.code != "policy-denied":
        return error
    hint = f'Permit it in `policies`: permit (principal == Workflow::"{TRIAL}", action == Action::"model", resource);'
    return PolicyDenied("policy-denied", f"Policy refuses that this model is asked: {error.message}", hint=hint)
