"""Who may be reached: the allow-list, and the addresses that need more than a name."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from orchestrion.core import PolicyDenied, UserError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SPECIAL: Sequence[tuple[str, Network]] = [
    (kind, ip_network(text))
    for kind, texts in {
        "a loopback address": ("127.0.0.0/8", "::1/128"),
        "a private address": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10"),
        "a link-local address": ("169.254.0.0/16", "fe80::/10"),
        "a multicast address": ("224.0.0.0/4", "ff00::/8"),
        "a reserved address": (
            "0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "240.0.0.0/4", "::/128", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
        ),
    }.items()
    for text in texts
]  # fmt: skip
"""Source: IANA special-purpose address registries (RFC 6890 and its updates)."""

_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fe80::a9fe:a9fe",
    )
)
"""Where clouds hand credentials to whoever asks from the inside."""

_TRANSLATED = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_NAME = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One entry of the list: a name (`*.` before it: those below it) or a network, perhaps at one port."""

    name: str = ""
    network: Network | None = None
    port: int | None = None

    def names(self, host: str, port: int) -> bool:
        below = self.name.startswith("*.") and host.endswith(self.name[1:])
        return bool(self.name) and (host == self.name or below) and self.port in (None, port)

    def holds(self, address: Address, port: int) -> bool:
        return self.network is not None and address in self.network and self.port in (None, port)


class Rules:
    """The allow-list. Entries: `api.example.com`, `*.example.org`, `host:port`, `10.0.0.5`, `10.1.0.0/16`, `[::1]:8080`.

    A name alone admits only public addresses. Private, loopback, link-local and other special ones must be listed by address
    or by a network within the special range itself; those of cloud metadata by the very address. `localhost` is loopback.
    Raises: UserError `bad-egress-entry`.
    """

    def __init__(self, allow: Sequence[str]) -> None:
        self._entries = [_entry(text) for text in allow]

    def admit_own(self, port: int) -> None:
        """A port of loopback on which this process itself has something serve."""
        self._entries.append(_entry(f"127.0.0.1:{port}"))

    def admit(self, host: str, port: int) -> None:
        """Whether a host may be reached at all. Raises: PolicyDenied `egress-refused`."""
        address = _literal(host)
        if address is not None:
            self.vet(host, port, [str(address)])
        known = address is not None and any(entry.holds(address, port) for entry in self._entries)
        if not known and not any(entry.names(host.rstrip("."), port) for entry in self._entries):
            raise PolicyDenied(
                "egress-refused",
                f"Calling {host!r} at port {port} is not allowed.",
                hint=f"Add {_suggestion(host)!r} to egress.allow in orchestrion.yaml to permit it.",
            )

    def vet(self, host: str, port: int, addresses: Sequence[str]) -> None:
        """Whether all that a host resolves to may be connected to. Raises: PolicyDenied `egress-refused`."""
        for text in addresses:
            for address in _forms(ip_address(text)):
                kind = _special(address)
                if kind and not self._listed(host, address, port):
                    raise PolicyDenied(
                        "egress-refused",
                        f"Calling {host!r} is not allowed: {text} is {kind}.",
                        hint=f"Add {_suggestion(str(address))!r} to egress.allow in orchestrion.yaml if that is meant.",
                    )

    def _listed(self, host: str, address: Address, port: int) -> bool:
        if address.is_loopback and host.rstrip(".") == "localhost":
            return any(entry.name == "localhost" and entry.names("localhost", port) for entry in self._entries)
        networks = [entry.network for entry in self._entries if entry.holds(address, port)]
        if address in _METADATA:
            return any(network is not None and network.num_addresses == 1 for network in networks)
        return any(network is not None and _within_special(network) for network in networks)


def _entry(text: str) -> _Entry:
    host, port = _split(text.strip().lower())
    if port is not None and not 0 < port < 65536:
        raise _bad(text)
    try:
        return _Entry(network=ip_network(host), port=port)
    except ValueError:
        pass
    if re.search(r"[/@?#\\]", host) or re.fullmatch(r"[0-9.:]*", host):
        raise _bad(text)
    try:
        prefix = "*." if host.startswith("*.") else ""
        name = prefix + httpx.URL(f"http://{host.removeprefix(prefix)}").raw_host.decode().rstrip(".")
    except httpx.InvalidURL:
        raise _bad(text) from None
    if not _NAME.fullmatch(name):
        raise _bad(text)
    return _Entry(name=name, port=port)


def _split(text: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"\[([0-9a-f:.]+)\](?::(\d+))?|([^:]*):(\d+)", text)
    if found is None:
        return text, None
    port = found[2] or found[4]
    return found[1] or found[3], int(port) if port else None


def _bad(text: str) -> UserError:
    return UserError(
        "bad-egress-entry",
        f"egress.allow holds {text!r}, which is not a host, a host and port, an address or a network.",
        hint="Write 'api.example.com', '*.example.org', 'localhost:8080', '10.0.0.5' or '10.1.0.0/16', without https://.",
    )


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _suggestion(host: str) -> str:
    return host.rstrip(".")


def _forms(address: Address) -> Iterator[Address]:
    """The address and whatever IPv4 address it stands for: mapped, translated or tunnelled."""
    yield address
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            yield address.ipv4_mapped
        if address.sixtofour:
            yield address.sixtofour
        if address.teredo:
            yield from address.teredo
        if address in _TRANSLATED or (address in _COMPATIBLE and int(address) > 1):
            yield IPv4Address(int(address) & 0xFFFFFFFF)


def _special(address: Address) -> str | None:
    if address in _METADATA:
        return "a cloud metadata address"
    return next((kind for kind, network in _SPECIAL if address in network), None)


def _within_special(network: Network) -> bool:
    for _, special in _SPECIAL:
        if isinstance(network, IPv4Network):
            if isinstance(special, IPv4Network) and network.subnet_of(special):
                return True
        elif isinstance(special, IPv6Network) and network.subnet_of(special):
            return True
    return False
