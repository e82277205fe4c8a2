"""`http` against a server of our own."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from orchestrion.core import (
    ERROR_TYPES,
    BugError,
    Datum,
    Faulted,
    Invocation,
    Json,
    LeafContext,
    Outcome,
    Permit,
    PolicyDenied,
    TransientError,
    UserError,
    permitted,
)
from orchestrion.egress import Egress
from orchestrion.functions import HttpFunction

pytestmark = pytest.mark.anyio

SECRETS: dict[str, Json] = {
    "account": {"username": "ana", "password": "s3cret-word"},
    "token": "t0ken-text",
    "wrapped": {"token": "t0ken-text"},
    "number": 7,
    "split": "a\r\nX-Evil: 1",
}


class Vault:
    """Secrets by name."""

    def get(self, name: str) -> Json:
        if name not in SECRETS:
            raise UserError("unknown-secret", f"There is no secret {name!r}.")
        return SECRETS[name]


@dataclass
class Request:
    """What the server received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """Answers each path with what is put there: status, headers, body."""

    port: int = 0
    received: list[Request] = field(default_factory=list[Request])
    answers: dict[str, tuple[int, Mapping[str, str], bytes]] = field(
        default_factory=dict[str, tuple[int, Mapping[str, str], bytes]]
    )

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def redirect(self, path: str, target: str, status: int = 302) -> None:
        self.answers[path] = (status, {"Location": target}, b"")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await self._read(reader)
                self.received.append(request)
                path = request.path.partition("?")[0]
                if path == "/silent":
                    await asyncio.Event().wait()
                if path == "/drip":
                    await self._drip(writer)
                status, headers, body = self.answers.get(path) or self._usual(request)
                lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
                writer.write("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        """Forty bytes, each well within the time allowed, all together not."""
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 40\r\n\r\n")
        for _ in range(40):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def _read(self, reader: asyncio.StreamReader) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in head[1:] if line}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Request(method, path, headers, body)

    def _usual(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        if request.path == "/basic-auth" and "authorization" not in request.headers:
            return 401, {"WWW-Authenticate": "Basic"}, b""
        if request.path == "/digest" and "authorization" not in request.headers:
            return 401, {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'}, b""
        echoed = {"method": request.method, "path": request.path, "body": request.body.decode()}
        return 200, {"Content-Type": "application/json"}, json.dumps(echoed).encode()


@pytest.fixture
async def server() -> AsyncGenerator[Server]:
    async with running() as started:
        yield started


@asynccontextmanager
async def running() -> AsyncGenerator[Server]:
    server, tasks = Server(), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        await server.serve(reader, writer)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def call(
    arguments: Mapping[str, Json],
    *,
    allow: Sequence[str] = ("127.0.0.1", "localhost"),
    timeout_s: float = 10,
    max_bytes: int = 100_000,
    stubs: Mapping[str, httpx.AsyncBaseTransport] | None = None,
) -> Outcome:
    invocation = Invocation(key="/do/0/call~1", task="/do/0/call", function="http:1.0.0", arguments=Datum(arguments))
    context = LeafContext(run_id="run", idempotency_key="key-1", secrets=Vault())
    async with Egress(allow, timeout_s=timeout_s, max_response_bytes=max_bytes, stubs=stubs or {}) as egress:
        with permitted(Permit(run_id="run", key=invocation.key)):
            return await HttpFunction(egress).perform(invocation, context)


async def test_get_gives_the_content(server: Server) -> None:
    outcome = await call(
        {"method": "get", "endpoint": server.url("/pet/1?a=1"), "query": {"b": ["2", 3], "c": True, "d": None}}
    )
    assert outcome.output.value == {"method": "GET", "path": "/pet/1?a=1&b=2&b=3&c=true", "body": ""}
    assert outcome.output.labels == {"": frozenset(["untrusted"])}
    assert outcome.why == {"status": 200}
    assert "idempotency-key" not in server.received[0].headers


@pytest.mark.parametrize(
    ("body", "headers", "sent", "kind"),
    [
        ({"a": 1}, {}, b'{"a":1}', "application/json"),
        ([1, None], {}, b"[1,null]", "application/json"),
        ("plain", {}, b"plain", "text/plain; charset=utf-8"),
        ('{"a":1}', {"Content-Type": "application/json"}, b'{"a":1}', "application/json"),
        ({"a": "x y", "b": [1, 2]}, {"content-type": "application/x-www-form-urlencoded"}, b"a=x+y&b=1&b=2", "application/x-www-form-urlencoded"),
        ({"a": 1}, {"content-type": "application/vnd.api+json"}, b'{"a":1}', "application/vnd.api+json"),
        (False, {}, b"false", "application/json"),
    ],
)  # fmt: skip
async def test_bodies_are_sent_as_their_type_says(
    server: Server, body: Json, headers: dict[str, Json], sent: bytes, kind: str
) -> None:
    await call({"method": "post", "endpoint": server.url("/"), "body": body, "headers": headers})
    (received,) = server.received
    assert (received.body, received.headers["content-type"]) == (sent, kind)
    assert received.headers["idempotency-key"] == "key-1"


async def test_the_author_may_set_the_idempotency_key(server: Server) -> None:
    await call({"method": "PUT", "endpoint": server.url("/"), "headers": {"Idempotency-Key": "mine"}})
    assert server.received[0].headers["idempotency-key"] == "mine"


PNG = b"\x89PNG\r\n\x1a\n\0"


@pytest.mark.parametrize(
    ("kind", "body", "content"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("application/problem+json; charset=utf-8", b"[1]", [1]),
        ("application/json", b"12345678901234567890123", 12345678901234567890123),
        ("application/json", b"", None),
        ("text/plain; charset=latin-1", "Zoë".encode("latin-1"), "Zoë"),
        ("text/html", b"<p>", "<p>"),
        ("", b"unnamed", "unnamed"),
        ("image/png", PNG, base64.b64encode(PNG).decode()),
    ],
)
async def test_content_is_deserialised(server: Server, kind: str, body: bytes, content: Json) -> None:
    server.answers["/"] = (200, {"Content-Type": kind} if kind else {}, body)
    assert (await call({"method": "get", "endpoint": server.url("/")})).output.value == content


async def test_raw_is_base64_of_the_body(server: Server) -> None:
    server.answers["/"] = (200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, gzip.compress(b"[1]"))
    outcome = await call({"method": "get", "endpoint": server.url("/"), "output": "raw"})
    assert outcome.output.value == base64.b64encode(b"[1]").decode()


async def test_a_response_is_recorded_without_credentials(server: Server) -> None:
    server.answers["/basic"] = (201, {"Set-Cookie": "session=s3ssion", "X-Id": "1"}, b"made")
    endpoint: Json = {"uri": server.url("/basic"), "authentication": {"basic": {"use": "account"}}}
    outcome = await call(
        {"method": "post", "endpoint": endpoint, "output": "response", "headers": {"X-Api-Key": "k3y"}}
    )
    value = outcome.output.value
    assert isinstance(value, dict)
    assert value["statusCode"] == 201
    assert value["content"] == "made"
    assert value["headers"] == {"set-cookie": "[redacted]", "x-id": "1", "content-length": "4"}
    request = value["request"]
    assert isinstance(request, dict)
    assert (request["method"], request["uri"]) == ("POST", server.url("/basic"))
    assert server.received[0].headers["authorization"].startswith("Basic ")
    recorded = json.dumps(value)
    for secret in ("s3cret-word", "k3y", "s3ssion", base64.b64encode(b"ana:s3cret-word").decode()):
        assert secret not in recorded


@pytest.mark.parametrize(
    ("policy", "header"),
    [
        ({"basic": {"username": "u", "password": "p"}}, "Basic " + base64.b64encode(b"u:p").decode()),
        ({"basic": {"use": "account"}}, "Basic " + base64.b64encode(b"ana:s3cret-word").decode()),
        ({"bearer": {"token": "abc"}}, "Bearer abc"),
        ({"bearer": {"use": "token"}}, "Bearer t0ken-text"),
        ({"bearer": {"use": "wrapped"}}, "Bearer t0ken-text"),
    ],
)
async def test_authentication(server: Server, policy: Json, header: str) -> None:
    await call({"method": "get", "endpoint": {"uri": server.url("/"), "authentication": policy}})
    assert server.received[0].headers["authorization"] == header


async def test_digest_answers_the_challenge(server: Server) -> None:
    policy: Json = {"digest": {"use": "account"}}
    await call({"method": "get", "endpoint": {"uri": server.url("/digest"), "authentication": policy}})
    first, second = server.received
    assert "authorization" not in first.headers
    assert second.headers["authorization"].startswith('Digest username="ana", realm="r", nonce="n"')


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"basic": {"use": "token"}}, "bad-credentials"),
        ({"basic": {"username": "u"}}, "bad-credentials"),
        ({"bearer": {"use": "number"}}, "bad-credentials"),
        ({"bearer": {"use": "split"}}, "bad-credentials"),
        ({"bearer": {"use": "absent"}}, "unknown-secret"),
        ({"oauth2": {"use": "token"}}, "bad-credentials"),
        ({"mutualTls": {"use": "token"}}, "unsupported-authentication"),
        ({"basic": {"use": "account"}, "bearer": {"use": "token"}}, "unsupported-authentication"),
    ],
)
async def test_credentials_that_do_not_fit(server: Server, policy: Json, code: str) -> None:
    with pytest.raises(UserError) as caught:
        await call({"method": "get", "endpoint": {"uri": server.url("/"), "authentication": policy}})
    assert caught.value.code == code
    assert "t0ken-text" not in str(caught.value)
    assert server.received == []


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "http-rejected", Faulted),
        (401, "http-rejected", Faulted),
        (404, "http-rejected", Faulted),
        (302, "http-redirected", Faulted),
        (429, "http-unavailable", TransientError),
        (500, "http-unavailable", TransientError),
        (503, "http-unavailable", TransientError),
        (599, "http-unavailable", TransientError),
    ],
)
async def test_other_statuses_are_communication_errors(
    server: Server, status: int, code: str, kind: type[Exception]
) -> None:
    server.answers["/"] = (status, {"Location": "/elsewhere"} if status == 302 else {}, b"private words")
    with pytest.raises((Faulted, TransientError)) as caught:
        await call({"method": "get", "endpoint": server.url("/")})
    problem = caught.value.problem
    assert isinstance(caught.value, kind)
    assert (problem.type, problem.status, problem.code) == (ERROR_TYPES["communication"], status, code)
    assert caught.value.code == code
    assert "private" not in json.dumps(problem.to_json())


async def test_redirects_are_followed_if_wished(server: Server) -> None:
    server.redirect("/old", "/older")
    server.redirect("/older", server.url("/new"), 307)
    endpoint: Json = {"uri": server.url("/old"), "authentication": {"bearer": {"use": "token"}}}
    outcome = await call({"method": "get", "endpoint": endpoint, "redirect": True, "headers": {"X-Custom": "1"}})
    assert isinstance(outcome.output.value, dict)
    assert outcome.output.value["path"] == "/new"
    for received in server.received:
        assert received.headers["authorization"] == "Bearer t0ken-text"
        assert received.headers["x-custom"] == "1"


async def test_another_origin_gets_no_credentials(server: Server) -> None:
    async with running() as other:
        server.redirect("/", other.url("/landing"), 307)
        endpoint: Json = {"uri": server.url("/"), "authentication": {"basic": {"use": "account"}}}
        headers: Json = {"X-Api-Key": "k3y", "Cookie": "c=1", "Accept": "application/json"}
        await call({"method": "post", "endpoint": endpoint, "redirect": True, "headers": headers, "body": {"a": 1}})
        assert server.received[0].headers["x-api-key"] == "k3y"
        (landed,) = other.received
        assert (landed.method, landed.body) == ("POST", b'{"a":1}')
        assert landed.headers["accept"] == "application/json"
        assert landed.headers["idempotency-key"] == "key-1"
        assert landed.headers["host"] == f"127.0.0.1:{other.port}"
        assert not {"authorization", "x-api-key", "cookie"} & set(landed.headers)


async def test_each_hop_passes_the_rules(server: Server) -> None:
    server.redirect("/", "http://169.254.169.254/latest/meta-data/")
    with pytest.raises(PolicyDenied, match=r"169\.254\.169\.254"):
        await call({"method": "get", "endpoint": server.url("/"), "redirect": True})


async def test_redirects_in_a_circle_end(server: Server) -> None:
    server.redirect("/", "/")
    with pytest.raises(Faulted, match="more than 10 times"):
        await call({"method": "get", "endpoint": server.url("/"), "redirect": True})
    assert len(server.received) == 11


async def test_a_redirect_status_without_a_target_is_an_answer(server: Server) -> None:
    server.answers["/"] = (304, {}, b"")
    assert (await call({"method": "get", "endpoint": server.url("/"), "redirect": True})).output.value is None


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        ({"Content-Type": "application/json"}, b"{not json", "it calls itself JSON and is not"),
        ({"Content-Encoding": "gzip"}, b"not gzip", "DecodingError"),
    ],
)
async def test_answers_of_no_use(server: Server, headers: Mapping[str, str], body: bytes, why: str) -> None:
    server.answers["/"] = (200, headers, body)
    with pytest.raises(Faulted, match=why) as caught:
        await call({"method": "get", "endpoint": server.url("/")})
    assert (caught.value.problem.type, caught.value.problem.status) == (ERROR_TYPES["communication"], 502)
    assert caught.value.code == "http-bad-answer"


@pytest.mark.parametrize("body", [b"x" * 100_001, gzip.compress(b"x" * 5_000_000)], ids=["large", "bomb"])
async def test_large_answers_are_refused(server: Server, body: bytes) -> None:
    server.answers["/"] = (200, {"Content-Encoding": "gzip"} if body[:2] == b"\x1f\x8b" else {}, body)
    with pytest.raises(UserError, match="larger than 100,000 bytes") as caught:
        await call({"method": "get", "endpoint": server.url("/")})
    assert caught.value.code == "response-too-big"


async def test_large_bodies_go_through(server: Server) -> None:
    outcome = await call(
        {"method": "post", "endpoint": server.url("/big"), "body": "y" * 2_000_000}, max_bytes=3_000_000
    )
    assert isinstance(outcome.output.value, dict)
    assert len(server.received[0].body) == 2_000_000


@pytest.mark.parametrize("path", ["/silent", "/drip"])
async def test_silence_and_an_answer_that_drips_time_out(server: Server, path: str) -> None:
    with pytest.raises(TransientError) as caught:
        await call({"method": "get", "endpoint": server.url(path)}, timeout_s=0.15)
    assert caught.value.code == "timed-out"
    assert caught.value.problem.type == ERROR_TYPES["communication"]


async def test_nothing_listening(server: Server) -> None:
    with pytest.raises(TransientError) as caught:
        await call({"method": "get", "endpoint": "http://127.0.0.1:1/"})
    assert caught.value.code == "connection-failed"


async def test_private_addresses_are_refused_unless_listed(server: Server) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]", "10.0.0.1"):
        with pytest.raises(PolicyDenied, match=r"egress\.allow"):
            await call({"method": "get", "endpoint": server.url("/", host)}, allow=["*.example.com"])
    assert server.received == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"method": "brew", "endpoint": "http://127.0.0.1/"}, "bad-method"),
        ({"method": "get", "endpoint": "/relative"}, "bad-uri"),
        ({"method": "get", "endpoint": "file:///etc/passwd"}, "bad-uri"),
        ({"method": "get", "endpoint": "http://h:port/"}, "bad-uri"),
        ({"method": "get", "endpoint": "http://u:p@127.0.0.1/"}, "credentials-in-uri"),
        ({"method": "get", "endpoint": "http://127.0.0.1/", "headers": {"Host": "internal"}}, "bad-header"),
        ({"method": "get", "endpoint": "http://127.0.0.1/", "headers": {"X": "a\r\nEvil: 1"}}, "bad-header"),
        ({"method": "get", "endpoint": "http://127.0.0.1/", "headers": {"X Y": "a"}}, "bad-header"),
        ({"method": "get", "endpoint": "http://127.0.0.1/", "headers": {"Transfer-Encoding": "chunked"}}, "bad-header"),
        ({"method": "get"}, "bad-arguments"),
        ({"method": "get", "endpoint": "http://127.0.0.1/", "colour": "red"}, "bad-arguments"),
        ({"method": "get", "endpoint": {"authentication": {}}}, "bad-arguments"),
    ],
)
async def test_arguments_that_make_no_request(arguments: Mapping[str, Json], code: str) -> None:
    with pytest.raises(UserError) as caught:
        await call(arguments)
    assert caught.value.code == code


async def test_the_gate_is_the_only_way(server: Server) -> None:
    invocation = Invocation(
        key="k", task="t", function="http:1.0.0", arguments=Datum({"method": "get", "endpoint": server.url("/")})
    )
    async with Egress(["127.0.0.1"]) as egress:
        with pytest.raises(BugError, match="outside the engine's gate"):
            await HttpFunction(egress).perform(
                invocation, LeafContext(run_id="r", idempotency_key="k", secrets=Vault())
            )


async def test_the_conformance_kits_hosts_are_answered_by_a_stub() -> None:
    stub = httpx.MockTransport(lambda request: httpx.Response(200, json={"id": 1, "path": request.url.path}))
    arguments: Json = {"method": "get", "endpoint": {"uri": "https://petstore.swagger.io/v2/pet/1"}}
    outcome = await call(arguments, allow=["petstore.swagger.io"], stubs={"petstore.swagger.io": stub})
    assert outcome.output.value == {"id": 1, "path": "/v2/pet/1"}


@pytest.mark.parametrize(
    ("method", "effect", "idempotent"),
    [("get", "read", True), ("HEAD", "read", True), ("options", "read", True), ("put", "write", True), ("delete", "write", True),
     ("post", "write", False), ("patch", "write", False), ("", "write", False)],
)  # fmt: skip
def test_the_nature_of_a_call(method: str, effect: str, idempotent: bool) -> None:
    leaf = HttpFunction(Egress())
    nature = leaf.nature({"method": method, "endpoint": {"uri": "https://API.example.com:8443/x"}})
    assert (nature.effect, nature.idempotent) == (effect, idempotent)
    assert nature.resource == ("Host", "api.example.com:8443")
    assert leaf.nature({"method": method, "endpoint": "https://api.example.com/x"}).resource == (
        "Host",
        "api.example.com",
    )
    assert leaf.nature({"method": method, "endpoint": "http://h:port/"}).resource == ("Host", "")
