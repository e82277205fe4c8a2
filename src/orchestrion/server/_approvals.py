"""Routes of what waits for a person."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from orchestrion.app import App
from orchestrion.core import Answer, Datum, Request, RequestStatus, UserError
from orchestrion.functions import check_answer

from ._answers import JsonAnswer
from ._identity import GuardedRoute, Me
from ._run_shapes import AnswerGiven, Approval, ApprovalList, approval

ApprovalId = Annotated[str, "An approval's id."]
FITTING = {
    "approval": ("approved", "rejected"),
    "human": ("answered", "rejected"),
    "interrupted": ("again", "performed", "failed"),
}
"""Kind of question → the verdicts that answer it."""


def approval_routes(app: App) -> APIRouter:
    """Approvals, questions and interrupted calls of an open project."""
    router = APIRouter(prefix="/approvals", tags=["approvals"], route_class=GuardedRoute)

    @router.get("", operation_id="listApprovals", response_model=ApprovalList)
    async def listed(
        run: Annotated[str | None, Query(max_length=100, description="Only of this run.")] = None,
        status: Annotated[RequestStatus | None, Query(description="`open` by default where no run is named.")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> Response:
        """What waits for a person, the oldest first."""
        wanted = status or (RequestStatus.OPEN if run is None else None)
        found = await app.journal.requests(run_id=run, status=wanted, limit=limit)
        return JsonAnswer({"approvals": [approval(each) for each in found]})

    @router.get("/{approval_id}", operation_id="showApproval", response_model=Approval)
    async def show(approval_id: ApprovalId) -> Response:
        """What is asked, by whom, with which arguments and why."""
        return JsonAnswer(approval(await _required(app, approval_id)))

    @router.post("/{approval_id}/answer", operation_id="answerApproval", response_model=Approval)
    async def answer(approval_id: ApprovalId, given: AnswerGiven, me: Me) -> Response:
        """Decide it; the run goes on at once. Counts once, for exactly what was shown."""
        request = await _required(app, approval_id)
        _require_fit(request, given)
        said = Answer(
            verdict=given.verdict,
            by=me.name,
            at=app.clock.now(),
            value=Datum(given.value),
            reason=given.reason,
            binding=given.binding,
        )
        return JsonAnswer(approval(await app.answer(request, said)))

    return router


async def _required(app: App, approval_id: str) -> Request:
    """By its whole id. Raises: UserError `unknown-request`."""
    request = await app.journal.request(approval_id)
    if request is None or request.id != approval_id:
        raise UserError("unknown-request", f"There is no request {approval_id[:100]!r}.")
    return request


def _require_fit(request: Request, given: AnswerGiven) -> None:
    """Raises: UserError `verdict-unfit`, `answer-does-not-fit`."""
    fitting = FITTING[request.question.kind]
    if given.verdict not in fitting:
        raise UserError(
            "verdict-unfit",
            f"{given.verdict!r} does not answer a question of the kind {request.question.kind!r}.",
            hint=f"It takes one of: {', '.join(fitting)}.",
        )
    if given.verdict == "answered":
        check_answer(request.question.form, given.value)
