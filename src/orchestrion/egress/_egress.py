"""Egress: hands out HTTP clients and, for mail, connections; there is no other way out."""

import socket
from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

import httpx

from ._network import CheckedNetwork, Resolve, system_resolve
from ._rules import Rules
from ._socket import connected
from ._transport import GuardedTransport

if TYPE_CHECKING:
    import httpx2


class Egress:
    """The one way out of the process, for functions and model providers alike. Belongs to one event loop.

    Nothing is allowed unless listed in `allow` (see Rules). `stubs` answer for hosts by name in place of the network; the
    rules hold for them too. No proxy or credential is taken from the environment; `SSL_CERT_FILE` is honoured.
    Redirects are not followed unless a request asks for it, and then every hop is checked like a first request. With `traced`,
    the other side is told which span calls it (`traceparent`).
    """

    def __init__(
        self,
        allow: Sequence[str] = (),
        *,
        resolve: Resolve = system_resolve,
        stubs: Mapping[str, httpx.AsyncBaseTransport] = MappingProxyType({}),
        timeout_s: float = 30.0,
        max_response_bytes: int = 16_000_000,
        traced: bool = False,
    ) -> None:
        rules = Rules(allow)
        self._rules = rules
        self._resolve = resolve
        self.timeout_s = timeout_s
        self.max_response_bytes = max_response_bytes
        self._transport = GuardedTransport(
            rules, CheckedNetwork(rules, resolve), stubs, max_response_bytes, traced=traced
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def client(self) -> httpx.AsyncClient:
        """A client of its own cookies over shared connections. Closing it is optional."""
        return httpx.AsyncClient(transport=self._transport, timeout=self.timeout_s, trust_env=False)

    def client2(self) -> "httpx2.AsyncClient":
        """The same for libraries that use httpx2."""
        import httpx2

        from ._second import SecondTransport

        return httpx2.AsyncClient(transport=SecondTransport(self._transport), timeout=self.timeout_s, trust_env=False)

    def allow_own(self, port: int) -> None:
        """Let clients reach a port of loopback on which this process itself has something serve."""
        self._rules.admit_own(port)

    async def connect(self, host: str, port: int, *, timeout_s: float) -> socket.socket:
        """A blocking socket for what is not HTTP, under the same rules; whoever takes it closes it.

        Raises: BugError `ungoverned`; PolicyDenied `egress-refused`; TransientError `timed-out`, `connection-failed`.
        """
        return await connected(self._rules, self._resolve, host, port, timeout_s=timeout_s)

    async def close(self) -> None:
        """End all connections."""
        await self._transport.close()
