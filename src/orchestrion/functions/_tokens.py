"""OAuth2 access tokens by client credentials: fetched when needed, kept in memory until shortly before they expire."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import quote

import httpx

from orchestrion.core import (
    ERROR_TYPES,
    Clock,
    Faulted,
    Json,
    OrchestrionError,
    Problem,
    SystemClock,
    TransientError,
    UserError,
    digest,
    parse,
)
from orchestrion.egress import Egress

from ._schema import fields_of

_UNSAID_S = 300.0
"""How long a token is kept whose server does not say when it expires."""
_EARLY_S = 30.0
_TOO_MANY = 429
_SAID = re.compile(r"[a-z_]{1,60}")
_DISCOVERY = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class _Kept:
    token: str
    until: float


class Tokens:
    """The tokens of one process. They and the secrets behind them are never recorded.

    Source: RFC 6749, sections 4.4 and 5; OpenID Connect Discovery 1.0, section 4.
    """

    def __init__(self, egress: Egress, clock: Clock | None = None) -> None:
        self._egress = egress
        self._clock = clock or SystemClock()
        self._kept: dict[str, _Kept] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, fields: Mapping[str, Json], *, discover: bool) -> str:
        """A token that holds for a while yet. `discover`: find the endpoint as OpenID Connect does.

        Raises: UserError `bad-oauth2`; Faulted `token-refused`; TransientError `token-unavailable`, and what egress raises.
        """
        key = digest(cast("Json", fields))
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept = self._kept.get(key)
            if kept is None or kept.until <= self._clock.monotonic():
                kept = self._kept[key] = await self._fetch(fields, discover=discover)
        return kept.token

    def forget(self, fields: Mapping[str, Json], token: str) -> None:
        """Somebody refused it."""
        key = digest(cast("Json", fields))
        kept = self._kept.get(key)
        if kept is not None and kept.token == token:
            del self._kept[key]

    async def _fetch(self, fields: Mapping[str, Json], *, discover: bool) -> _Kept:
        url = await self._discovered(fields) if discover else _endpoint(fields)
        form, headers = _request(fields)
        request = cast("Mapping[str, Json]", fields.get("request") or {})
        async with self._egress.client() as client:
            if request.get("encoding") == "application/json":
                response = await self._send(client.build_request("POST", url, json=form, headers=headers), client)
            else:
                response = await self._send(client.build_request("POST", url, data=form, headers=headers), client)
        answer = _answer(response)
        token, lasts = answer.get("access_token"), answer.get("expires_in")
        if not response.is_success or not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise _refused(response, answer)
        seconds = float(lasts) if isinstance(lasts, int | float) and not isinstance(lasts, bool) else _UNSAID_S
        kept = max(seconds - _EARLY_S, seconds / 2)
        return _Kept(token, self._clock.monotonic() + kept)

    async def _discovered(self, fields: Mapping[str, Json]) -> str:
        async with self._egress.client() as client:
            response = await self._send(client.build_request("GET", _authority(fields) + _DISCOVERY), client)
        found = _answer(response).get("token_endpoint")
        if not response.is_success or not isinstance(found, str):
            raise UserError(
                "bad-oauth2",
                f"{response.request.url.host!r} says no `token_endpoint` at {_DISCOVERY}.",
                hint="Check `authority`, or use `oauth2` with `endpoints: { token: ... }`.",
            )
        return found

    async def _send(self, request: httpx.Request, client: httpx.AsyncClient) -> httpx.Response:
        try:
            async with asyncio.timeout(self._egress.timeout_s):
                return await client.send(request, auth=None)
        except TimeoutError:
            host = request.url.host
            raise TransientError("timed-out", f"{host!r} took longer than {self._egress.timeout_s:g} s.") from None
        except httpx.HTTPError as error:
            raise TransientError(
                "token-unavailable",
                f"The token endpoint at {request.url.host!r} cannot be used ({type(error).__name__}).",
            ) from error


def _authority(fields: Mapping[str, Json]) -> str:
    authority = fields.get("authority")
    if not isinstance(authority, str) or not re.match(r"https?://[^/?#@]+", authority):
        raise UserError("bad-oauth2", "The policy's `authority` is no address.", hint="Begin it with https://.")
    return authority.rstrip("/")


def _endpoint(fields: Mapping[str, Json]) -> str:
    endpoints = fields.get("endpoints")
    path = endpoints.get("token") if isinstance(endpoints, Mapping) else None
    path = path if isinstance(path, str) else "/oauth2/token"
    return path if re.match(r"https?://", path) else f"{_authority(fields)}/{path.lstrip('/')}"


def _request(fields: Mapping[str, Json]) -> tuple[dict[str, str], dict[str, str]]:
    """The form of a token request, and its headers."""
    if fields.get("grant", "client_credentials") != "client_credentials":
        raise UserError(
            "bad-oauth2", f"The grant {fields.get('grant')!r} is not supported.", hint="client_credentials is."
        )
    client = fields_of(fields.get("client"))
    name, secret = client.get("id"), client.get("secret", "")
    if not isinstance(name, str) or not isinstance(secret, str) or not name:
        raise UserError("bad-oauth2", "The policy's `client` has no `id`, or a `secret` that is no text.")
    form = {"grant_type": "client_credentials"}
    for field, ours in (("scopes", "scope"), ("audiences", "audience")):
        values = fields.get(field)
        if isinstance(values, Sequence) and not isinstance(values, str) and values:
            form[ours] = " ".join(str(value) for value in values)
    headers = {"accept": "application/json", "user-agent": "orchestrion"}
    match client.get("authentication", "client_secret_post"):
        case "client_secret_post":
            form |= {"client_id": name, **({"client_secret": secret} if secret else {})}
        case "client_secret_basic":
            auth = httpx.BasicAuth(quote(name, safe=""), quote(secret, safe=""))
            signed = next(auth.auth_flow(httpx.Request("POST", "https://unused.invalid")))
            headers["authorization"] = signed.headers["authorization"]
        case "none":
            form["client_id"] = name
        case other:
            raise UserError(
                "bad-oauth2",
                f"A client that authenticates by {other!r} is not supported.",
                hint="Use client_secret_post, client_secret_basic or none.",
            )
    return form, headers


def _answer(response: httpx.Response) -> Mapping[str, Json]:
    try:
        answer = parse(response.content)
    except UserError:
        return {}
    return answer if isinstance(answer, Mapping) else {}


def _refused(response: httpx.Response, answer: Mapping[str, Json]) -> OrchestrionError:
    host, status = response.request.url.host, response.status_code
    if status >= 500 or status == _TOO_MANY:
        return TransientError("token-unavailable", f"The token endpoint at {host!r} answered with {status}.")
    said = answer.get("error")
    why = said if isinstance(said, str) and _SAID.fullmatch(said) else f"status {status}"
    return Faulted(
        Problem(
            type=ERROR_TYPES["authentication"],
            status=401,
            title="Token refused",
            code="token-refused",
            detail=f"The token endpoint at {host!r} gives no token: {why}.",
            hint="Look at the policy's client, its secret, scopes and audiences.",
        )
    )
