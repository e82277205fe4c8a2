"""Routes of workflows: their documents, versions, and which one new runs get."""

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from orchestrion.app import (
    App,
    Released,
    changes_between,
    oversight_of,
    registry_of,
    release,
    resolve,
    roll_back,
)
from orchestrion.core import Json, iso
from orchestrion.oversight import in_words
from orchestrion.registry import Change, Kept, Rollout
from orchestrion.spec import Document

from ._answers import JsonAnswer
from ._identity import GuardedRoute, Me
from ._runs import version_of
from ._version_shapes import (
    Comparison,
    DeployGiven,
    ReleasedShape,
    RollBackGiven,
    RolloutList,
    RolloutShape,
    VersionList,
    WorkflowList,
    WorkflowWhole,
)

Part = Annotated[str, Path(max_length=200, description="Of the workflow's name.")]
Version = Annotated[str, Query(min_length=1, max_length=100, description="A digest, an alias, or `working`.")]
OfWorkflow = Annotated[str | None, Query(max_length=300, description="Of this workflow.")]
Limit = Annotated[int, Query(ge=1, le=200)]


def workflow_routes(app: App) -> APIRouter:
    """Workflows of an open project."""
    router = APIRouter(prefix="/workflows", tags=["workflows"], route_class=GuardedRoute)

    @router.get("", operation_id="listWorkflows", response_model=WorkflowList)
    async def listed() -> Response:
        """The workflows that can be started, as new runs get them."""
        return JsonAnswer({"workflows": [_named(each) for each in await app.versions.documents()]})

    @router.get("/{namespace}/{name}", operation_id="showWorkflow", response_model=WorkflowWhole)
    async def show(namespace: Part, name: Part) -> Response:
        """A workflow's document, as new runs get it."""
        document = (await app.versions.choose(f"{namespace}/{name}", None)).document
        file, _ = app.checked.shelf.sources.get(document.digest, (None, None))
        return JsonAnswer({**_named(document), "text": document.text, "file": file})

    @router.post("/{namespace}/{name}/deploy", operation_id="deploy", response_model=ReleasedShape)
    async def deploy(namespace: Part, name: Part, given: DeployGiven, me: Me) -> Response:
        """Point an alias at a version: with `production`, new runs get it. Runs under way keep theirs."""
        bundle = await version_of(app, given.version, f"{namespace}/{name}", me.name)
        return JsonAnswer(_released(await release(app, bundle, given.alias, by=me.name, why=given.why)))

    @router.post("/{namespace}/{name}/rollback", operation_id="rollBack", response_model=ReleasedShape)
    async def rollback(namespace: Part, name: Part, given: RollBackGiven, me: Me) -> Response:
        """Point `production` at a version it pointed at before."""
        return JsonAnswer(_released(await roll_back(app, f"{namespace}/{name}", given.to, by=me.name, why=given.why)))

    return router


def version_routes(app: App) -> APIRouter:
    """Versions, and those on trial."""
    router = APIRouter(tags=["versions"], route_class=GuardedRoute)

    @router.get("/versions", operation_id="listVersions", response_model=VersionList)
    async def versions(workflow: OfWorkflow = None, limit: Limit = 50) -> Response:
        """Kept versions, the newest first, and the aliases that point at them."""
        registry = registry_of(app)
        aliases = await registry.aliases()
        kept = await registry.listed(workflow, limit)
        pointing = {
            each.bundle.digest: [
                move.alias
                for move in aliases
                if (move.workflow, move.bundle) == (each.bundle.workflow, each.bundle.digest)
            ]
            for each in kept
        }
        return JsonAnswer({"versions": [_kept(each, pointing[each.bundle.digest]) for each in kept]})

    @router.get("/versions/compare", operation_id="compareVersions", response_model=Comparison)
    async def compare(before: Version, after: Version, workflow: OfWorkflow = None) -> Response:
        """What differs between two versions, in words."""
        first = await resolve(app, before, workflow)
        second = await resolve(app, after, workflow)
        changes = await changes_between(app, first, second)
        return JsonAnswer(
            {"before": first.digest, "after": second.digest, "changes": [_change(each) for each in changes]}
        )

    @router.get("/rollouts", operation_id="listRollouts", response_model=RolloutList)
    async def rollouts(limit: Limit = 50) -> Response:
        """Versions on trial, and how earlier trials ended; the newest first."""
        found = await oversight_of(app).rollouts.listed(limit)
        return JsonAnswer({"rollouts": [await rollout_shape(app, each) for each in found]})

    @router.get("/rollouts/{rollout_id}", operation_id="showRollout", response_model=RolloutShape)
    async def rollout(rollout_id: Annotated[str, Path(min_length=1, max_length=100)]) -> Response:
        """A trial and its evidence."""
        return JsonAnswer(await rollout_shape(app, await oversight_of(app).rollouts.find(rollout_id)))

    return router


def _named(document: Document) -> dict[str, Json]:
    return {
        "name": document.id,
        "version": document.version,
        "title": document.title,
        "digest": document.digest,
        "schedule": document.schedule.words if document.schedule is not None else None,
    }


def _released(done: Released) -> dict[str, Json]:
    move = done.move
    return {
        "workflow": move.workflow,
        "alias": move.alias,
        "version": move.bundle,
        "before": move.before,
        "changes": [_change(each) for each in done.changes],
        "in_flight": dict(done.in_flight),
    }


def _change(change: Change) -> dict[str, Json]:
    return {"piece": change.piece, "words": str(change)}


def _kept(kept: Kept, aliases: list[str]) -> dict[str, Json]:
    return {
        "digest": kept.bundle.digest,
        "workflow": kept.bundle.workflow,
        "version": kept.bundle.version,
        "aliases": list(aliases),
        "created_at": iso(kept.created_at),
        "created_by": kept.created_by,
        "source": kept.source,
    }


async def rollout_shape(app: App, rollout: Rollout) -> dict[str, Json]:
    """A trial; while it goes on, with what its runs say so far."""
    verdict, evidence = rollout.verdict, rollout.evidence
    oversight = oversight_of(app)
    counted = Counter(run.side for run in await oversight.rollouts.runs(rollout))
    if verdict is None and evidence is None:
        said = (await oversight.comparison(rollout)).verdict
        verdict, evidence = in_words(said), said.standing.to_json()
    return {
        "id": rollout.id,
        "workflow": rollout.workflow,
        "candidate": rollout.candidate,
        "control": rollout.control,
        "status": rollout.status.value,
        "plan": rollout.plan,
        "created_at": iso(rollout.created_at),
        "created_by": rollout.created_by,
        "ended_at": iso(rollout.ended_at) if rollout.ended_at is not None else None,
        "runs": {"candidate": counted["candidate"], "control": counted["control"]},
        "verdict": verdict,
        "evidence": evidence,
    }
