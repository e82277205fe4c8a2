"""JSON as the one form of data: canonical text and digests."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

from pydantic_core import from_json, to_json

from ._errors import UserError

Json: TypeAlias = "None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]"
"""A JSON value. Read-only by convention: nothing in a run is changed in place."""

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical(value: Json) -> str:
    """The text whose digest identifies `value`: sorted keys, no spaces.

    Raises: UserError `not-json` for what JSON cannot hold (NaN, infinities, other types).
    """
    try:
        return _canonical(value)
    except (TypeError, ValueError) as error:
        raise UserError("not-json", f"A value cannot be written as JSON: {error}") from None


def digest(value: Json) -> str:
    """SHA-256 of the canonical text, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def digest_of_list(items: Sequence[str]) -> str:
    """The digest of the list whose items have these canonical texts."""
    return hashlib.sha256(f"[{','.join(items)}]".encode()).hexdigest()


def fingerprint(value: object) -> str:
    """SHA-256 of the compact text with keys in the order given: cheaper than `digest`, for what is always built the same way."""
    return hashlib.sha256(to_json(value, inf_nan_mode="constants")).hexdigest()


def dump(value: Json) -> str:
    """Compact JSON text, keys in the order given. Raises: UserError `not-json` as `dump_bytes` does."""
    return dump_bytes(value).decode()


def dump_bytes(value: Json) -> bytes:
    """Compact JSON text in UTF-8, keys in the order given.

    Raises: UserError `not-json` for what JSON cannot hold (NaN, infinities, lone surrogates, other types).
    """
    try:
        text = to_json(value, inf_nan_mode="constants")
    except ValueError as error:
        raise UserError("not-json", f"A value cannot be written as JSON: {error}") from None
    if b"NaN" in text or b"Infinity" in text:
        canonical(value)
    return text


def parse(text: str | bytes) -> Json:
    """Read JSON text.

    Raises: UserError `not-json` with the place of the first mistake.
    """
    try:
        return cast("Json", from_json(text, allow_inf_nan=False))
    except ValueError as error:
        raise UserError("not-json", f"This is not JSON: {error}") from None
