"""The console's files: a page for people, and what it loads. They hold no data; all they show comes from the API."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Path as InPath
from starlette.responses import FileResponse

from orchestrion.core import UserError

from ._identity import GuardedRoute

FOLDER = Path(__file__).parent / "console"
"""Where the build puts them; not there when it could not be built."""
PAGES = {
    "consoleOverview": "/",
    "consoleRuns": "/runs",
    "consoleRun": "/runs/{_}",
    "consoleApprovals": "/approvals",
    "consoleApproval": "/approvals/{_}",
    "consoleChat": "/chat",
}
"""Operation → the address at which the page shows something."""
POLICY = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
)
MEDIA = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
FileName = Annotated[str, InPath(pattern=r"^[A-Za-z0-9_-]{1,100}\.(js|css|svg)$")]


def console_routes(folder: Path = FOLDER) -> APIRouter:
    """The page at each of its addresses, and its files, which change their names with their content."""
    router = APIRouter(route_class=GuardedRoute, include_in_schema=False)

    async def page() -> Response:
        return _file(folder / "index.html", "text/html; charset=utf-8", "no-store")

    for operation, address in PAGES.items():
        router.add_api_route(address, page, methods=["GET"], operation_id=operation, response_model=None)

    @router.get("/assets/{name}", operation_id="consoleFile")
    async def file(name: FileName) -> Response:
        media = MEDIA[name.rpartition(".")[2]]
        return _file(folder / "assets" / name, media, "public, max-age=31536000, immutable")

    return router


def _file(path: Path, media: str, kept: str) -> Response:
    """Raises: UserError `console-missing`, `no-such-route`."""
    if not path.is_file():
        if path.name == "index.html":
            raise UserError(
                "console-missing",
                "The console is not part of this installation: it could not be built when it was installed.",
                hint="`make console` builds it and says what is wrong. The API and the command line need no console.",
            )
        raise UserError("no-such-route", "There is nothing at this address.")
    return FileResponse(path, media_type=media, headers={"cache-control": kept, "content-security-policy": POLICY})
