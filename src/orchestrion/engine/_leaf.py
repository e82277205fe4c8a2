"""The gate: look up, decide, write intent, perform, write outcome. There is no other way to an effect."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from orchestrion.core import (
    INTERRUPTED,
    BugError,
    Call,
    Datum,
    Decision,
    Deny,
    Diverged,
    Entry,
    EntryKind,
    EntryStatus,
    Evidence,
    Faulted,
    Fenced,
    Gate,
    Invocation,
    Json,
    Nature,
    NeedsApproval,
    OrchestrionError,
    Outcome,
    Permit,
    PolicyDenied,
    Problem,
    Put,
    Question,
    UserError,
    decision_json,
    permitted,
)

from ._rows import outcome_of, problem_in, stored_labels
from ._walk import Scope, Walk, WalkStopped

if TYPE_CHECKING:
    from ._effects import WalkEffects

log = logging.getLogger(__name__)

MOST_APPROVALS = 5


def call_of(invocation: Invocation, nature: Nature, workflow: str) -> Call:
    """The call in the terms policies speak."""
    acting = invocation.acting
    arguments = acting.arguments if acting else invocation.arguments.value
    return Call(
        principal=acting.principal if acting else ("Workflow", workflow),
        action=acting.action if acting else invocation.function.partition(":")[0],
        resource=nature.resource,
        arguments={**(cast("Mapping[str, Json]", arguments) if isinstance(arguments, Mapping) else {}), **nature.seen},
        labels=invocation.arguments.labels,
    )


def subject_of(invocation: Invocation, workflow: str) -> str:
    kind, name = invocation.acting.principal if invocation.acting else ("Workflow", workflow)
    return f"{kind}::{name}"


async def perform_leaf(
    effects: "WalkEffects",
    gate: Gate,
    invocation: Invocation,
    nature: Nature,
    perform: Callable[[str], Awaitable[Outcome]],
) -> Outcome:
    """One leaf call, once. `perform` is given the call's digest. Raises: Faulted with the recorded problem; Diverged through the walk."""
    walk, key = effects.walk, invocation.key
    effects.require_open()
    digest = invocation.digest()
    entry = walk.entries.get(key)
    if entry is not None:
        match recorded(walk, entry, digest):
            case Outcome() as outcome:
                return outcome
            case Entry() as intent:
                entry = await _interrupted(effects, invocation, nature, intent)
                if entry.status is EntryStatus.COMPLETED:
                    return outcome_of(entry)
    if effects.express and nature.effect == "write" and not _idempotent(invocation, nature):
        raise UserError(
            "express-effect",
            f"{invocation.task}: {invocation.function} changes something outside and could not be repeated safely.",
            hint="Run it without --express, so that it is recorded before it happens.",
        )
    began_at = walk.clock.now()

    def begin(decision: Json) -> Entry:
        return entry.decided(decision) if entry else beginning(walk, invocation, digest, began_at, decision)

    if nature.effect == "none":
        intent = begin(None)
    else:
        intent = begin(await decide_and_wait(effects, gate, invocation, nature, begin))
        if nature.effect == "write":
            await walk.commit(Put(intent))
            intent = walk.entries[key]  # where its input is large, the store has it now
    return await _perform(effects, intent, lambda: perform(digest))


def beginning(walk: Walk, invocation: Invocation, digest: str, began_at: float, decision: Json) -> Entry:
    """The intent of a call."""
    return Entry(
        key=invocation.key,
        kind=EntryKind.LEAF,
        status=EntryStatus.INTENT,
        task=invocation.task,
        function=invocation.function,
        digest=digest,
        input=invocation.arguments.value,
        decision=decision,
        subject=subject_of(invocation, walk.run_name),
        started_at=began_at,
        epoch=walk.run.epoch,
    )


def _idempotent(invocation: Invocation, nature: Nature) -> bool:
    return nature.idempotent if invocation.idempotent is None else invocation.idempotent


def recorded(walk: Walk, entry: Entry, digest: str) -> Outcome | Entry:
    """The recorded outcome, or the intent that has none."""
    if entry.kind is not EntryKind.LEAF or entry.digest != digest:
        raise walk.stop(Diverged(entry.key, f"it holds {entry.function or entry.kind} with digest {entry.digest[:12]}"))
    match entry.status:
        case EntryStatus.COMPLETED:
            return outcome_of(entry)
        case EntryStatus.FAILED:
            raise Faulted(problem_in(entry.problem), source_key=entry.key)
        case EntryStatus.INTENT:
            return entry
        case EntryStatus.ABANDONED:
            raise walk.stop(Diverged(entry.key, "its scope was closed"))


async def _interrupted(effects: "WalkEffects", invocation: Invocation, nature: Nature, intent: Entry) -> Entry:
    """An intent without outcome, after a crash: to be performed again if that is safe, else the author or a person decides."""
    walk = effects.walk
    if nature.effect != "write" or _idempotent(invocation, nature):
        return intent
    problem = Problem(
        type=INTERRUPTED,
        status=409,
        title="Interrupted",
        detail=f"{invocation.function} was begun, and the process died before its outcome was known.",
        instance=invocation.task,
        code="interrupted",
        hint="Find out whether it happened, then answer in the inbox: performed, again, or failed.",
    )
    failed = replace(intent, status=EntryStatus.FAILED, problem=problem.to_json(), ended_at=walk.clock.now())
    if invocation.catches_interrupted:
        await walk.commit(Put(failed))
        raise Faulted(problem, source_key=intent.key)
    before = cast("Mapping[str, int]", intent.why or {}).get("interruptions", 0)
    answer = await effects.ask(
        f"{intent.key}/interrupted/{before + 1}",
        invocation.task,
        Question(
            kind="interrupted",
            title=f"Did {invocation.acting.action if invocation.acting else invocation.function} happen?",
            show=Datum({"function": invocation.function, "arguments": invocation.arguments.value}),
        ),
    )
    match answer.verdict:
        case "again":
            return replace(intent, why={"interruptions": before + 1})
        case "performed" | "answered" | "approved":
            done = replace(
                intent,
                status=EntryStatus.COMPLETED,
                output=answer.value.value,
                why={"interruptions": before + 1, "settled_by": answer.by},
                ended_at=walk.clock.now(),
            )
            await walk.commit(Put(done))
            return done
        case "failed" | "rejected":
            await walk.commit(Put(failed))
            raise Faulted(problem, source_key=intent.key)


async def decide_and_wait(
    effects: "WalkEffects",
    gate: Gate,
    invocation: Invocation,
    nature: Nature,
    begin: Callable[[Json], Entry],
) -> Json:
    """The permission as recorded. Waits for a person where policy wants one. Raises: Faulted when refused, which is recorded."""
    walk = effects.walk
    call = call_of(invocation, nature, walk.run_name)
    evidence = Evidence(run_id=walk.run.id, workflow=walk.run_name, subject=walk.run.subject)
    decision = gate.decide(call, evidence)
    approvals = 0
    while isinstance(decision, NeedsApproval):
        approvals += 1
        if approvals > MOST_APPROVALS:
            decision = Deny(reason="Policy asked for one approval after another.", version=decision.version)
            break
        decision, evidence = await _approval(effects, gate, invocation, call, evidence, decision, approvals)
    record = decision_json(decision)
    if evidence.approved_by:
        record |= {"approved_by": evidence.approved_by, "approved_by_role": evidence.approved_by_role}
    if isinstance(decision, Deny):
        refused = PolicyDenied("policy-denied", decision.reason).problem.at(invocation.task)
        problem = Problem.model_validate({**refused.to_json(), "refused_by": "person" if approvals else "policy"})
        refusal = begin(record)
        await walk.commit(Put(refusal.ended(EntryStatus.FAILED, walk.clock.now(), problem=problem.to_json())))
        raise Faulted(problem, source_key=refusal.key)
    return record


async def _approval(
    effects: "WalkEffects",
    gate: Gate,
    invocation: Invocation,
    call: Call,
    evidence: Evidence,
    needed: NeedsApproval,
    number: int,
) -> tuple[Decision, Evidence]:
    """Ask once, and decide again with the answer. An answer counts only for exactly what was shown."""
    binding: Json = {
        "invocation": invocation.digest(),
        "agent": invocation.acting.version if invocation.acting else "",
        "policy": gate.version,
    }
    try:
        answer = await effects.ask(
            f"{invocation.key}/approval/{number}",
            invocation.task,
            Question(
                kind="approval",
                title=f"{call.principal[1]} asks to {call.action}",
                role=needed.role,
                show=Datum(_shown(invocation, call, needed)),
                binding=binding,
                expires_after_s=needed.expires_after_s,
            ),
        )
    except Faulted as error:
        return Deny(reason=f"Nobody approved in time: {error.message}", version=gate.version), evidence
    if answer.verdict != "approved":
        said = f": {answer.reason}" if answer.reason else ""
        return Deny(reason=f"{answer.by} rejected it{said}", policies=needed.policies, version=gate.version), evidence
    if answer.binding != binding:
        return gate.decide(call, evidence), evidence
    recorded = effects.asked_role(f"{invocation.key}/approval/{number}")
    approved = replace(evidence, approved_by=answer.by, approved_by_role=recorded)
    return gate.decide(call, approved), approved


def _shown(invocation: Invocation, call: Call, needed: NeedsApproval) -> Json:
    """What a person has to know to approve a call."""
    shown: dict[str, Json] = {"action": call.action, "arguments": call.arguments, "why": needed.reason}
    if needed.policies:
        shown["policies"] = list(needed.policies)
    if invocation.acting is not None and invocation.acting.origins:
        shown["origins"] = dict(invocation.acting.origins)
    return shown


async def _perform(effects: "WalkEffects", intent: Entry, perform: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Perform and write the outcome; a failure is an outcome too."""
    walk, scope = effects.walk, effects.scope
    permit = Permit(run_id=walk.run.id, key=intent.key, root_id=walk.run.root_id or walk.run.id)
    await walk.require_lead()
    try:
        with permitted(permit) if effects.permits else nullcontext():
            outcome = await perform()
    except OrchestrionError as error:
        problem = error.problem.at(intent.task)
    except Exception as error:
        log.exception("%s failed unexpectedly at %s of run %s", intent.function, intent.key, walk.run.id)
        problem = BugError(
            "function-broke",
            f"{intent.function} failed unexpectedly with a {type(error).__name__}.",
            hint="The log has the details.",
        ).problem.at(intent.task)
    else:
        ended = intent.ended(
            EntryStatus.COMPLETED,
            walk.clock.now(),
            output=outcome.output.value,
            labels=stored_labels(outcome.output.labels),
            why=outcome.why,
            cost=outcome.cost.to_json() if outcome.cost else None,
            model=outcome.model,
        )
        await _record(walk, scope, ended)
        return outcome
    await _record(
        walk,
        scope,
        replace(intent, status=EntryStatus.FAILED, problem=problem.to_json(), ended_at=walk.clock.now()),
    )
    raise Faulted(problem, source_key=intent.key)


async def _record(walk: Walk, scope: Scope, ended: Entry) -> None:
    """Write the outcome, or keep it as a note when its scope has closed meanwhile."""
    if not scope.open:
        if walk.failure is None and walk.ending is None:
            walk.attach(Put(replace(ended, key=f"{ended.key}!late", kind=EntryKind.NOTE)))
        elif walk.failure is not None:
            await _keep_late(walk, ended)
        raise WalkStopped
    try:
        await walk.commit(Put(ended))
    except WalkStopped:
        if isinstance(walk.failure, Fenced):
            await _keep_late(walk, ended)
        raise


async def _keep_late(walk: Walk, ended: Entry) -> None:
    try:
        await walk.journal.late(walk.run.id, ended)
    except OrchestrionError as error:
        log.warning("The late outcome at %s of run %s could not be kept: %s", ended.key, walk.run.id, error)
