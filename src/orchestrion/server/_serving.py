"""The server within the engine's process and event loop."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from orchestrion.app import App

from ._accounts import Accounts
from ._application import Site, site
from ._guard import LARGEST_HEAD, Limits
from ._place import Place, link_of

HEAD_S = 10.0
"""Seconds within which a request's first line and headers must have come."""
IDLE_S = 15.0
"""Seconds a connection is kept between requests."""
DRAIN_S = 10.0
"""Seconds that answers under way are waited for."""


class _Hurried(H11Protocol):
    """Closes connections on which no request comes: uvicorn waits for a first one for ever."""

    _deadline: asyncio.TimerHandle | None = None
    head_s = HEAD_S

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self.head_s, transport.close)

    def data_received(self, data: bytes) -> None:
        if self._awaits_request() and self._deadline is None:
            self._deadline = self.loop.call_later(self.head_s, self.transport.close)
        super().data_received(data)
        if not self._awaits_request():
            self._unset()

    def _awaits_request(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._unset()
        super().on_response_complete()

    def _unset(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    """Leaves the process's signals alone."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A server that answers."""

    place: Place
    site: Site
    running: "asyncio.Task[None]"

    @property
    def accounts(self) -> Accounts:
        return self.site.door.accounts

    async def sign_in_link(self, name: str, *, by: str, lasts_s: float) -> str:
        """The address that signs somebody in, once. Raises: UserError `unknown-user`."""
        return link_of(self.place.url, await self.accounts.issue(name, "link", by=by, lasts_s=lasts_s))


async def _until_started(server: _Server, running: "asyncio.Task[None]") -> None:
    while not server.started and not running.done():  # noqa: ASYNC110  uvicorn tells nobody
        await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(
    app: App, place: Place, *, limits: Limits | None = None, head_s: float = HEAD_S, drain_s: float = DRAIN_S
) -> AsyncGenerator[Serving]:
    """Answer requests of an open app at a place while the block runs; then drain: nothing new is taken, answers are finished."""
    made = site(app, place, limits or Limits())
    protocol = type("Protocol", (_Hurried,), {"head_s": head_s})
    config = uvicorn.Config(
        cast("Any", made.asgi),
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=LARGEST_HEAD,
        timeout_keep_alive=cast("int", IDLE_S),
        timeout_graceful_shutdown=cast("int", drain_s),
    )
    server = _Server(config)
    looking = [asyncio.ensure_future(each) for each in (made.changes.run(), made.notices.keep_looking())]
    running = asyncio.ensure_future(server.serve(sockets=[place.socket]))
    try:
        await _until_started(server, running)
        yield Serving(place=place, site=made, running=running)
    finally:
        made.drain()
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await running
        await made.mcp.close()
        for each in looking:
            each.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        place.socket.close()
