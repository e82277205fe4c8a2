"""Data as the body of a request."""

import base64
import binascii
from collections.abc import Mapping

import httpx

from orchestrion.core import Json, UserError, canonical

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"


def texts(value: Json) -> list[str]:
    """A value as the texts of a repeated field."""
    if isinstance(value, str) or not isinstance(value, list | tuple):
        return [text_of(value)]
    return [text_of(item) for item in value]


def text_of(value: Json) -> str:
    return value if isinstance(value, str) else canonical(value)


def content_of(body: Json, content_type: str) -> tuple[bytes | None, str | None]:
    """The body's bytes, and its content type where the one given does not do. Raises: UserError `bad-body`."""
    if body is None:
        return None, None
    if isinstance(body, str):
        return body.encode(), None if content_type else "text/plain; charset=utf-8"
    if isinstance(body, Mapping):
        if content_type.startswith(_FORM):
            form = {name: texts(value) for name, value in body.items() if value is not None}
            return str(httpx.QueryParams(form)).encode(), None
        if content_type.startswith(_MULTIPART):
            return _multipart(body)
        if "json" not in content_type and content_type and set(body) == {"base64"}:
            return _decoded("the body", body["base64"]), None
    return canonical(body).encode(), None if content_type else "application/json"


def _multipart(body: Mapping[str, Json]) -> tuple[bytes, str]:
    """Source: RFC 7578."""
    parts = [
        (name, _part(name, each))
        for name, value in body.items()
        if value is not None
        for each in (value if isinstance(value, list | tuple) else [value])
    ]
    if not parts:
        raise UserError("bad-body", "The multipart form has no fields.")
    request = httpx.Request("POST", "https://unused.invalid", files=parts)
    return request.read(), request.headers["content-type"]


def _part(name: str, value: Json) -> tuple[str | None, bytes, str | None]:
    """File name, content and content type of a part."""
    if isinstance(value, Mapping) and "base64" in value:
        filename, kind = value.get("filename"), value.get("contentType")
        return (
            filename if isinstance(filename, str) else None,
            _decoded(f"the field {name!r}", value["base64"]),
            kind if isinstance(kind, str) else "application/octet-stream",
        )
    if isinstance(value, Mapping):
        return None, canonical(value).encode(), "application/json"
    return None, text_of(value).encode(), None


def _decoded(what: str, value: Json) -> bytes:
    try:
        return base64.b64decode(value if isinstance(value, str) else "", validate=True)
    except binascii.Error:
        raise UserError("bad-body", f"The `base64` of {what} is not base64.") from None
