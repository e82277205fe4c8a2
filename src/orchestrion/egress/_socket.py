"""A connection for what is not HTTP, to checked addresses only."""

import asyncio
import socket
from collections.abc import Sequence

from orchestrion.core import TransientError, require_permit

from ._network import Resolve
from ._rules import Rules


async def connected(rules: Rules, resolve: Resolve, host: str, port: int, *, timeout_s: float) -> socket.socket:
    """A blocking socket, connected to the first address of the host that answers; whoever takes it closes it.

    Raises: BugError `ungoverned`; PolicyDenied `egress-refused`; TransientError `timed-out`, `connection-failed`.
    """
    require_permit(f"A connection to {host!r}")
    rules.admit(host, port)
    try:
        async with asyncio.timeout(timeout_s):
            addresses = await resolve(host, port)
            rules.vet(host, port, addresses)
            return await _first(addresses, port, timeout_s)
    except TimeoutError:
        raise TransientError("timed-out", f"{host!r} did not answer in time.") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise TransientError("connection-failed", f"The connection to {host!r} failed: {reason}.") from None


async def _first(addresses: Sequence[str], port: int, timeout_s: float) -> socket.socket:
    """Raises: OSError of the last address."""
    last = OSError("the name has no address")
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, (address, port))
        except BaseException as error:
            connection.close()
            if not isinstance(error, OSError):
                raise
            last = error
        else:
            connection.settimeout(timeout_s)
            return connection
    raise last
