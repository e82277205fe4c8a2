"""Time and ids: the only place that reads the clock or draws an id."""

import hashlib
import os
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where time comes from; tests bring their own."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps; only differences mean something."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def new_id() -> str:
    """A UUIDv7: unique, and later ones sort after earlier ones. Source: RFC 9562, section 5.7."""
    milliseconds = time.time_ns() // 1_000_000
    bits = bytearray(milliseconds.to_bytes(6, "big") + os.urandom(10))
    bits[6] = (bits[6] & 0x0F) | 0x70
    bits[8] = (bits[8] & 0x3F) | 0x80
    text = bits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derived_id(*parts: str) -> str:
    """An id that the same parts always give: for child runs and idempotency keys (UUIDv8 of a SHA-256)."""
    bits = bytearray(hashlib.sha256("\x1f".join(parts).encode()).digest()[:16])
    bits[6] = (bits[6] & 0x0F) | 0x80
    bits[8] = (bits[8] & 0x3F) | 0x80
    text = bits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def iso(at: float) -> str:
    """RFC 3339 text of a time in seconds since the epoch, with milliseconds and `Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
