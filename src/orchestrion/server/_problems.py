"""Every failure as problem details (RFC 9457), with a status that says who can put it right."""

from collections.abc import Mapping
from typing import Any, cast

from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import compile_path

from orchestrion.core import Json, OrchestrionError, TransientError, UserError, dump_bytes, problem_of
from orchestrion.project import BadProject

MEDIA = "application/problem+json"

STATUS: Mapping[str, int] = {
    "alias-moved": 409,
    "answer-does-not-fit": 422,
    "already-decided": 409,
    "backlog-full": 429,
    "binding-changed": 409,
    "body-too-large": 413,
    "body-too-slow": 408,
    "console-missing": 404,
    "cross-site": 403,
    "bad-project": 422,
    "document-changed": 409,
    "document-too-large": 413,
    "draining": 503,
    "event-too-large": 413,
    "foreign-host": 421,
    "method-not-allowed": 405,
    "not-allowed": 403,
    "not-faulted": 409,
    "nothing-before": 409,
    "nothing-deployed": 409,
    "nothing-differs": 409,
    "no-longer-leading": 503,
    "no-such-route": 404,
    "not-acceptable": 406,
    "request-expired": 409,
    "request-withdrawn": 409,
    "rollout-running": 409,
    "run-ended": 409,
    "run-not-completed": 422,
    "schedule-not-paused": 409,
    "schedule-paused": 409,
    "schema-mismatch": 422,
    "sign-in-required": 401,
    "head-too-large": 431,
    "hook-expired": 403,
    "hook-refused": 403,
    "link-used": 401,
    "too-busy": 429,
    "unsupported-media-type": 415,
    "user-exists": 409,
}
"""Code → status, where it is neither the family's nor that of something unknown."""

UNREAD = frozenset({408, 431})
"""Answers to who is too slow or too verbose: the connection is closed. Not 413: who still sends would not see why."""
RETRY_AFTER_S = {429: 1, 503: 2}


def status_of(error: OrchestrionError) -> int:
    if error.code in STATUS:
        return STATUS[error.code]
    if isinstance(error, UserError) and error.code.startswith("unknown-"):
        return 404
    return error.status


def problem_response(error: BaseException, *, status: int | None = None, path: str = "") -> Response:
    """The answer to a request that failed; below `/v1` also as OpenAI's clients look for it."""
    problem = problem_of(error)
    if status is None:
        status = status_of(error) if isinstance(error, OrchestrionError) else 500
    content: dict[str, Json] = {**problem.to_json(), "status": status}
    if isinstance(error, BadProject):
        content["findings"] = [each.to_json() for each in error.findings]
    if path.startswith("/v1/"):
        content["error"] = openai_error(problem.detail or problem.title, str(content.get("code")))
    headers = {"content-type": MEDIA}
    if (retry := RETRY_AFTER_S.get(status)) is not None or isinstance(error, TransientError):
        headers["retry-after"] = str(retry or 2)
    if status in UNREAD:
        headers["connection"] = "close"
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="orchestrion"'
    return Response(dump_bytes(content), status_code=status, headers=headers)


def openai_error(message: str, code: str) -> Json:
    """Source: OpenAI API reference, Error codes."""
    return {"message": message, "type": "invalid_request_error", "param": None, "code": code}


async def on_orchestrion_error(request: Request, error: Exception) -> Response:
    return problem_response(error, path=request.url.path)


async def on_http_error(request: Request, error: Exception) -> Response:
    """What the routing says, and what reading the body failed with."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, OrchestrionError):
        return problem_response(error.__cause__, path=request.url.path)
    if error.status_code == 405:
        refused = UserError("method-not-allowed", f"{request.method} is not for this address.")
        response = problem_response(refused)
        response.headers["allow"] = _allowed(request)
        return response
    if error.status_code == 404:
        return problem_response(UserError("no-such-route", "There is nothing at this address."))
    return problem_response(UserError("bad-request", "The request cannot be read."), status=error.status_code)


def _allowed(request: Request) -> str:
    """Every method that the document names for this address: the routing knows those of one route only."""
    paths = cast("dict[str, dict[str, object]]", request.app.openapi()["paths"])
    path = request.scope["path"]
    methods = {method.upper() for at, found in paths.items() if compile_path(at)[0].match(path) for method in found}
    return ", ".join(sorted(methods))


async def on_invalid(request: Request, error: Exception) -> Response:
    """What does not fit the request's schema: where and why, without the values."""
    assert isinstance(error, RequestValidationError)
    places = [f"{_place(each)}: {each['msg']}" for each in error.errors()[:5]]
    refused = UserError("bad-request", f"The request does not fit: {'; '.join(places)}.")
    return problem_response(refused, status=422, path=request.url.path)


def _place(found: Mapping[str, Any]) -> str:
    where, *rest = found["loc"]
    return f"{where} {'/'.join(str(part) for part in rest)}".strip()
