"""Operations of Swagger 2.0."""

import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

from orchestrion.core import Json, UserError

from ._draft import Draft, listed, parameters_of, schemes_of
from ._operation import Body, Operation, Origin, Style
from ._schema import Schemas, resolved

_JSON = re.compile(r"application/(?:.*\+)?json\b|text/json\b", re.I)
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_COLLECTIONS: Mapping[str, tuple[Style, bool]] = {
    "csv": ("form", False),
    "multi": ("form", True),
    "ssv": ("spaceDelimited", False),
    "tsv": ("tabDelimited", False),
    "pipes": ("pipeDelimited", False),
}
_ABOUT_PLACE = frozenset({"name", "in", "required", "description", "collectionFormat", "allowEmptyValue", "schema"})


def swagger_operation(
    root: Mapping[str, Json],
    path: str,
    method: str,
    *,
    name: str,
    base: str,
    origin: Origin,
) -> Operation:
    """One operation of a Swagger document. Raises: UserError about what the document lacks."""
    path_item = resolved(root, cast("Mapping[str, Json]", root["paths"]).get(path))
    declared = resolved(root, path_item.get(method))
    draft = Draft(root=root, schemas=Schemas(root, "request", modern=False))
    form: list[Mapping[str, Json]] = []
    for parameter in parameters_of(root, path_item, declared.get("parameters")):
        match parameter.get("in"):
            case "body":
                _body(draft, parameter, _texts(declared.get("consumes", root.get("consumes"))))
            case "formData":
                form.append(parameter)
            case "path" | "query" | "header" as location:
                style, explode = _collection(parameter, str(location))
                draft.parameter(parameter, _schema(parameter), style=style, explode=explode)
            case location:
                raise UserError("bad-api-document", f"A parameter stands in {location!r}, which Swagger does not know.")
    if form:
        _form(draft, form, _texts(declared.get("consumes", root.get("consumes"))))
    return draft.finish(
        declared,
        name=name,
        method=method,
        address=_server(root, declared, base) + path,
        variables={},
        responses=_responses(root, declared),
        accepts=_accepts(_texts(declared.get("produces", root.get("produces")))),
        schemes=schemes_of(root, declared, resolved(root, root.get("securityDefinitions"))),
        origin=origin,
    )


def _collection(parameter: Mapping[str, Json], location: str) -> tuple[Style, bool]:
    if location != "query":
        return "simple", False
    return _COLLECTIONS.get(str(parameter.get("collectionFormat", "csv")), ("form", False))


def _schema(parameter: Mapping[str, Json]) -> dict[str, Json]:
    """A parameter's schema stands in the parameter itself."""
    return {name: value for name, value in parameter.items() if name not in _ABOUT_PLACE}


def _body(draft: Draft, parameter: Mapping[str, Json], consumes: list[str]) -> None:
    name = draft.body_name(str(parameter.get("name", "body")))
    draft.argument(
        name,
        parameter.get("schema"),
        description=parameter.get("description"),
        required=parameter.get("required") is True,
    )
    in_json = next((kind for kind in consumes if _JSON.match(kind)), None)
    draft.body = Body(argument=name, media_type=in_json or (consumes[0] if consumes else "application/json"))


def _form(draft: Draft, fields: list[Mapping[str, Json]], consumes: list[str]) -> None:
    names: list[str] = []
    files: list[str] = []
    for field in fields:
        name = str(field.get("name", ""))
        schema = _schema(field)
        draft.argument(name, schema, description=field.get("description"), required=field.get("required") is True)
        names.append(name)
        if schema.get("type") == "file":
            files.append(name)
    kind = next((each for each in _FORMS if each in consumes), _FORMS[1])
    draft.body = Body(fields=tuple(names), media_type=_FORMS[0] if files else kind, binary=tuple(files))


def _server(root: Mapping[str, Json], declared: Mapping[str, Json], base: str) -> str:
    """`https` is preferred where both are offered."""
    own = urlsplit(base)
    schemes = _texts(declared.get("schemes", root.get("schemes"))) or [own.scheme or "https"]
    host = str(root.get("host") or own.netloc)
    if not host:
        raise UserError(
            "no-server",
            "The document says no `host` of its service.",
            hint="Write it into the document: a document in a file has no place of its own.",
        )
    scheme = "https" if "https" in schemes else schemes[0]
    return f"{scheme}://{host}{str(root.get('basePath') or '').rstrip('/')}"


def _responses(root: Mapping[str, Json], declared: Mapping[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for status, each in resolved(root, declared.get("responses")).items():
        schema = resolved(root, each).get("schema")
        if isinstance(schema, Mapping) and (status.startswith("2") or status == "default"):
            found[status] = Schemas(root, "response", modern=False).alone(schema)
    return found


def _accepts(kinds: list[str]) -> str:
    return ", ".join(dict.fromkeys([*(kind for kind in kinds if _JSON.match(kind)), *kinds]))


def _texts(value: Json) -> list[str]:
    return [each for each in listed(value) if isinstance(each, str)]
