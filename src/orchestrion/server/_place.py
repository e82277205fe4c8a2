"""Where a server listens, and under which names it may be called."""

import errno
import socket
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from orchestrion.core import UserError

from ._guard import LOOPBACK

BACKLOG = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An address that is bound. Raises: UserError `not-loopback`, `port-in-use`, `cannot-listen` when it is made."""

    socket: socket.socket
    host: str
    port: int
    url: str
    """Where people reach it, without a slash at the end."""

    @property
    def hosts(self) -> Collection[str]:
        """Names and addresses under which it answers."""
        return {*LOOPBACK, _as_host(self.host).lower(), (urlsplit(self.url).hostname or "").lower()}

    @property
    def secure(self) -> bool:
        return self.url.startswith("https:")

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @staticmethod
    def bind(host: str, port: int, url: str | None) -> "Place":
        """Take the port. Raises: UserError `not-loopback`, `port-in-use`, `cannot-listen`."""
        if url is None and not _is_loopback(host):
            raise UserError(
                "not-loopback",
                f"{host!r} can be reached from other machines, and nothing says under which name.",
                hint="Set `server.url` in orchestrion.yaml, or --url, to the address that people use, behind a proxy that speaks https.",
            )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # named, because asyncio sends small answers at once only where it sees that it is TCP
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            raise _refused(host, port, error) from None
        port = listening.getsockname()[1]
        return Place(socket=listening, host=host, port=port, url=(url or f"http://{_as_host(host)}:{port}").rstrip("/"))


def _refused(host: str, port: int, error: OSError) -> UserError:
    if error.errno == errno.EADDRINUSE:
        return UserError(
            "port-in-use",
            f"Port {port} of {host} is in use by another program.",
            hint=f"Stop it, or take another port: --port {port + 1 if port < 65_535 else 0} (--port 0 takes any that is free).",
        )
    return UserError("cannot-listen", f"{host!r} port {port} cannot be listened on: {error.strerror or error}.")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _as_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def link_of(url: str, code: str) -> str:
    """The address of a one-time link."""
    return f"{url.rstrip('/')}/sign-in?code={code}"
