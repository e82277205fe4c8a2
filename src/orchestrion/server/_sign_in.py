"""Signing in to a browser: a one-time link, a page with one button, a cookie."""

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request, Response

from orchestrion.core import UserError

from ._accounts import SESSION_S
from ._answers import JsonAnswer
from ._identity import Door, GuardedRoute, Me, Shown
from ._plain_page import HTML, sign_in_page, used_page
from ._shapes import Acting

MOST_FORM = 2000
"""Bytes of the form."""


def sign_in_routes(door: Door) -> APIRouter:
    """The only pages without an account. Looking at the link uses nothing up, so mail scanners may follow it."""
    router = APIRouter(tags=["people"], route_class=GuardedRoute)

    @router.get(
        "/sign-in", operation_id="signInPage", response_class=Response, responses={200: {"content": {HTML: {}}}}
    )
    async def page(code: Annotated[str, Query(max_length=200)] = "") -> Response:
        """A page with one button, which signs in."""
        return sign_in_page(code)

    @router.post(
        "/sign-in",
        operation_id="signIn",
        status_code=303,
        response_class=Response,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/x-www-form-urlencoded": {
                        "schema": {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}}
                    }
                },
            }
        },
    )
    async def sign_in(request: Request) -> Response:
        """Use a one-time link up, and set the cookie."""
        body = await request.body()
        codes = parse_qs(body[:MOST_FORM].decode("latin-1")).get("code", [""])
        redeemed = await door.accounts.redeem(codes[0])
        if redeemed is None:
            return _refused(as_page="text/html" in request.headers.get("accept", ""))
        name = redeemed.person.name
        session = await door.accounts.issue(name, "session", by=name, lasts_s=SESSION_S)
        response = Response(status_code=303, headers={"location": "/"})
        response.set_cookie(
            door.cookie, session, max_age=int(SESSION_S), path="/", httponly=True, samesite="lax", secure=door.secure
        )
        return response

    @router.post("/api/v1/sign-out", operation_id="signOut", status_code=204, response_class=Response)
    async def sign_out(shown: Shown) -> Response:
        """End this session, or revoke this token."""
        await door.accounts.revoke(shown.credential)
        response = Response(status_code=204)
        response.delete_cookie(door.cookie, path="/")
        return response

    @router.get("/api/v1/me", operation_id="whoAmI", response_model=Acting)
    async def who(me: Me) -> Response:
        """Who is signed in."""
        return JsonAnswer({"name": me.name, "roles": list(me.roles)})

    return router


def _refused(*, as_page: bool) -> Response:
    """Raises: UserError `link-used`, unless people are to read it."""
    problem = UserError(
        "link-used",
        "This link has been used, has expired, or never was one.",
        hint="`orchestrion users link NAME` makes another one.",
    )
    if as_page:
        return used_page(problem.message)
    raise problem
