"""The request that an operation means with given arguments, as arguments of `http`."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast
from urllib.parse import quote

from orchestrion.core import Json, UserError, dump

from ._operation import Body, Operation, Parameter, Variable
from ._schema import resolved

HttpArguments: TypeAlias = dict[str, Json]

_SLOT = re.compile(r"\{([^{}]+)\}")
_RESERVED = ":/?#[]@!$&'()*+,;="
_SEPARATORS = {"form": ",", "spaceDelimited": " ", "pipeDelimited": "|", "tabDelimited": "\t"}
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
_WHOLE = re.compile(r"-?\d{1,18}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def fitted(operation: Operation, given: Mapping[str, Json]) -> dict[str, Json]:
    """The arguments with their parameters in the types they have in the document, where nothing is lost by it.

    A parameter travels as text: `"7"` is a whole number as good as 7, and one value is a list of one. `body` means the body,
    whatever a Swagger document calls it.
    """
    properties = cast("Mapping[str, Json]", operation.arguments.get("properties", {}))
    found: dict[str, Json] = {name: value for name, value in given.items() if value is not None}
    own = operation.body.argument if operation.body else None
    if own is not None and "body" in found and "body" not in properties and own not in found:
        found[own] = found.pop("body")
    texts = {each.argument for each in operation.parameters if not each.as_json}
    for name in texts & found.keys():
        found[name] = _fitted(resolved(cast("Json", operation.arguments), properties.get(name)), found[name])
    return found


def _fitted(schema: Mapping[str, Json], value: Json) -> Json:
    kind = schema.get("type")
    if kind == "array":
        several = value if isinstance(value, list | tuple) else [value]
        items = schema.get("items")
        return [_fitted(items, each) for each in several] if isinstance(items, Mapping) else list(several)
    if isinstance(value, str):
        if kind == "integer" and _WHOLE.fullmatch(value):
            return int(value)
        if kind == "number" and _NUMBER.fullmatch(value):
            return float(value)
        if kind == "boolean" and value in ("true", "false"):
            return value == "true"
    elif kind == "string" and isinstance(value, bool | int | float):
        return _text(value)
    return value


def request_of(
    operation: Operation,
    arguments: Mapping[str, Json],
    *,
    authentication: Json = None,
    output: str | None = None,
    redirect: bool | None = None,
) -> HttpArguments:
    """What to hand to `http`. `arguments` are valid against the operation's schema, server variables beside them.

    Raises: UserError `bad-argument` for a value that would leave its place in the address, `unsupported-media-type`.
    """
    headers: dict[str, Json] = {}
    query: list[str] = []
    cookies: list[str] = []
    slots = {name: _server_part(name, each, arguments.get(name)) for name, each in operation.variables.items()}
    for parameter in operation.parameters:
        value = arguments.get(parameter.argument)
        if value is None:
            continue
        match parameter.location:
            case "path":
                slots[parameter.name] = _segment(parameter, value)
            case "query":
                query += _query(parameter, value)
            case "header":
                headers[parameter.name] = _simple(parameter, value, encode=False)
            case "cookie":
                cookies += _query(parameter, value)
    if cookies:
        headers["Cookie"] = "; ".join(cookies)
    if operation.accepts:
        headers["Accept"] = operation.accepts
    request: HttpArguments = {"method": operation.method, "endpoint": _address(operation, slots, query)}
    if authentication:
        request["endpoint"] = {
            "uri": request["endpoint"],
            "authentication": _placed(operation, cast("Mapping[str, Json]", authentication)),
        }
    if operation.body is not None:
        _add_body(request, headers, operation.body, arguments)
    if headers:
        request["headers"] = headers
    if output is not None:
        request["output"] = output
    if redirect is not None:
        request["redirect"] = redirect
    return request


def expectation(operation: Operation) -> dict[str, Json]:
    """What the document promises of the answer, for whoever performs the request to judge and record."""
    return {
        "operation": operation.id,
        "document": operation.origin.digest,
        "api": f"{operation.origin.title} {operation.origin.version}".strip(),
        "responses": cast("dict[str, Json]", dict(operation.responses)),
    }


def _address(operation: Operation, slots: Mapping[str, str], query: Sequence[str]) -> str:
    missing = [name for name in _SLOT.findall(operation.address) if name not in slots]
    if missing:
        raise UserError("bad-api-document", f"{operation.id!r} declares no parameter {missing[0]!r} for its path.")
    path = _SLOT.sub(lambda slot: slots[slot[1]], operation.address)
    if not query:
        return path
    return f"{path}{'&' if '?' in path else '?'}{'&'.join(query)}"


def _server_part(name: str, variable: Variable, given: Json) -> str:
    text = variable.default if given is None else _text(given)
    known = variable.allowed or (variable.default,)
    if text not in known and (variable.allowed or not _PLAIN.fullmatch(text)):
        raise UserError(
            "bad-argument",
            f"The server variable {name!r} may not be {text[:80]!r}.",
            hint=f"It may be: {', '.join(variable.allowed)}." if variable.allowed else "Letters, digits, - . _ only.",
        )
    return text


def _placed(operation: Operation, policy: Mapping[str, Json]) -> Json:
    """A `bearer` token goes where the document wants its API key, if it wants one and no token."""
    token = policy.get("bearer")
    alternatives = [each for each in operation.schemes if each]
    if token is None or not alternatives or any(s.kind != "apiKey" for each in alternatives for s in each):
        return policy
    scheme = alternatives[0][0]
    return {
        "apiKey": {**cast("Mapping[str, Json]", token), "in": scheme.location or "header", "name": scheme.parameter}
    }


# --- values as text. Source: OpenAPI 3.1.1, "Style Examples" ---


def _text(value: Json) -> str:
    return value if isinstance(value, str) else dump(value)


def _encoded(parameter: Parameter, value: Json) -> str:
    return quote(_text(value), safe=_RESERVED if parameter.allow_reserved else "")


def _segment(parameter: Parameter, value: Json) -> str:
    """A path parameter's text, which never leaves its place."""
    match parameter.style:
        case "label" | "matrix":
            text = _prefixed(parameter, value)
        case _:
            text = _simple(parameter, value, encode=True)
    if text in {"", ".", ".."}:
        raise UserError(
            "bad-argument", f"The argument {parameter.argument!r} may not be {text!r}: it is part of the path."
        )
    return text


def _simple(parameter: Parameter, value: Json, *, encode: bool) -> str:
    def text(each: Json) -> str:
        return _encoded(parameter, each) if encode else _text(each)

    match value:
        case _ if parameter.as_json:
            return text(dump(value))
        case Mapping():
            between = "=" if parameter.explode else ","
            return ",".join(f"{text(name)}{between}{text(each)}" for name, each in value.items())
        case list() | tuple():
            return ",".join(text(each) for each in value)
        case _:
            return text(value)


def _prefixed(parameter: Parameter, value: Json) -> str:
    """Styles `label` and `matrix`."""
    matrix = parameter.style == "matrix"
    start = f";{parameter.name}=" if matrix else "."
    match value:
        case Mapping() if parameter.explode:
            mark = ";" if matrix else "."
            return "".join(f"{mark}{quote(n, safe='')}={_encoded(parameter, each)}" for n, each in value.items())
        case Mapping():
            flat = (part for name, each in value.items() for part in (quote(name, safe=""), _encoded(parameter, each)))
            return start + ",".join(flat)
        case list() | tuple() if parameter.explode:
            return "".join(start + _encoded(parameter, each) for each in value)
        case list() | tuple():
            return start + ",".join(_encoded(parameter, each) for each in value)
        case _:
            return start + _encoded(parameter, value)


def _query(parameter: Parameter, value: Json) -> list[str]:
    """The `name=value` pairs of a query parameter or cookie."""
    name = quote(parameter.name, safe="[]")
    if parameter.as_json:
        return [f"{name}={_encoded(parameter, dump(value))}"]
    if parameter.style == "deepObject":
        return list(_deep(parameter, name, value))
    between = quote(_SEPARATORS.get(parameter.style, ","), safe=",")
    match value:
        case Mapping() if parameter.explode:
            return [f"{quote(key, safe='')}={_encoded(parameter, each)}" for key, each in value.items()]
        case Mapping():
            flat = (part for key, each in value.items() for part in (quote(key, safe=""), _encoded(parameter, each)))
            return [f"{name}={between.join(flat)}"]
        case list() | tuple() if parameter.explode:
            return [f"{name}={_encoded(parameter, each)}" for each in value]
        case list() | tuple():
            return [f"{name}={between.join(_encoded(parameter, each) for each in value)}"] if value else []
        case _:
            return [f"{name}={_encoded(parameter, value)}"]


def _deep(parameter: Parameter, name: str, value: Json) -> list[str]:
    match value:
        case Mapping():
            return [
                pair
                for key, each in value.items()
                for pair in _deep(parameter, f"{name}%5B{quote(key, safe='')}%5D", each)
            ]
        case list() | tuple():
            return [f"{name}={_encoded(parameter, each)}" for each in value]
        case _:
            return [f"{name}={_encoded(parameter, value)}"]


# --- bodies ---


def _add_body(request: HttpArguments, headers: dict[str, Json], body: Body, arguments: Mapping[str, Json]) -> None:
    given: Json
    if body.argument is None:
        given = {name: arguments[name] for name in body.fields if arguments.get(name) is not None}
    else:
        given = arguments.get(body.argument)
    if given is None or (body.argument is None and not given):
        return
    headers["Content-Type"] = body.media_type
    if body.binary == ("",):
        given = {"base64": given}
    elif isinstance(given, Mapping) and body.binary:
        given = {name: _bytes_of(name, each) if name in body.binary else each for name, each in given.items()}
    elif not isinstance(given, str) and not re.search(r"json|form", body.media_type, re.I):
        raise UserError(
            "unsupported-media-type",
            f"The operation takes {body.media_type!r}, which cannot be made from data.",
            hint="Give the body as text.",
        )
    request["body"] = given


def _bytes_of(name: str, value: Json) -> Json:
    """A field that holds bytes: base64 text, several, or `{ base64, filename, contentType }`."""
    if isinstance(value, list | tuple):
        return [_bytes_of(name, each) for each in value]
    return {"base64": value, "filename": name} if isinstance(value, str) else value
