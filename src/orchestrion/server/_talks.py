"""Routes of whom one may talk to, of what people say of answers, and of how everybody does."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Response

from orchestrion.app import App, Feedback, FeedbackBook, Watch, partners, watched_json
from orchestrion.core import Json, iso
from orchestrion.oversight import KINDS, Measures, SubjectKind

from ._answers import JsonAnswer, durable
from ._identity import GuardedRoute, Me
from ._project_shapes import WatchedShape
from ._run_shapes import FeedbackGiven, FeedbackList, FeedbackShape
from ._runs import RunId, required
from ._talk_shapes import PartnerList

LONGEST_H = 24 * 35


def talk_routes(app: App) -> APIRouter:
    """Partners and feedback of an open project."""
    router = APIRouter(tags=["talks"], route_class=GuardedRoute)
    book = FeedbackBook(durable(app), app.clock)

    @router.get("/partners", operation_id="listPartners", response_model=PartnerList)
    async def listed() -> Response:
        """Agents, teams and workflows, and what each takes."""
        return JsonAnswer(
            {
                "partners": [
                    {
                        "name": each.name,
                        "kind": each.kind,
                        "description": each.description,
                        "input": dict(each.input),
                        "output": dict(each.output) if each.output is not None else None,
                        "text": each.text,
                    }
                    for each in partners(app).values()
                ]
            }
        )

    @router.get("/runs/{run_id}/feedback", operation_id="listFeedback", response_model=FeedbackList)
    async def said(run_id: RunId) -> Response:
        """What people said of a run, the first first."""
        run = await required(app, run_id)
        return JsonAnswer({"feedback": [_feedback(each) for each in await book.of(run.id)]})

    @router.post("/runs/{run_id}/feedback", operation_id="giveFeedback", status_code=201, response_model=FeedbackShape)
    async def give(run_id: RunId, given: FeedbackGiven, me: Me) -> Response:
        """A thumb, what would have been right, a note. A correction is a case for evaluations from now on."""
        run = await required(app, run_id)
        kept = await book.give(run, by=me.name, thumb=given.thumb, correction=given.correction, note=given.note)
        return JsonAnswer(_feedback(kept), status_code=201)

    @router.get("/watching", operation_id="showWatching", response_model=WatchedShape)
    async def watching(
        of: Annotated[list[SubjectKind] | None, Query(max_length=10)] = None,
        hours: Annotated[int, Query(ge=1, le=LONGEST_H, description="Back from now.")] = 24,
    ) -> Response:
        """Of each agent, model, tool, router and workflow: rates, times, costs, approvals, corrections, and drift."""
        watch, since = Watch(durable(app), app.clock), app.clock.now() - hours * 3600
        kinds: Sequence[SubjectKind] = of or KINDS
        found: dict[SubjectKind, Mapping[str, Measures]] = {kind: await watch.sums(kind, since) for kind in kinds}
        signals = {key: each for key, each in (await watch.signals()).items() if key[0].kind in kinds}
        return JsonAnswer(watched_json(found, signals))

    return router


def _feedback(said: Feedback) -> Json:
    return {**said.to_json(), "at": iso(said.at)}
