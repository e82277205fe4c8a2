"""How a call proves who it is: policies of the workflow language, their secrets looked up here and nowhere earlier."""

import base64
import re
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Protocol

import httpx

from orchestrion.core import Json, Secrets, UserError, parse

from ._schema import fields_of
from ._tokens import Tokens

if TYPE_CHECKING:
    import httpx2

SCHEMES = ("basic", "bearer", "digest", "oauth2", "oidc")
"""What `authentication` may name."""

UNAUTHORIZED = 401
_USABLE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


class Credentials(Protocol):
    """Puts a proof into each request."""

    @property
    def hidden(self) -> frozenset[str]:
        """Names, in lower case, of headers and query parameters that must not be recorded."""
        ...

    async def apply(self, request: "httpx.Request | httpx2.Request") -> None: ...

    def renew(self) -> bool:
        """After a 401: whether another attempt has another proof to show."""
        ...


def credentials_of(policy: Json, secrets: Secrets, tokens: Tokens) -> "Credentials | httpx.DigestAuth | None":
    """What a policy stands for; None for no policy.

    Raises: UserError `unsupported-authentication`, `bad-credentials`, or about a secret.
    """
    if not isinstance(policy, Mapping) or not policy:
        return None
    scheme, given = next(iter(policy.items()))
    if scheme not in (*SCHEMES, "apiKey") or len(policy) > 1:
        raise UserError(
            "unsupported-authentication",
            f"Authentication by {' and '.join(policy)} is not supported here.",
            hint=f"Use one of {', '.join(SCHEMES)}.",
        )
    by_reference = isinstance(given, Mapping) and "use" in given
    source = f"the secret {given['use']!r}" if isinstance(given, Mapping) and by_reference else f"`{scheme}`"
    fields = secrets.get(str(given["use"])) if isinstance(given, Mapping) and by_reference else given
    match scheme:
        case "basic":
            user, word = (_field(fields, name, source) for name in ("username", "password"))
            return _Header("Authorization", "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode())
        case "digest":
            return httpx.DigestAuth(_field(fields, "username", source), _field(fields, "password", source))
        case "bearer":
            return _Header("Authorization", f"Bearer {_token(fields, source)}")
        case "apiKey":
            where = fields_of(given)
            return _key(str(where.get("in")), str(where.get("name")), _token(fields, source))
        case _:
            return _Token(_object(fields, source), tokens, discover=scheme == "oidc", by_reference=by_reference)


def header_credentials(policy: Json, secrets: Secrets, tokens: Tokens) -> Credentials | None:
    """Like `credentials_of`, for a protocol that cannot answer a challenge. Raises: as it, for `digest` too."""
    credentials = credentials_of(policy, secrets, tokens)
    if isinstance(credentials, httpx.DigestAuth):
        raise UserError(
            "unsupported-authentication",
            "Authentication by digest is not supported here.",
            hint="Use one of basic, bearer, oauth2 and oidc.",
        )
    return credentials


def http_auth(credentials: "Credentials | httpx.DigestAuth | None") -> httpx.Auth | None:
    """The same for httpx."""
    if credentials is None or isinstance(credentials, httpx.Auth):
        return credentials
    return _HttpAuth(credentials)


class _HttpAuth(httpx.Auth):
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        await self._credentials.apply(request)
        response = yield request
        if response.status_code == UNAUTHORIZED and self._credentials.renew():
            await self._credentials.apply(request)
            yield request


class _Header:
    """One header, the same each time."""

    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value
        self.hidden = frozenset([name.lower()])

    async def apply(self, request: "httpx.Request | httpx2.Request") -> None:
        request.headers[self._name] = self._value

    def renew(self) -> bool:
        return False


class _Query:
    """One query parameter, the same each time."""

    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value
        self.hidden = frozenset([name.lower()])

    async def apply(self, request: "httpx.Request | httpx2.Request") -> None:
        if isinstance(request, httpx.Request):
            request.url = request.url.copy_set_param(self._name, self._value)

    def renew(self) -> bool:
        return False


class _Token:
    """An OAuth2 access token, fetched anew once when it is refused."""

    hidden = frozenset(["authorization"])

    def __init__(self, fields: Mapping[str, Json], tokens: Tokens, *, discover: bool, by_reference: bool) -> None:
        client = fields.get("client")
        if not by_reference and isinstance(client, Mapping) and ("secret" in client or "assertion" in client):
            raise UserError(
                "secret-in-clear",
                "The client's secret stands in the document, where it would be recorded.",
                hint="Keep the whole policy as a secret: `oauth2: { use: SECRET }`.",
            )
        self._fields = fields
        self._tokens = tokens
        self._discover = discover
        self._shown: str | None = None

    async def apply(self, request: "httpx.Request | httpx2.Request") -> None:
        self._shown = await self._tokens.get(self._fields, discover=self._discover)
        request.headers["Authorization"] = f"Bearer {self._shown}"

    def renew(self) -> bool:
        if self._shown is not None:
            self._tokens.forget(self._fields, self._shown)
        return self._shown is not None


def _key(location: str, name: str, value: str) -> Credentials:
    match location:
        case "query":
            return _Query(name, value)
        case "cookie":
            return _Header("Cookie", f"{name}={value}")
        case _:
            return _Header(name, value)


def _token(fields: Json, source: str) -> str:
    return _field(fields if isinstance(fields, Mapping) else {"token": fields}, "token", source)


def _object(fields: Json, source: str) -> Mapping[str, Json]:
    """Several fields: an object, or the JSON text of one (as an environment variable holds it)."""
    if isinstance(fields, str):
        try:
            fields = parse(fields)
        except UserError:  # its message would quote the text
            fields = None
    if not isinstance(fields, Mapping):
        raise UserError(
            "bad-credentials",
            f"{source} is not an object with `authority` and `client`.",
            hint="Keep it as a .json file, or as the JSON text of an object.",
        )
    return fields


def _field(fields: Json, name: str, source: str) -> str:
    value = fields.get(name) if isinstance(fields, Mapping) else None
    if not isinstance(value, str) or not value or not _USABLE.fullmatch(value):
        raise UserError(
            "bad-credentials",
            f"{source} holds no usable {name!r} to authenticate with.",
            hint=f"It needs the field {name!r}, as text.",
        )
    return value
