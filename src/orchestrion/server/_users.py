"""Routes of who may use the server, for admins."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from orchestrion.core import Json

from ._accounts import INVITATION_S, Account, Accounts
from ._answers import JsonAnswer
from ._identity import GuardedRoute, Me
from ._management_shapes import LinkShape, TokenGiven, TokenShape, UserGiven
from ._place import Place, link_of
from ._shapes import Acting, UserList

DAY_S = 86_400.0
Name = Annotated[str, Path(max_length=100)]


def user_routes(accounts: Accounts, place: Place) -> APIRouter:
    """Users, their tokens and links."""
    router = APIRouter(prefix="/users", tags=["users"], route_class=GuardedRoute)

    @router.get("", operation_id="listUsers", response_model=UserList)
    async def users() -> Response:
        """Who may use the server."""
        return JsonAnswer({"users": [_user(each) for each in await accounts.listed()]})

    @router.post("", operation_id="addUser", status_code=201, response_model=Acting)
    async def add(given: UserGiven, me: Me) -> Response:
        """Add somebody."""
        return JsonAnswer(_user(await accounts.add(given.name, given.roles, by=me.name)), status_code=201)

    @router.delete("/{name}", operation_id="removeUser", status_code=204)
    async def remove(name: Name) -> Response:
        """Remove somebody: tokens and sessions end at once."""
        await accounts.remove(name)
        return Response(status_code=204)

    @router.post("/{name}/links", operation_id="makeLink", status_code=201, response_model=LinkShape)
    async def link(name: Name, me: Me) -> Response:
        """An address that signs somebody in, once, within a day."""
        code = await accounts.issue(name, "link", by=me.name, lasts_s=INVITATION_S)
        return JsonAnswer({"link": link_of(place.url, code)}, status_code=201)

    @router.post("/{name}/tokens", operation_id="makeToken", status_code=201, response_model=TokenShape)
    async def token(name: Name, given: TokenGiven, me: Me) -> Response:
        """A token for a program that acts as this user."""
        lasts_s = given.days * DAY_S if given.days is not None else None
        made = await accounts.issue(name, "token", by=me.name, lasts_s=lasts_s, label=given.label)
        return JsonAnswer({"token": made}, status_code=201)

    return router


def _user(account: Account) -> dict[str, Json]:
    return {"name": account.name, "roles": list(account.roles)}
