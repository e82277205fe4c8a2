"""What every request passes before anything is read of it: the host, the size, the pace, and how many there are."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass, field
from typing import Any, cast

from orchestrion.core import OrchestrionError, TransientError, UserError

from ._problems import problem_response

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
LARGEST_BODY = 16 * 1024 * 1024
"""Bytes of a request's body."""
LARGEST_HEAD = 32 * 1024
"""Bytes of all headers and the address."""
BODY_S = 20.0
"""Seconds within which a body must have come."""
MOST_AT_ONCE = 512
"""Requests under way, streams included."""
MOST_STREAMS = 200
TOOL_S = 50.0
"""Seconds a call of a tool waits for its run: most clients give up after a minute."""
HEARTBEAT_S = 15.0
"""A stream says something after so long at the latest, and it is looked whether whoever listens still may."""
SECURITY: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)
"""Headers of every answer that does not set them itself."""


@dataclass(slots=True, kw_only=True)
class Limits:
    """How much is taken of one request, and of all."""

    body_bytes: int = LARGEST_BODY
    body_s: float = BODY_S
    at_once: int = MOST_AT_ONCE
    streams: int = MOST_STREAMS
    heartbeat_s: float = HEARTBEAT_S
    tool_s: float = TOOL_S


@dataclass(slots=True, kw_only=True)
class Guard:
    """An ASGI application around another one."""

    app: Asgi
    hosts: Collection[str]
    """Names under which the server may be called: a name that somebody else's DNS points here is none of them."""
    limits: Limits = field(default_factory=Limits)
    under_way: int = 0
    answered: Counter[int] = field(default_factory=Counter[int])
    """Status → how many requests got it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        guarded = _secured(send, self.answered)
        refusal = self._refusal(scope)
        if refusal is not None:
            await problem_response(refusal)(scope, receive, guarded)
            return
        self.under_way += 1
        try:
            await self.app(scope, _Body(receive, self.limits).receive, guarded)
        finally:
            self.under_way -= 1

    def _refusal(self, scope: Scope) -> OrchestrionError | None:
        headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
        named = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
        if len(named) != 1 or _without_port(named[0]) not in self.hosts:
            return UserError(
                "foreign-host",
                "This server is not called so.",
                hint="Use the address it prints, or set `server.url` in orchestrion.yaml to the one it is reached by.",
            )
        if len(scope["raw_path"]) + len(scope["query_string"]) + sum(map(_size, headers)) > LARGEST_HEAD:
            return UserError("head-too-large", f"The address and headers are larger than {LARGEST_HEAD:,} bytes.")
        lengths = [value for name, value in headers if name == b"content-length"]
        if lengths and int(lengths[0]) > self.limits.body_bytes:
            return too_large(self.limits.body_bytes)
        if self.under_way >= self.limits.at_once:
            return TransientError("too-busy", f"{self.under_way} requests are under way, and no more are taken.")
        return None


class _Body:
    """A body as it comes: no larger than allowed, and within its time."""

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive = receive
        self._limits = limits
        self._read = 0
        self._until = asyncio.get_running_loop().time() + limits.body_s
        self._whole = False

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise UserError("body-too-slow", f"The body has not come within {self._limits.body_s:g} seconds.") from None
        if message["type"] != "http.request":
            return message
        self._read += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._read > self._limits.body_bytes:
            raise too_large(self._limits.body_bytes)
        return message


def too_large(most: int) -> UserError:
    return UserError(
        "body-too-large",
        f"The body is larger than {most:,} bytes.",
        hint="Keep large content in a file or a database and send its address.",
    )


def _size(header: tuple[bytes, bytes]) -> int:
    return len(header[0]) + len(header[1])


def _without_port(host: str) -> str:
    name, separator, port = host.rpartition(":")
    return name if separator and port.isdigit() else host


def _secured(send: Send, answered: Counter[int]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered[message["status"]] += 1
            headers = cast("list[tuple[bytes, bytes]]", list(message.get("headers", ())))
            known = {name.lower() for name, _ in headers}
            message = {**message, "headers": [*headers, *(each for each in SECURITY if each[0] not in known)]}
        await send(message)

    return sending
