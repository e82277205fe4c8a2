"""Making a version the one that new runs get, and taking that back."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrion.core import UserError
from orchestrion.oversight import Plan
from orchestrion.registry import PRODUCTION, Bundle, Change, Move, Registry, Rollout, differences, is_called, short

from ._app import App
from ._rollouts import Oversight

WORKING = "working"
"""How the project's files as they are now are called beside aliases and digests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """An alias was moved."""

    move: Move
    changes: list[Change]
    """From what it pointed at before; empty for an alias's first move."""
    in_flight: Mapping[str, int]
    """Bundle → how many runs of the workflow are under way with it, and stay with it."""


def registry_of(app: App) -> Registry:
    """Raises: UserError `version-unkept` where nothing is kept."""
    if app.versions.registry is None:
        raise UserError("version-unkept", "Nothing is kept here, so there are no versions.")
    return app.versions.registry


async def resolve(app: App, name: str, workflow: str | None, by: str | None = None) -> Bundle:
    """The version of a name: `working`, an alias, or the beginning of a digest. The working one is kept by this.

    Raises: UserError `unknown-version`, `ambiguous-version`, `which-workflow`, `unknown-workflow`.
    """
    registry = registry_of(app)
    if name == WORKING:
        document = app.checked.shelf.named(workflow or _only(app, name))
        await app.versions.working(document, by)
        return app.versions.bundle(document)
    moves = [move for (_, alias), move in (await app.versions.aliases()).items() if alias == name]
    if moves:
        wanted = workflow or (moves[0].workflow if len(moves) == 1 else _only(app, name))
        found = [move for move in moves if is_called(move.workflow, wanted)]
        if len(found) != 1:
            raise UserError("unknown-version", f"{name!r} of {wanted!r} points at nothing.")
        return (await registry.find(found[0].bundle)).bundle
    kept = (await registry.find(name)).bundle
    if workflow is not None and not is_called(kept.workflow, workflow):
        raise UserError("unknown-version", f"{short(kept.digest)} is a version of {kept.workflow}, not of {workflow}.")
    return kept


def _only(app: App, name: str) -> str:
    known = sorted({document.id for document in app.checked.shelf.documents})
    if len(known) != 1:
        raise UserError(
            "which-workflow",
            f"{name!r} does not say of which workflow.",
            hint=f"Name it with --workflow. There are: {', '.join(known) or 'none'}.",
        )
    return known[0]


async def changes_between(app: App, before: Bundle, after: Bundle) -> list[Change]:
    """What differs between two versions, in words."""
    registry = registry_of(app)
    return differences(await registry.contents(before), await registry.contents(after))


async def release(app: App, bundle: Bundle, alias: str, *, by: str, why: str) -> Released:
    """Point an alias at a version: with `production`, new runs get it from now on. Runs under way keep theirs.

    Raises: UserError `alias-moved` when somebody else moved it meanwhile.
    """
    registry = registry_of(app)
    last = await registry.alias(bundle.workflow, alias)
    before = (await registry.find(last.bundle)).bundle if last is not None else None
    move = await registry.move(bundle, alias, by=by, why=why, expected=last.bundle if last else None)
    app.versions.refresh()
    changes = await changes_between(app, before, bundle) if before is not None else []
    return Released(move=move, changes=changes, in_flight=await registry.in_flight(bundle.workflow))


async def put_on_trial(app: App, candidate: Bundle, plan: Plan, *, by: str) -> Rollout:
    """Give a version a part of the new runs, beside the one in production, until its verdict.

    Raises: UserError `bad-plan`, `nothing-deployed`, `rollout-running`, `nothing-differs`.
    """
    registry = registry_of(app)
    await oversight_of(app).require_sound(plan)
    last = await registry.alias(candidate.workflow, PRODUCTION)
    if last is None:
        raise UserError(
            "nothing-deployed",
            f"No version of {candidate.workflow!r} is deployed: there is none to compare with.",
            hint=f"orchestrion deploy {candidate.workflow}, without --canary.",
        )
    control = (await registry.find(last.bundle)).bundle
    begun = await oversight_of(app).rollouts.begin(candidate, control, plan.to_json(), by=by)
    app.versions.refresh()
    return begun


def oversight_of(app: App) -> Oversight:
    """Raises: UserError `version-unkept` where nothing is kept."""
    if app.versions.oversight is None:
        raise UserError("version-unkept", "Nothing is kept here, so there are no rollouts.")
    return app.versions.oversight


async def roll_back(app: App, workflow: str, to: str | None, *, by: str, why: str) -> Released:
    """Point `production` at a version it pointed at before: by default the last other one.

    Raises: UserError `nothing-deployed`, `nothing-before`, and as `resolve`.
    """
    registry = registry_of(app)
    last = await app.versions.production(workflow)
    if last is None:
        raise UserError("nothing-deployed", f"No version of {workflow!r} is deployed.", hint="orchestrion deploy")
    if to is not None:
        target = await resolve(app, to, last.workflow)
    elif last.before is None:
        raise UserError(
            "nothing-before", f"{last.workflow} has had one version only.", hint="Name another one with --to."
        )
    else:
        target = (await registry.find(last.before)).bundle
    return await release(app, target, PRODUCTION, by=by, why=why)
