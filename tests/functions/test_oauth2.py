"""OAuth2 client credentials against an authorization server of our own."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrion.core import (
    Datum,
    Faulted,
    Invocation,
    Json,
    LeafContext,
    OrchestrionError,
    Outcome,
    Permit,
    PolicyDenied,
    TransientError,
    UserError,
    dump,
    permitted,
)
from orchestrion.egress import Egress
from orchestrion.functions import HttpFunction, Tokens
from orchestrion.testing import serving

pytestmark = pytest.mark.anyio

SECRET = "s3cret-of-the-client"


class HandClock:
    """Moves when told."""

    at = 1000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


@dataclass
class House:
    """An authorization server and the service behind it."""

    url: str = ""
    issued: int = 0
    lasts: Json = 3600
    status: int = 200
    accepted: set[str] = field(default_factory=set[str])
    forms: list[Mapping[str, list[str]]] = field(default_factory=list[Mapping[str, list[str]]])
    basics: list[str | None] = field(default_factory=list[str | None])
    calls: list[str] = field(default_factory=list[str])

    async def token(self, request: Request) -> Response:
        body = await request.body()
        self.forms.append(parse_qs(body.decode()) if b"=" in body else {"json": [body.decode()]})
        self.basics.append(request.headers.get("authorization"))
        if self.status != 200:
            return JSONResponse({"error": "invalid_client", "error_description": SECRET}, self.status)
        self.issued += 1
        self.accepted = {f"t{self.issued}"}
        answer = {"access_token": f"t{self.issued}", "token_type": "Bearer", "expires_in": self.lasts}
        return JSONResponse({name: value for name, value in answer.items() if value is not None})

    async def discovery(self, _: Request) -> Response:
        return JSONResponse({"token_endpoint": f"{self.url}/elsewhere"})

    async def serve(self, request: Request) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.calls.append(token)
        return JSONResponse({"ok": True}, 200 if token in self.accepted else 401)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/oauth2/token", self.token, methods=["POST"]),
                Route("/elsewhere", self.token, methods=["POST"]),
                Route("/.well-known/openid-configuration", self.discovery),
                Route("/data", self.serve, methods=["GET", "POST"]),
            ]
        )


@pytest.fixture
async def house() -> AsyncGenerator[House]:
    started = House()
    async with serving(started.app) as url:
        started.url = url
        yield started


class Caller:
    """Calls the service as `http` does, one process's tokens kept between calls."""

    def __init__(self, house: House, egress: Egress, **policy: Json) -> None:
        client: Json = {"id": "desk", "secret": SECRET}
        self._secret: Json = {"authority": house.url, "grant": "client_credentials", "client": client, **policy}
        self._house = house
        self.clock = HandClock()
        self._http = HttpFunction(egress, Tokens(egress, self.clock))

    def get(self, name: str) -> Json:
        return self._secret if name == "OBJECT" else dump(self._secret)

    async def call(self, policy: Json = None, method: str = "get") -> Outcome:
        endpoint: Json = {"uri": f"{self._house.url}/data", "authentication": policy or {"oauth2": {"use": "OBJECT"}}}
        invocation = Invocation(
            key="k", task="t", function="http:1.0.0", arguments=Datum({"method": method, "endpoint": endpoint})
        )
        with permitted(Permit(run_id="r", key="k")):
            return await self._http.perform(invocation, LeafContext(run_id="r", idempotency_key="i", secrets=self))


@pytest.fixture
async def egress() -> AsyncGenerator[Egress]:
    async with Egress(["127.0.0.1"], timeout_s=5) as opened:
        yield opened


async def test_a_token_is_fetched_and_kept(house: House, egress: Egress) -> None:
    caller = Caller(house, egress, scopes=["read", "write"], audiences=["data"])
    for _ in range(3):
        assert (await caller.call()).output.value == {"ok": True}
    assert house.calls == ["t1", "t1", "t1"]
    assert house.forms == [
        {
            "grant_type": ["client_credentials"],
            "client_id": ["desk"],
            "client_secret": [SECRET],
            "scope": ["read write"],
            "audience": ["data"],
        }
    ]


@pytest.mark.parametrize(("lasts", "kept", "gone"), [(3600, 3500, 3575), (40, 19, 21), (None, 260, 275)])
async def test_a_token_is_renewed_before_it_expires(
    house: House, egress: Egress, lasts: Json, kept: float, gone: float
) -> None:
    house.lasts = lasts
    caller = Caller(house, egress)
    await caller.call()
    caller.clock.at += kept
    await caller.call()
    assert house.issued == 1
    caller.clock.at += gone - kept
    await caller.call()
    assert house.issued == 2


async def test_a_refused_token_is_fetched_anew_once(house: House, egress: Egress) -> None:
    caller = Caller(house, egress)
    await caller.call()
    house.accepted = set()
    assert (await caller.call(method="post")).output.value == {"ok": True}
    assert house.calls == ["t1", "t1", "t2"]


async def test_a_service_that_refuses_every_token_is_asked_twice(house: House, egress: Egress) -> None:
    caller = Caller(house, egress)
    house.accepted.add("never")
    original = house.token

    async def useless(request: Request) -> Response:
        answer = await original(request)
        house.accepted = set()
        return answer

    house.token = useless
    async with serving(house.app) as url:
        house.url = url
        with pytest.raises(Faulted) as caught:
            await Caller(house, egress).call()
    assert caught.value.code == "http-rejected"
    assert house.calls == ["t1", "t2"]
    assert caller


async def test_many_calls_at_once_fetch_one_token(house: House, egress: Egress) -> None:
    caller = Caller(house, egress)
    await asyncio.gather(*(caller.call() for _ in range(5)))
    assert house.issued == 1


async def test_the_client_may_prove_itself_in_the_header(house: House, egress: Egress) -> None:
    await Caller(house, egress, client={"id": "de sk", "secret": "a:b", "authentication": "client_secret_basic"}).call()
    assert house.basics == ["Basic " + base64.b64encode(b"de%20sk:a%3Ab").decode()]
    assert "client_secret" not in house.forms[0]


async def test_the_request_may_be_json(house: House, egress: Egress) -> None:
    await Caller(house, egress, request={"encoding": "application/json"}).call()
    assert '"grant_type":"client_credentials"' in house.forms[0]["json"][0]


async def test_a_secret_may_be_json_text(house: House, egress: Egress) -> None:
    assert (await Caller(house, egress).call({"oauth2": {"use": "TEXT"}})).output.value == {"ok": True}


async def test_oidc_finds_the_endpoint_itself(house: House, egress: Egress) -> None:
    await Caller(house, egress).call({"oidc": {"use": "OBJECT"}})
    assert (house.issued, house.calls) == (1, ["t1"])


async def failing(caller: Caller, policy: Json = None) -> OrchestrionError:
    with pytest.raises(OrchestrionError) as caught:
        await caller.call(policy)
    assert SECRET not in str(caught.value) + str(caught.value.problem.to_json())
    return caught.value


async def test_what_the_server_refuses_is_an_authentication_problem(house: House, egress: Egress) -> None:
    house.status = 401
    error = await failing(Caller(house, egress))
    assert (error.code, error.problem.type.rpartition("/")[2]) == ("token-refused", "authentication")
    assert "invalid_client" in error.message
    assert house.calls == []


async def test_a_server_that_is_down_may_be_asked_again(house: House, egress: Egress) -> None:
    house.status = 503
    error = await failing(Caller(house, egress))
    assert isinstance(error, TransientError)
    assert error.code == "token-unavailable"


@pytest.mark.parametrize(
    "policy",
    [
        {"authority": "nowhere"},
        {"grant": "password"},
        {"client": {"secret": SECRET}},
        {"client": {"id": "a", "authentication": "private_key_jwt"}},
    ],
)
async def test_a_policy_that_makes_no_request_is_refused(
    house: House, egress: Egress, policy: Mapping[str, Json]
) -> None:
    error = await failing(Caller(house, egress, **policy))
    assert error.code == "bad-oauth2"
    assert house.forms == []


async def test_a_clients_secret_in_the_document_is_refused(house: House, egress: Egress) -> None:
    client: Json = {"id": "a", "secret": SECRET}
    policy: Json = {"oauth2": {"authority": house.url, "grant": "client_credentials", "client": client}}
    error = await failing(Caller(house, egress), policy)
    assert isinstance(error, UserError)
    assert error.code == "secret-in-clear"


async def test_tokens_come_only_from_hosts_that_are_allowed(house: House, egress: Egress) -> None:
    error = await failing(Caller(house, egress, authority=house.url.replace("127.0.0.1", "localhost")))
    assert isinstance(error, PolicyDenied)
