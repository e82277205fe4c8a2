"""Connections to checked addresses only."""

import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import cast

import anyio
import httpcore

from orchestrion.core import OrchestrionError, TransientError

from ._rules import Rules

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port → its addresses, all of them. Raises: OSError."""


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """The addresses the machine's resolver gives."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[4][0]) for place in found))


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Resolves once, checks every address, connects to one of those checked.

    The name is never resolved a second time, so an answer that changes between check and connection changes nothing. TLS
    still asks for the name's certificate, because that happens above, on the connection this returns.
    """

    def __init__(self, rules: Rules, resolve: Resolve) -> None:
        self._rules = rules
        self._resolve = resolve
        self._backend = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            with anyio.fail_after(timeout):
                addresses = await self._resolve(host, port)
                self._rules.vet(host, port, addresses)
                return await self._first(addresses, port, local_address, socket_options)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"no connection within {timeout:g} s") from None
        except OSError as error:
            raise httpcore.ConnectError(f"the name cannot be resolved ({error.strerror or error})") from error

    async def _first(
        self,
        addresses: Sequence[str],
        port: int,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address that answers, in the resolver's order."""
        failed: list[str] = []
        for address in addresses:
            try:
                return await self._backend.connect_tcp(
                    address, port, local_address=local_address, socket_options=socket_options
                )
            except httpcore.ConnectError as error:
                failed.append(f"{address}: {error}")
        raise httpcore.ConnectError("; ".join(failed) or "the name has no address")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


def transport_problem(error: Exception, host: str) -> OrchestrionError:
    """What a failure on the wire is called here. The message says whether the request may have been performed."""
    unsent = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout)
    hint = None if isinstance(error, unsent) else "It may have been performed: the answer was lost, not the request."
    if isinstance(error, httpcore.TimeoutException):
        return TransientError("timed-out", f"{host!r} did not answer in time.", hint=hint)
    return TransientError("connection-failed", f"The connection to {host!r} failed: {error}.", hint=hint)


WIRE_ERRORS = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)
