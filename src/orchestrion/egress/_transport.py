"""The transport every request passes."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import cast

import httpcore
import httpx

from orchestrion.core import PolicyDenied, UserError, require_permit, traceparent

from ._network import WIRE_ERRORS, CheckedNetwork, transport_problem
from ._rules import Rules

_PORTS = {"http": 80, "https": 443}
MOST_CONNECTIONS = 500
"""To all hosts. Each agent that waits for a slow model holds one, and runs and models have limits of their own."""


class GuardedTransport(httpx.AsyncBaseTransport):
    """Asks for the permit and the rules on every request, each hop of a redirect included; then the wire, or a stub.

    Closing a client leaves it open, so clients share its connections; `Egress.close` ends them.
    """

    def __init__(
        self,
        rules: Rules,
        network: CheckedNetwork,
        stubs: Mapping[str, httpx.AsyncBaseTransport],
        max_response_bytes: int,
        *,
        traced: bool = False,
    ) -> None:
        self._rules = rules
        self._network = network
        self._stubs = stubs
        self._max_response_bytes = max_response_bytes
        self._traced = traced
        self._pool: httpcore.AsyncConnectionPool | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises: BugError `ungoverned`; PolicyDenied `egress-refused`; TransientError; UserError `response-too-big`."""
        host = request.url.raw_host.decode().lower()
        permit = require_permit(f"A request to {host!r}")
        port = request.url.port or _PORTS.get(request.url.scheme)
        if port is None:
            raise PolicyDenied(
                "egress-refused", f"{request.url.scheme!r} is not HTTP.", hint="Use https:// or http://."
            )
        self._rules.admit(host, port)
        if request.headers.get("host", "").lower() != request.url.netloc.decode().lower():
            raise PolicyDenied("egress-refused", f"A request to {host!r} carries the Host header of another.")
        if self._traced:
            request.headers["traceparent"] = traceparent(permit.root_id or permit.run_id, permit.run_id, permit.key)
        stub = self._stubs.get(host)
        response = await (stub.handle_async_request(request) if stub else self._send(request, host))
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError(type(response.stream).__name__)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_Body(response.stream, host, self._max_response_bytes),
            extensions=response.extensions,
        )

    async def close(self) -> None:
        """End all connections."""
        if self._pool:
            await self._pool.aclose()
            self._pool = None

    async def _send(self, request: httpx.Request, host: str) -> httpx.Response:
        if self._pool is None:
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=httpx.create_ssl_context(),
                max_connections=MOST_CONNECTIONS,
                max_keepalive_connections=20,
                keepalive_expiry=5,
                network_backend=self._network,
            )
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        try:
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        except WIRE_ERRORS as error:
            raise transport_problem(error, host) from error
        extensions = cast("dict[str, object]", response.extensions)
        return httpx.Response(response.status, headers=response.headers, stream=_Wire(response), extensions=extensions)


class _Wire(httpx.AsyncByteStream):
    """httpcore's stream as httpx's. Who stopped reading may go on: OpenAI's client reads what follows its last event."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # `aiter_stream` would refuse to go on
        async for part in cast("AsyncIterable[bytes]", self._response.stream):
            yield part

    async def aclose(self) -> None:
        await self._response.aclose()


class _Body(httpx.AsyncByteStream):
    """A response's body, counted."""

    def __init__(self, stream: httpx.AsyncByteStream, host: str, max_bytes: int) -> None:
        self._stream = stream
        self._host = host
        self._max_bytes = max_bytes
        self._received = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                self._received += len(part)
                if self._received > self._max_bytes:
                    raise response_too_big(self._host, self._max_bytes)
                yield part
        except WIRE_ERRORS as error:
            raise transport_problem(error, self._host) from error

    async def aclose(self) -> None:
        await self._stream.aclose()


def response_too_big(host: str, max_bytes: int) -> UserError:
    """What is said when an answer is larger than allowed."""
    return UserError(
        "response-too-big",
        f"The answer of {host!r} is larger than {max_bytes:,} bytes.",
        hint="Ask for less of it: a page, a range, or fewer fields.",
    )
