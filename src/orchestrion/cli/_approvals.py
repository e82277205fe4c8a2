"""`orchestrion approvals`: what waits for a person, and the answers."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.table import Table
from rich.text import Text

from orchestrion.core import Answer, Datum, Json, Request, RequestStatus, SystemClock, UserError, Verdict, iso

from ._runs import journal_of
from ._terminal import err, execute, out, print_json, read_value, user_name


def list_requests(limit: int, *, everything: bool, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            journal = await journal_of(stack, project)
            status = None if everything else RequestStatus.OPEN
            asked = await journal.requests(status=status, limit=limit + 1) if journal else ()
        found = asked[:limit]
        if as_json:
            print_json([request.to_json() for request in found])
        elif found:
            out.print(_table(found))
            if len(asked) > limit:
                out.print(f"… and more than these {limit}, the oldest: --limit shows more")
            out.print("[dim]orchestrion approvals show REQUEST[/]")
        else:
            err.print("Nothing waits for a person.")
        return 0

    execute(work, as_json=as_json)


def _table(found: Sequence[Request]) -> Table:
    """Ids whole, so that they can be copied; the rest makes room."""
    table = Table(box=None, pad_edge=False)
    table.add_column("request", no_wrap=True, min_width=36)
    table.add_column("what", overflow="fold")
    table.add_column("for", overflow="fold")
    for request in found:
        question = request.question
        whom = question.role or question.user or "anybody"
        said = f"{request.answer.verdict} by {request.answer.by}" if request.answer else ""
        what = f"{question.kind}: {question.title}" + (
            f" ({said or request.status})" if said or not _open(request) else ""
        )
        table.add_row(request.id, Text(what), whom)
    return table


def _open(request: Request) -> bool:
    return request.status is RequestStatus.OPEN


async def _required(project: Path, fragment: str) -> Request:
    async with AsyncExitStack() as stack:
        journal = await journal_of(stack, project)
        request = await journal.request(fragment) if journal else None
    if request is None:
        raise UserError(
            "unknown-request",
            f"There is no request {fragment!r}, or it is part of several ids.",
            hint="orchestrion approvals list --all shows them.",
        )
    return request


def show_request(fragment: str, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        request = await _required(project, fragment)
        if as_json:
            print_json(request.to_json())
            return 0
        question = request.question
        out.print(f"[bold]{question.kind}[/] {request.id}  [dim]run {request.run_id}[/]")
        out.print(question.title, markup=False)
        out.print(f"for {question.role or question.user or 'anybody'}, asked {iso(request.created_at)}", end="")
        out.print(f", until {iso(request.expires_at)}" if request.expires_at else "")
        out.print_json(data=question.show.value)
        if question.form is not None:
            out.print("The answer takes:")
            out.print_json(data=question.form)
        if request.answer is not None:
            out.print(f"{request.answer.verdict} by {request.answer.by} {iso(request.answer.at)}")
        elif request.status is RequestStatus.OPEN:
            for command in _ways(request):
                out.print(f"  {command}", markup=False)
        else:
            out.print(request.status)
        return 0

    execute(work, as_json=as_json)


def _ways(request: Request) -> list[str]:
    """The commands that answer it."""
    approve, reject = f"orchestrion approvals approve {request.id}", f"orchestrion approvals reject {request.id}"
    match request.question.kind:
        case "approval":
            return [approve, reject]
        case "human":
            return [f"{approve} --value '{{…}}'", reject]
        case "interrupted":
            return [f"{approve} --performed", f"{approve} --again", reject]


def approve(
    fragment: str,
    value: str | None,
    *,
    again: bool,
    performed: bool,
    reason: str | None,
    user: str | None,
    project: Path,
    as_json: bool,
) -> None:
    async def work() -> int:
        request = await _required(project, fragment)
        given = read_value(value, "The answer")
        answer = Answer(
            verdict=_verdict(request, given, again=again, performed=performed),
            by=user_name(user),
            at=SystemClock().now(),
            value=Datum(given),
            reason=reason,
        )
        return await _decide(project, request, answer, as_json=as_json)

    execute(work, as_json=as_json)


def reject(fragment: str, reason: str | None, user: str | None, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        request = await _required(project, fragment)
        verdict = "failed" if request.question.kind == "interrupted" else "rejected"
        answer = Answer(verdict=verdict, by=user_name(user), at=SystemClock().now(), reason=reason)
        return await _decide(project, request, answer, as_json=as_json)

    execute(work, as_json=as_json)


def _verdict(request: Request, given: Json, *, again: bool, performed: bool) -> Verdict:
    """What approving means for this kind of request. Raises: UserError naming what is missing."""
    match request.question.kind:
        case "approval":
            return "approved"
        case "human":
            if not isinstance(given, Mapping):
                raise UserError(
                    "answer-missing",
                    f"{request.question.title!r} is a question; approving alone does not answer it.",
                    hint=f"Give the answer: --value '{{…}}'. `orchestrion approvals show {request.id}` shows the form.",
                )
            from orchestrion.functions import check_answer

            check_answer(request.question.form, given)
            return "answered"
        case "interrupted":
            if again == performed:
                raise UserError(
                    "answer-missing",
                    "Nobody knows whether this call happened before the process died.",
                    hint="Find out, then say --performed (it happened) or --again (perform it again), or reject it.",
                )
            return "again" if again else "performed"


async def _decide(project: Path, request: Request, answer: Answer, *, as_json: bool) -> int:
    from orchestrion.app import App

    from ._change import change

    async def act(app: App) -> Request:
        return await app.answer(request, answer)

    return await change(project, request.run_id, act, as_json=as_json)
