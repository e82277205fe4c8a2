"""Operations of OpenAPI 3.0 and 3.1."""

import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import urljoin

from orchestrion.core import Json, UserError

from ._draft import Draft, is_binary, listed, parameters_of, schemes_of
from ._operation import Body, Operation, Origin, Style, Variable
from ._schema import Schemas, resolved

_JSON = re.compile(r"application/(?:.*\+)?json\b|text/json\b", re.I)
_PREFERRED = ("multipart/form-data", "application/x-www-form-urlencoded", "text/plain", "application/octet-stream")
_STYLES: Mapping[str, Style] = {"path": "simple", "header": "simple", "query": "form", "cookie": "form"}


def modern_operation(
    root: Mapping[str, Json],
    path: str,
    method: str,
    *,
    name: str,
    base: str,
    origin: Origin,
    dialect: str,
) -> Operation:
    """One operation of an OpenAPI 3 document. Raises: UserError about what the document lacks."""
    path_item = resolved(root, cast("Mapping[str, Json]", root["paths"]).get(path))
    declared = resolved(root, path_item.get(method))
    modern = dialect != "3.0"
    draft = Draft(root=root, schemas=Schemas(root, "request", modern=modern))
    for parameter in parameters_of(root, path_item, declared.get("parameters")):
        _take(draft, parameter)
    _body(draft, resolved(root, declared.get("requestBody")))
    server, variables = _server(root, path_item, declared, base)
    components = resolved(root, root.get("components"))
    responses, accepts = _responses(root, declared, modern=modern)
    return draft.finish(
        declared,
        name=name,
        method=method,
        address=server.rstrip("/") + path,
        variables=variables,
        responses=responses,
        accepts=accepts,
        schemes=schemes_of(root, declared, resolved(root, components.get("securitySchemes"))),
        origin=origin,
    )


def _take(draft: Draft, parameter: Mapping[str, Json]) -> None:
    location = str(parameter.get("in"))
    if location not in _STYLES:
        raise UserError("bad-api-document", f"A parameter stands in {location!r}, which OpenAPI does not know.")
    content = parameter.get("content")
    if isinstance(content, Mapping) and content:
        kind, media = next(iter(content.items()))
        schema = resolved(draft.root, media).get("schema")
        draft.parameter(parameter, schema, style=_STYLES[location], explode=False, as_json=bool(_JSON.match(kind)))
        return
    style = cast("Style", parameter.get("style") or _STYLES[location])
    explode = parameter.get("explode")
    draft.parameter(
        parameter,
        parameter.get("schema"),
        style=style,
        explode=explode if isinstance(explode, bool) else style == "form",
    )


def _body(draft: Draft, declared: Mapping[str, Json]) -> None:
    content = declared.get("content")
    if not isinstance(content, Mapping) or not content:
        return
    kind = _best(list(content))
    schema = resolved(draft.root, content[kind]).get("schema", {})
    name = draft.body_name("body")
    draft.argument(name, schema, description=declared.get("description"), required=declared.get("required") is True)
    draft.body = Body(argument=name, media_type=kind, binary=_binary_parts(draft.root, schema, kind))


def _best(kinds: list[str]) -> str:
    """The media type to send, of those that the operation takes."""
    in_json = [kind for kind in kinds if _JSON.match(kind)]
    known = [kind for wanted in _PREFERRED for kind in kinds if kind.partition(";")[0].strip().lower() == wanted]
    return (in_json or known or kinds)[0]


def _binary_parts(root: Json, schema: Json, kind: str) -> tuple[str, ...]:
    if _JSON.match(kind):
        return ()
    whole = resolved(root, schema)
    if is_binary(whole) or (not whole and kind == "application/octet-stream"):
        return ("",)
    return tuple(
        name
        for name, each in resolved(root, whole.get("properties")).items()
        if is_binary(part := resolved(root, each)) or is_binary(resolved(root, part.get("items")))
    )


def _server(
    root: Mapping[str, Json], path_item: Mapping[str, Json], declared: Mapping[str, Json], base: str
) -> tuple[str, dict[str, Variable]]:
    """The address before the path, with its variables' defaults. The first server counts."""
    servers = listed(declared.get("servers")) or listed(path_item.get("servers")) or listed(root.get("servers"))
    server = resolved(root, servers[0]) if servers else {"url": "/"}
    url = str(server.get("url", "/"))
    variables = {
        name: Variable(
            default=str(each.get("default", "")), allowed=tuple(str(one) for one in listed(each.get("enum")))
        )
        for name, inner in resolved(root, server.get("variables")).items()
        if (each := resolved(root, inner))
    }
    if re.match(r"(?i:https?)://|\{", url):
        return url, variables
    if not base:
        raise UserError(
            "no-server",
            f"The document says no absolute address of its service; its server is {url!r}.",
            hint="Write the whole address under `servers`: a document in a file has no place of its own.",
        )
    braces = url.replace("{", "%7B").replace("}", "%7D")
    return urljoin(base, braces).replace("%7B", "{").replace("%7D", "}"), variables


def _responses(root: Mapping[str, Json], declared: Mapping[str, Json], *, modern: bool) -> tuple[dict[str, Json], str]:
    """Status → schema of JSON content, and the media types that a success may have."""
    schemas: dict[str, Json] = {}
    kinds: list[str] = []
    for status, each in resolved(root, declared.get("responses")).items():
        content = resolved(root, resolved(root, each).get("content"))
        if not status.startswith("default") and not status.startswith("2"):
            continue
        kinds += content
        in_json = next((kind for kind in content if _JSON.match(kind)), None)
        if in_json is not None:
            schema = resolved(root, content[in_json]).get("schema")
            schemas[status] = Schemas(root, "response", modern=modern).alone(schema)
    first = [kind for kind in kinds if _JSON.match(kind)]
    return schemas, ", ".join(dict.fromkeys([*first, *kinds]))
