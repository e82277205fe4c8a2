"""Where the links of notices lead: to the page of what waits, once, for whom they were sent to."""

from html import escape
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from orchestrion.app import NoticeBook, Opened

from ._identity import Door, GuardedRoute
from ._plain_page import plain_page

SIGN_IN = """<p>Then open this link again. It has not been used.</p>
<p><code>orchestrion users link NAME</code> makes a link that signs you in.</p>"""
SAID: dict[Opened, tuple[int, str]] = {
    "unknown": (404, "<p>This link was not made here, or is not whole any more.</p>"),
    "other": (403, "<p>This link was sent to somebody else. It has not been used.</p>"),
    "used": (410, '<p>This link has been used. What it is about: <a href="{page}">the approval</a>.</p>'),
    "expired": (410, '<p>This link has expired. What it was about: <a href="{page}">the approval</a>.</p>'),
}


def notice_routes(book: NoticeBook, door: Door) -> APIRouter:
    """For people who come from their mail."""
    router = APIRouter(route_class=GuardedRoute, include_in_schema=False)

    @router.get("/notices/{request_id}", operation_id="openNotice")
    async def opened(
        request: Request,
        request_id: Annotated[str, Path(max_length=100)],
        to: Annotated[str, Query(max_length=200)] = "",
        until: Annotated[int, Query(ge=0, le=10**12)] = 0,
        signature: Annotated[str, Query(max_length=100)] = "",
    ) -> Response:
        """Look at what waits. Who is not signed in uses nothing up, so mail scanners may follow the link."""
        recognised = await door.recognise(request)
        if recognised is None:
            return plain_page("Sign in first", SIGN_IN, status=401)
        door.require(recognised.person, "showApproval")
        found = await book.open(request_id, to, until, signature, by=recognised.person.name)
        page = f"/approvals/{request_id}"
        if found == "opened":
            return Response(status_code=303, headers={"location": page})
        status, said = SAID[found]
        return plain_page("This link does not open it", said.format(page=escape(page, quote=True)), status=status)

    return router
