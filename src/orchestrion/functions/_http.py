"""`http`: one request, its redirects if wished, and the answer as data."""

import asyncio
import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import httpx

from orchestrion.core import (
    ERROR_TYPES,
    Datum,
    Declaration,
    Faulted,
    Invocation,
    Json,
    LeafContext,
    Nature,
    OrchestrionError,
    Outcome,
    Problem,
    TransientError,
    UserError,
    parse,
)
from orchestrion.egress import Egress, response_too_big

from ._bodies import content_of, text_of, texts
from ._credentials import credentials_of, http_auth
from ._schema import arguments_of, violations
from ._tokens import Tokens

_READS = frozenset(["GET", "HEAD", "OPTIONS"])
_METHODS = _READS | {"PUT", "DELETE", "POST", "PATCH"}
_IDEMPOTENT = _READS | {"PUT", "DELETE"}
_MAY_PASS = frozenset([408, 425, 429, 500, 502, 503, 504])
_MAX_REDIRECTS = 10
_OURS_TO_SET = frozenset(["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"])
_KEPT_ACROSS_ORIGINS = frozenset(
    (
        "accept", "accept-encoding", "accept-language", "content-language", "content-length", "content-type", "host",
        "idempotency-key", "transfer-encoding", "user-agent",
    )
)  # fmt: skip
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_CREDENTIAL = re.compile(
    r"authori[sz]ation|authenticat|cookie|api-?key|token|secret|password|signature|credential", re.I
)
_TEXT_TYPES = re.compile(r"text/|application/(?:.*\+)?(?:xml|yaml|x-www-form-urlencoded|javascript)")
_JSON_TYPES = re.compile(r"(?:application|text)/(?:.*\+)?json")

_DECLARATION = Declaration(
    name="http",
    version="1.0.0",
    title="Call an HTTP service",
    description=(
        "Sends one request. Only hosts listed in egress.allow can be reached. Requests that change something carry an "
        "Idempotency-Key header that stays the same when the call is repeated after a crash or by a retry. An answer outside "
        "200-299 is a communication error with that status; with `redirect: true` redirects are followed, without "
        "credentials and custom headers once they lead to another origin."
    ),
    input_schema={
        "type": "object",
        "required": ["method", "endpoint"],
        "additionalProperties": False,
        "properties": {
            "method": {
                "type": "string",
                "minLength": 1,
                "description": "get, head, options, post, put, patch or delete.",
            },
            "endpoint": {
                "description": "The address, or an object with the address and how to authenticate.",
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {
                        "type": "object",
                        "required": ["uri"],
                        "additionalProperties": False,
                        "properties": {
                            "uri": {"type": "string", "minLength": 1},
                            "authentication": {
                                "type": "object",
                                "description": "basic, bearer, digest, oauth2 or oidc, each with its fields or `use: SECRET`.",
                            },
                        },
                    },
                ],
            },
            "headers": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}},
            "query": {"type": "object", "description": "Added to the address; a list repeats the parameter."},
            "body": {
                "description": (
                    "Text is sent as it is, anything else as JSON or as the form its content-type names. In a "
                    "multipart/form-data form a field may be `{ base64, filename, contentType }`."
                )
            },
            "output": {
                "enum": ["content", "raw", "response"],
                "default": "content",
                "description": "The deserialised body, the body in base64, or the whole response.",
            },
            "redirect": {
                "type": "boolean",
                "default": False,
                "description": "Follow redirects; otherwise they are errors.",
            },
        },
    },
    output_schema={
        "description": "The body, or {request: {method, uri, headers}, statusCode, headers, content} for `output: response`."
    },
    effect="write",
    idempotent=False,
    output_labels=frozenset({"untrusted"}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """A response, read to its end."""

    response: httpx.Response
    body: bytes


class HttpFunction:
    """The leaf behind `call: http`. Expects expressions and URI templates to be resolved."""

    def __init__(self, egress: Egress, tokens: Tokens | None = None) -> None:
        self._egress = egress
        self._tokens = tokens or Tokens(egress)

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        method = str(arguments.get("method", "")).upper()
        return Nature(
            effect="read" if method in _READS else "write",
            idempotent=method in _IDEMPOTENT,
            resource=("Host", host_of(_uri(arguments))),
        )

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: PolicyDenied `egress-refused`; TransientError `http-unavailable`, `connection-failed`, `timed-out`;
        Faulted `http-rejected`, `http-redirected`, `http-bad-answer`; UserError for arguments that make no request.
        """
        arguments = arguments_of(_DECLARATION, invocation.arguments.value)
        redirect = arguments.get("redirect") is True
        credentials = credentials_of(_policy(arguments), context.secrets, self._tokens)
        hidden = frozenset[str]() if isinstance(credentials, httpx.Auth | None) else credentials.hidden
        async with self._egress.client() as client:
            request = _request(client, arguments, context)
            try:
                async with asyncio.timeout(self._egress.timeout_s):
                    answer = await self._exchange(client, request, http_auth(credentials), redirect)
            except TimeoutError:
                host = request.url.host
                raise TransientError("timed-out", f"{host!r} took longer than {self._egress.timeout_s:g} s.") from None
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise _bad_answer(request, f"it cannot be read ({type(error).__name__})") from error
        status = answer.response.status_code
        if not (200 <= status < 300 or (redirect and 300 <= status < 400)):
            raise _status_error(answer.response)
        output = Datum(_output(answer, str(arguments.get("output", "content")), hidden))
        why = {"status": status, **_judged(invocation.metadata, answer)}
        return Outcome(output=output.labelled(*_DECLARATION.output_labels), why=why)

    async def _exchange(
        self, client: httpx.AsyncClient, request: httpx.Request, auth: httpx.Auth | None, redirect: bool
    ) -> _Answer:
        """Send, and follow. What leads to another origin goes there without credentials and custom headers."""
        for _ in range(_MAX_REDIRECTS + 1):
            response = await client.send(request, auth=auth, stream=True, follow_redirects=False)
            following = response.next_request if redirect else None
            try:
                if following is None:
                    return _Answer(response=response, body=await self._body(response))
            finally:
                await response.aclose()
            if _origin(following.url) != _origin(request.url):
                auth = None
                for name in [name for name in following.headers if name not in _KEPT_ACROSS_ORIGINS]:
                    del following.headers[name]
            request = following
        raise _bad_answer(request, f"it redirected more than {_MAX_REDIRECTS} times")

    async def _body(self, response: httpx.Response) -> bytes:
        """The decompressed body, which may be much larger than what was received."""
        received = bytearray()
        async for part in response.aiter_bytes():
            received += part
            if len(received) > self._egress.max_response_bytes:
                raise response_too_big(response.url.host, self._egress.max_response_bytes)
        return bytes(received)


def _uri(arguments: Mapping[str, Json]) -> str:
    endpoint = arguments.get("endpoint")
    return str(endpoint.get("uri", "") if isinstance(endpoint, Mapping) else endpoint)


def _policy(arguments: Mapping[str, Json]) -> Json:
    endpoint = arguments.get("endpoint")
    return endpoint.get("authentication") if isinstance(endpoint, Mapping) else None


def host_of(uri: str) -> str:
    try:
        url = httpx.URL(uri)
    except httpx.InvalidURL:
        return ""
    return url.host + (f":{url.port}" if url.port else "")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _request(client: httpx.AsyncClient, arguments: Mapping[str, Json], context: LeafContext) -> httpx.Request:
    method = str(arguments["method"]).upper()
    if method not in _METHODS:
        raise UserError(
            "bad-method",
            f"{arguments['method']!r} is not a method `http` knows.",
            hint=f"Use one of {', '.join(sorted(_METHODS))}.",
        )
    headers = _headers(arguments)
    if method not in _READS:
        headers.setdefault("idempotency-key", context.idempotency_key)
    body, kind = content_of(arguments.get("body"), headers.get("content-type", ""))
    if kind:
        headers["content-type"] = kind
    return client.build_request(method, _url(arguments), headers={"user-agent": "orchestrion", **headers}, content=body)


def _url(arguments: Mapping[str, Json]) -> httpx.URL:
    uri = _uri(arguments)
    try:
        url = httpx.URL(uri)
    except httpx.InvalidURL as error:
        raise UserError("bad-uri", f"The endpoint is not an address: {error}.") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise UserError("bad-uri", "The endpoint is not an absolute address.", hint="Begin it with https://.")
    if url.userinfo:
        raise UserError(
            "credentials-in-uri",
            f"The endpoint at {url.host!r} holds a user name or password, which would be recorded.",
            hint="Use `endpoint: {uri: ..., authentication: {basic: {use: SECRET}}}`.",
        )
    query = cast("Mapping[str, Json]", arguments.get("query") or {})
    given = {name: texts(value) for name, value in query.items() if value is not None}
    return url.copy_merge_params(given) if given else url


def _headers(arguments: Mapping[str, Json]) -> dict[str, str]:
    """The given headers by lower-case name."""
    given = cast("Mapping[str, Json]", arguments.get("headers") or {})
    headers = {name.lower(): text_of(value) for name, value in given.items() if value is not None}
    for name, value in headers.items():
        if name in _OURS_TO_SET or not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise UserError(
                "bad-header",
                f"The header {name!r} cannot be set like this.",
                hint=f"Names are plain words, values hold no line breaks, and these are set for you: {', '.join(sorted(_OURS_TO_SET))}.",
            )
    return headers


def _judged(metadata: Mapping[str, Json], answer: _Answer) -> dict[str, Json]:
    """What a description promised of the answer, beside what came. A broken promise is reported, not an error."""
    if "responses" not in metadata:
        return {}
    found: dict[str, Json] = {name: metadata[name] for name in ("operation", "api", "document")}
    status = str(answer.response.status_code)
    schemas = cast("Mapping[str, Json]", metadata["responses"])
    schema = next((schemas[each] for each in (status, f"{status[0]}XX", "default") if each in schemas), None)
    if schema is not None and _JSON_TYPES.fullmatch(_kind(answer)):
        try:
            broken = [each.sentence for each in violations(schema, _deserialised(answer), limit=5)]
        except OrchestrionError as error:
            broken = [error.message]
        if broken:
            found["unexpected"] = list[Json](broken)
    return found


def _output(answer: _Answer, form: str, hidden: frozenset[str]) -> Json:
    match form:
        case "raw":
            return base64.b64encode(answer.body).decode()
        case "response":
            response = answer.response
            return {
                "request": {
                    "method": response.request.method,
                    "uri": _shown_uri(response.request.url, hidden),
                    "headers": _shown(response.request.headers, hidden),
                },
                "statusCode": response.status_code,
                "headers": _shown(response.headers, hidden),
                "content": _deserialised(answer),
            }
        case _:
            return _deserialised(answer)


def _shown(headers: httpx.Headers, hidden: frozenset[str]) -> dict[str, Json]:
    """Headers as they may be recorded."""
    return {
        name: "[redacted]" if name in hidden or _CREDENTIAL.search(name) else value for name, value in headers.items()
    }


def _shown_uri(url: httpx.URL, hidden: frozenset[str]) -> str:
    for name in [name for name in url.params if name.lower() in hidden]:
        url = url.copy_set_param(name, "[redacted]")
    return str(url)


def _kind(answer: _Answer) -> str:
    """The answer's media type."""
    return answer.response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _deserialised(answer: _Answer) -> Json:
    """JSON as data, text as text, nothing as null, anything else in base64."""
    if not answer.body:
        return None
    kind = _kind(answer)
    if _JSON_TYPES.fullmatch(kind):
        try:
            return parse(answer.body.removeprefix(b"\xef\xbb\xbf"))
        except UserError:
            raise _bad_answer(answer.response.request, "it calls itself JSON and is not") from None
    try:
        text = answer.body.decode(answer.response.charset_encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return base64.b64encode(answer.body).decode()
    return text if _TEXT_TYPES.match(kind) or "\0" not in text else base64.b64encode(answer.body).decode()


def _status_error(response: httpx.Response) -> OrchestrionError:
    status = response.status_code
    phrase = httpx.codes.get_reason_phrase(status) or "an unknown status"
    code, hint = "http-rejected", None
    if status in _MAY_PASS or status >= 500:
        code, hint = "http-unavailable", "The call may succeed later: `try` with `retry` repeats it."
    elif 300 <= status < 400:
        code, hint = "http-redirected", "Add `redirect: true` to follow redirects."
    elif status in (401, 403):
        hint = "Look at `endpoint.authentication`, and at the secret it uses."
    detail = f"{response.request.method} at {response.request.url.host!r} was answered with {status} {phrase}."
    problem = Problem(
        type=ERROR_TYPES["communication"], status=status, title=phrase, detail=detail, code=code, hint=hint
    )
    return TransientError(code, detail, hint=hint, problem=problem) if code == "http-unavailable" else Faulted(problem)


def _bad_answer(request: httpx.Request, why: str) -> Faulted:
    detail = f"The answer of {request.url.host!r} is of no use: {why}."
    return Faulted(
        Problem(
            type=ERROR_TYPES["communication"], status=502, title="Bad answer", detail=detail, code="http-bad-answer"
        )
    )
