"""Requests through the one way out, against a server of our own."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import httpx2
import pytest

from orchestrion.core import BugError, Permit, PolicyDenied, TransientError, UserError, permitted
from orchestrion.egress import Egress

pytestmark = pytest.mark.anyio

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncGenerator[tuple[int, list[str]]]:
    """A server on a free port of this machine; each request's head is handed to `answer` and kept."""
    heads: list[str] = []
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                heads.append(head)
                await answer(head, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1], heads
    finally:
        listening.close()
        for task in serving:
            if task:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def response(body: bytes = b"hello", status: str = "200 OK", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


async def hello(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(response())


def resolver(*addresses: str) -> tuple[Callable[[str, int], Awaitable[Sequence[str]]], list[str]]:
    """Answers every name with the next of `addresses`, then with the last; and the names it was asked."""
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return [addresses[min(len(asked), len(addresses)) - 1]]

    return resolve, asked


@pytest.fixture
def permit() -> Generator[None]:
    with permitted(Permit(run_id="run", key="/do/0/call")):
        yield


@pytest.mark.parametrize("second", [False, True], ids=["httpx", "httpx2"])
async def test_a_request_and_its_answer(second: bool) -> None:
    async with server(hello) as (port, heads), Egress([f"127.0.0.1:{port}"]) as egress:
        client = egress.client2() if second else egress.client()
        with permitted(Permit(run_id="run", key="k")):
            answer = await client.post(f"http://127.0.0.1:{port}/a?b=c", json={"n": 1}, headers={"X-A": "1"})
        assert (answer.status_code, answer.text) == (200, "hello")
        assert heads[0].startswith("POST /a?b=c HTTP/1.1\r\n")
        assert "x-a: 1" in heads[0].lower()
        assert "content-length: 7" in heads[0].lower()


@pytest.mark.parametrize("second", [False, True], ids=["httpx", "httpx2"])
async def test_nothing_leaves_outside_the_gate(second: bool) -> None:
    async with server(hello) as (port, heads), Egress([f"127.0.0.1:{port}"]) as egress:
        client = egress.client2() if second else egress.client()
        with pytest.raises(BugError, match="outside the engine's gate") as caught:
            await client.get(f"http://127.0.0.1:{port}/")
        assert caught.value.code == "ungoverned"
        assert heads == []


@pytest.mark.usefixtures("permit")
@pytest.mark.parametrize("second", [False, True], ids=["httpx", "httpx2"])
async def test_what_is_not_listed_is_refused_before_anything_is_resolved(second: bool) -> None:
    resolve, asked = resolver("93.184.216.34")
    async with Egress(["api.example.com"], resolve=resolve) as egress:
        client = egress.client2() if second else egress.client()
        with pytest.raises(PolicyDenied, match=r"'evil\.example\.net'") as caught:
            await client.get("https://evil.example.net/")
        assert caught.value.code == "egress-refused"
        assert asked == []


@pytest.mark.usefixtures("permit")
async def test_a_name_is_resolved_once_and_the_checked_address_connected_to() -> None:
    """The second answer of the resolver, the one an attacker would like to be used, is never asked for."""
    resolve, asked = resolver("127.0.0.1", "127.0.0.2")
    async with server(hello) as (port, heads), Egress(["api.example.com", "127.0.0.1"], resolve=resolve) as egress:
        answer = await egress.client().get(f"http://api.example.com:{port}/")
        assert answer.text == "hello"
        assert asked == ["api.example.com"]
        assert f"host: api.example.com:{port}" in heads[0].lower()


@pytest.mark.usefixtures("permit")
async def test_a_name_that_moves_to_a_private_address_is_refused() -> None:
    resolve, asked = resolver("127.0.0.1", "127.0.0.2")

    async def hello_and_close(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"hello", "200 OK", "Connection: close"))

    async with server(hello_and_close) as (port, heads):
        allow = ["api.example.com", "127.0.0.1"]
        async with Egress(allow, resolve=resolve) as egress:
            client = egress.client()
            await client.get(f"http://api.example.com:{port}/")
            with pytest.raises(PolicyDenied, match=r"127\.0\.0\.2 is a loopback address"):
                await client.get(f"http://api.example.com:{port}/")
        assert len(asked) == 2
        assert len(heads) == 1


@pytest.mark.usefixtures("permit")
async def test_each_hop_of_a_redirect_is_checked() -> None:
    async def away(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"", "302 Found", "Location: http://169.254.169.254/latest/meta-data/"))

    async with server(away) as (port, _), Egress([f"127.0.0.1:{port}"]) as egress:
        with pytest.raises(PolicyDenied, match=r"169\.254\.169\.254"):
            await egress.client().get(f"http://127.0.0.1:{port}/", follow_redirects=True)


@pytest.mark.usefixtures("permit")
async def test_another_hosts_header_and_another_scheme_are_refused() -> None:
    async with Egress(["127.0.0.1"]) as egress:
        with pytest.raises(PolicyDenied, match="Host header"):
            await egress.client().get("http://127.0.0.1:1/", headers={"Host": "internal"})
        with pytest.raises(PolicyDenied, match="not HTTP"):
            await egress.client().get("ftp://127.0.0.1/")


@pytest.mark.usefixtures("permit")
@pytest.mark.parametrize("second", [False, True], ids=["httpx", "httpx2"])
async def test_a_stub_answers_by_name_under_the_same_rules(second: bool) -> None:
    seen: list[bytes] = []

    def pet(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return httpx.Response(200, json={"path": request.url.path})

    stubs = {"petstore.swagger.io": httpx.MockTransport(pet), "other.example": httpx.MockTransport(pet)}
    async with Egress(["petstore.swagger.io"], stubs=stubs) as egress:
        client = egress.client2() if second else egress.client()
        answer = await client.post("https://petstore.swagger.io/v2/pet/1", content=b"body")
        assert answer.json() == {"path": "/v2/pet/1"}
        with pytest.raises(PolicyDenied):
            await client.get("https://other.example/")
    assert seen == [b"body"]


@pytest.mark.usefixtures("permit")
async def test_failures_of_the_wire_may_be_retried() -> None:
    async def silence(_: str, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def hang_up(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial")
        await writer.drain()
        writer.close()

    async with server(silence) as (port, _), Egress(["127.0.0.1"], timeout_s=0.1) as egress:
        with pytest.raises(TransientError, match="may have been performed") as caught:
            await egress.client().get(f"http://127.0.0.1:{port}/")
        assert caught.value.code == "timed-out"
    async with server(hang_up) as (port, _), Egress(["127.0.0.1"]) as egress:
        with pytest.raises(TransientError, match="may have been performed") as caught:
            await egress.client().get(f"http://127.0.0.1:{port}/")
        assert caught.value.code == "connection-failed"
    async with Egress(["127.0.0.1"]) as egress:
        with pytest.raises(TransientError) as caught:
            await egress.client2().get(f"http://127.0.0.1:{port}/")
        assert caught.value.code == "connection-failed"
        assert caught.value.hint is None


@pytest.mark.usefixtures("permit")
async def test_a_name_nobody_knows() -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    async def never(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with Egress(["nowhere.example"], resolve=unknown) as egress:
        with pytest.raises(TransientError, match="Name or service not known") as caught:
            await egress.client().get("http://nowhere.example/")
        assert caught.value.code == "connection-failed"
    async with Egress(["nowhere.example"], resolve=never, timeout_s=0.05) as egress:
        with pytest.raises(TransientError) as caught:
            await egress.client().get("http://nowhere.example/")
        assert caught.value.code == "timed-out"


@pytest.mark.usefixtures("permit")
@pytest.mark.parametrize("second", [False, True], ids=["httpx", "httpx2"])
async def test_an_answer_that_is_too_long_is_cut_off(second: bool) -> None:
    async def endless(_head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1_000):
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()

    async with server(endless) as (port, _), Egress(["127.0.0.1"], max_response_bytes=50_000) as egress:
        client = egress.client2() if second else egress.client()
        with pytest.raises(UserError, match="larger than 50,000 bytes") as caught:
            await client.get(f"http://127.0.0.1:{port}/")
        assert caught.value.code == "response-too-big"


@pytest.mark.usefixtures("permit")
async def test_clients_share_connections_and_not_cookies() -> None:
    ports: list[int] = []

    async def count(_: str, writer: asyncio.StreamWriter) -> None:
        ports.append(writer.get_extra_info("peername")[1])
        writer.write(response(b"", "200 OK", "Set-Cookie: session=1"))

    async with server(count) as (port, heads), Egress(["127.0.0.1"]) as egress:
        for client in (egress.client(), egress.client(), egress.client2()):
            async with client:
                await client.get(f"http://127.0.0.1:{port}/")
        assert len(set(ports)) == 1
        assert not any("cookie" in head.lower() for head in heads)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for api.example.com, made for this test."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    both = tmp_path_factory.mktemp("tls") / "both.pem"
    name = ["-subj", "/CN=api.example.com", "-addext", "subjectAltName=DNS:api.example.com"]
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *name, "-keyout", "-", "-out", "-"]
    both.write_bytes(subprocess.run(made, check=True, capture_output=True).stdout)
    return both


@pytest.mark.usefixtures("permit")
async def test_tls_is_spoken_with_the_name_and_not_the_address(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    named: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: named.append(name)
    resolve, _ = resolver("127.0.0.1")
    allow = ["api.example.com", "other.example.com", "127.0.0.1"]
    async with server(hello, context) as (port, _), Egress(allow, resolve=resolve) as egress:
        client: httpx.AsyncClient | httpx2.AsyncClient
        for client in (egress.client(), egress.client2()):
            assert (await client.get(f"https://api.example.com:{port}/")).text == "hello"
        assert set(named) == {"api.example.com"}
        with pytest.raises(TransientError, match="certificate") as caught:
            await egress.client().get(f"https://other.example.com:{port}/")
        assert caught.value.code == "connection-failed"


async def two_parts(_: str, writer: asyncio.StreamWriter) -> None:
    """A body in two chunks, the second one after the client has the first."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
    await writer.drain()
    writer.write(b"4\r\nlast\r\n0\r\n\r\n")


@pytest.mark.parametrize("second", [False, True], ids=["httpx", "httpx2"])
async def test_who_stopped_reading_may_go_on(second: bool) -> None:
    async with server(two_parts) as (port, _), Egress(["127.0.0.1"]) as egress:
        client = egress.client2() if second else egress.client()
        with permitted(Permit(run_id="run", key="k")):
            async with client, client.stream("GET", f"http://127.0.0.1:{port}/") as answer:
                assert isinstance(answer.stream, AsyncIterable)
                begun = aiter(answer.stream)
                assert await anext(begun) == b"first"
                rest = [part async for part in answer.stream]
    assert b"".join(rest) == b"last"


async def test_what_was_read_before_counts_towards_the_limit() -> None:
    async with server(two_parts) as (port, _), Egress(["127.0.0.1"], max_response_bytes=8) as egress:
        with permitted(Permit(run_id="run", key="k")):
            async with egress.client() as client, client.stream("GET", f"http://127.0.0.1:{port}/") as answer:
                assert isinstance(answer.stream, AsyncIterable)
                begun = aiter(answer.stream)
                await anext(begun)
                with pytest.raises(UserError, match="larger than 8 bytes"):
                    async for _part in answer.stream:
                        pass
