"""What describes services and functions: read from an address, and then used again for a while, or from a file of the project."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from orchestrion.core import Clock, Json, Nature, Secrets, canonical
from orchestrion.egress import Egress
from orchestrion.openapi import is_address

from ._fetch import fetch
from ._http import host_of
from ._tokens import Tokens

T = TypeVar("T")

_MOST_KEPT = 64
_KEPT_S = 300.0
"""How long what was fetched is used again by other runs without asking for it."""
ENDPOINT: Mapping[str, Json] = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "required": ["uri"],
            "additionalProperties": False,
            "properties": {"uri": {"type": "string", "minLength": 1}, "authentication": {"type": "object"}},
        },
    ]
}
"""JSON Schema of where something is."""
ELSEWHERE = "Write an address with https://, or a path that starts at the project's folder."
"""The way out of a place that is neither."""


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    document: T
    until: float


class Documents(Generic[T]):
    """Those at addresses, as `read` makes them of bytes and address, in a worker thread. `max_bytes`: in place of egress's own."""

    def __init__(
        self,
        egress: Egress,
        tokens: Tokens,
        clock: Clock,
        read: Callable[[bytes, str], T],
        *,
        max_bytes: int | None = None,
    ) -> None:
        self._egress = egress
        self._tokens = tokens
        self._clock = clock
        self._read = read
        self._max_bytes = max_bytes
        self._kept: dict[str, _Kept[T]] = {}

    async def fetched(self, address: str, policy: Json, secrets: Secrets) -> T:
        """Raises: what `fetch` and `read` raise."""
        place = canonical([address, policy])
        kept = self._kept.get(place)
        if kept is not None and kept.until > self._clock.monotonic():
            return kept.document
        text = await fetch(
            address, policy, egress=self._egress, tokens=self._tokens, secrets=secrets, max_bytes=self._max_bytes
        )
        document = await asyncio.to_thread(self._read, text, address)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[place] = _Kept(document, self._clock.monotonic() + _KEPT_S)
        return document


def reading(function: str, address: str) -> Nature:
    """What a call of `function` does that reads what is at `address`."""
    if is_address(address):
        return Nature(effect="read", idempotent=True, resource=("Host", host_of(address)))
    return Nature(effect="none", idempotent=True, resource=("Function", function))


def endpoint_of(endpoint: Json) -> tuple[str, Json]:
    """Where something is, and how to authenticate there."""
    if isinstance(endpoint, Mapping):
        return str(endpoint.get("uri", "")), endpoint.get("authentication")
    return str(endpoint or ""), None


def project_file(root: Path | None, place: str) -> Path | None:
    """The file at `place` below `root`; None when it would be elsewhere."""
    file = (root / place.removeprefix("file:")).resolve() if root is not None else None
    return file if root is not None and file is not None and file.is_relative_to(root.resolve()) else None
