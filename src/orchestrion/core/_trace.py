"""Ids of traces and spans: derived, so that every process and every walk of a run gives the same ones."""

import hashlib
import re

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def trace_id(root_id: str) -> int:
    """128 bits for a run and all it starts: the root run's own id where that is a UUID, so that one finds the other."""
    text = root_id.replace("-", "") if _UUID.fullmatch(root_id) else hashlib.sha256(root_id.encode()).hexdigest()[:32]
    return int(text, 16)


def span_id(run_id: str, key: str = "") -> int:
    """64 bits for one entry of a run, or for the run itself."""
    return int.from_bytes(hashlib.sha256(f"{run_id}\x1f{key}".encode()).digest()[:8], "big")


def traceparent(root_id: str, run_id: str, key: str) -> str:
    """What tells the other side which span called it. Source: W3C Trace Context, section 3.2."""
    return f"00-{trace_id(root_id):032x}-{span_id(run_id, key):016x}-01"
