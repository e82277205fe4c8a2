"""Who asks, whether from a page of our own, and whether that may be done."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from orchestrion.core import Deny, Json, PolicyDenied, UserError, parse
from orchestrion.governance import Person, Rights

from ._accounts import Accounts, Recognised
from ._rights import PUBLIC, SIGNED

SAFE = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What decides about a request before its body is read."""

    accounts: Accounts
    rights: Rights
    cookie: str
    """The name of the cookie of a browser's session. Ports share cookies, so it tells servers of one machine apart."""
    secure: bool
    """Whether browsers reach the server by https only."""

    async def let_in(self, request: Request, operation: str) -> None:
        """Raises: UserError `sign-in-required`, `cross-site`; PolicyDenied `not-permitted`."""
        if operation in SIGNED:
            return
        if operation in PUBLIC:
            if request.method not in SAFE:
                require_own_page(request)
            return
        recognised = await self.recognise(request)
        if recognised is None:
            raise UserError(
                "sign-in-required",
                "Nobody is signed in, or the token is not valid any more.",
                hint="Send `Authorization: Bearer TOKEN`; `orchestrion users token NAME` makes one.",
            )
        if recognised.kind == "session" and request.method not in SAFE:
            require_own_page(request)
        self.require(recognised.person, operation)
        request.state.recognised = recognised

    async def recognise(self, request: Request) -> Recognised | None:
        """By the token, or by the cookie where there is none."""
        given = request.headers.get("authorization")
        if given is not None:
            scheme, _, token = given.partition(" ")
            return await self.accounts.recognise(token.strip(), "token") if scheme.lower() == "bearer" else None
        cookie = request.cookies.get(self.cookie)
        return await self.accounts.recognise(cookie, "session") if cookie else None

    def require(self, person: Person, operation: str) -> None:
        """Raises: PolicyDenied `not-permitted`."""
        decision = self.rights.decide(person, operation)
        if isinstance(decision, Deny):
            raise PolicyDenied(
                "not-permitted", decision.reason, hint="`orchestrion users list` shows who has which role."
            )


def require_own_page(request: Request) -> None:
    """Refuse what another site's page makes a browser send. Raises: UserError `cross-site`.

    Source: Fetch Metadata Request Headers, section 2.3 (W3C); RFC 6454, section 7 for browsers without them.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        own = site in {"same-origin", "none"}
    else:
        origin = request.headers.get("origin")
        own = origin is not None and urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    if not own:
        raise UserError(
            "cross-site",
            "This was sent by a page of another site, or by a program that shows a browser's cookie.",
            hint="Programs send a token: `Authorization: Bearer TOKEN`.",
        )


class StrictRequest(Request):
    """A request whose JSON is read as everywhere else here: no NaN, no half characters."""

    async def json(self) -> Json:
        """Raises: UserError `not-json`."""
        return parse(await self.body())


class GuardedRoute(APIRoute):
    """A route that looks who asks before it reads what is asked."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = cast("Callable[[Request], Awaitable[Response]]", super().get_route_handler())
        operation = self.operation_id or ""

        async def guarded(request: Request) -> Response:
            door = cast("Door", request.app.state.door)
            await door.let_in(request, operation)
            return await handle(StrictRequest(request.scope, request.receive))

        return guarded


async def _recognised(request: Request) -> Recognised:
    """Asynchronous, as FastAPI hands others to a thread."""
    return cast("Recognised", request.state.recognised)


async def _person(request: Request) -> Person:
    return (await _recognised(request)).person


Me = Annotated[Person, Depends(_person)]
Shown = Annotated[Recognised, Depends(_recognised)]
