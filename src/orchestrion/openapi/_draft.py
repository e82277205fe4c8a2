"""An operation as it is put together: arguments under names of their own, whatever the dialect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from orchestrion.core import Json

from ._operation import Body, Location, Operation, Origin, Parameter, Scheme, Style, Variable
from ._schema import Schemas, resolved

_NOT_FOR_CALLERS = frozenset({"accept", "content-type", "authorization"})
"""Header parameters that a document cannot declare. Source: OpenAPI 3.1.1, "Parameter Object"."""
_ONCE = "idempotency-key"


@dataclass(slots=True, kw_only=True)
class Draft:
    """Gathers what callers give; the dialects know where it stands in a document."""

    root: Mapping[str, Json]
    schemas: Schemas
    properties: dict[str, Json] = field(default_factory=dict[str, Json])
    required: list[str] = field(default_factory=list[str])
    parameters: list[Parameter] = field(default_factory=list[Parameter])
    body: Body | None = None
    idempotent: bool | None = None

    def parameter(
        self,
        declared: Mapping[str, Json],
        schema: Json,
        *,
        style: Style,
        explode: bool,
        as_json: bool = False,
    ) -> None:
        """Take a parameter up, unless it is one that the platform fills in."""
        name, location = str(declared.get("name", "")), cast("Location", declared.get("in"))
        if location == "header" and name.lower() == _ONCE:
            self.idempotent = True
            return
        if location == "header" and name.lower() in _NOT_FOR_CALLERS:
            return
        argument = name if name not in self.properties else f"{location}_{name}"
        needed = declared.get("required") is True or location == "path"
        self.argument(argument, schema, description=declared.get("description"), required=needed)
        self.parameters.append(
            Parameter(
                argument=argument,
                name=name,
                location=location,
                style=style,
                explode=explode,
                allow_reserved=declared.get("allowReserved") is True,
                as_json=as_json,
            )
        )

    def argument(self, name: str, schema: Json, *, description: Json, required: bool) -> None:
        part = self.schemas.part(schema)
        if isinstance(description, str) and isinstance(part, Mapping) and "description" not in part:
            part = {**part, "description": description}
        self.properties[name] = part
        if required:
            self.required.append(name)

    def body_name(self, wanted: str) -> str:
        return wanted if wanted not in self.properties else "requestBody"

    def finish(
        self,
        declared: Mapping[str, Json],
        *,
        name: str,
        method: str,
        address: str,
        variables: Mapping[str, Variable],
        responses: Mapping[str, Json],
        accepts: str,
        schemes: Sequence[Sequence[Scheme]],
        origin: Origin,
    ) -> Operation:
        """The operation with everything its arguments refer to."""
        said = declared.get("x-idempotent")
        arguments = self.schemas.closed(
            {
                "type": "object",
                "properties": self.properties,
                "required": list(self.required),
                "additionalProperties": False,
            }
        )
        texts = (declared.get("summary"), declared.get("description"))
        return Operation.model_validate(
            {
                "id": name,
                "method": method,
                "address": address,
                "description": "\n".join(dict.fromkeys(text for text in texts if isinstance(text, str) and text)),
                "parameters": self.parameters,
                "body": self.body,
                "arguments": arguments,
                "variables": variables,
                "responses": responses,
                "accepts": accepts,
                "schemes": tuple(tuple(each) for each in schemes),
                "idempotent": said if isinstance(said, bool) else self.idempotent,
                "origin": origin,
            }
        )


def parameters_of(root: Mapping[str, Json], path_item: Mapping[str, Json], declared: Json) -> list[Mapping[str, Json]]:
    """The parameters of an operation; its own replace those of its path with the same name and place."""
    found: dict[tuple[Json, Json], Mapping[str, Json]] = {}
    for several in (path_item.get("parameters"), declared):
        for each in listed(several):
            parameter = resolved(root, each)
            found[(parameter.get("in"), parameter.get("name"))] = parameter
    return list(found.values())


def schemes_of(root: Mapping[str, Json], declared: Mapping[str, Json], known: Mapping[str, Json]) -> list[list[Scheme]]:
    """The alternatives in which an operation may be authenticated."""
    wanted = declared.get("security", root.get("security"))
    return [
        [_scheme(name, resolved(root, known.get(name))) for name in each]
        for each in listed(wanted)
        if isinstance(each, Mapping)
    ]


def _scheme(name: str, declared: Mapping[str, Json]) -> Scheme:
    kind = declared.get("type")
    if kind == "apiKey":
        return Scheme.model_validate(
            {"name": name, "kind": "apiKey", "location": declared.get("in"), "parameter": declared.get("name")}
        )
    if kind == "http":
        word = str(declared.get("scheme", "")).lower()
        return Scheme(name=name, kind="basic" if word == "basic" else "bearer" if word == "bearer" else "other")
    if kind == "basic":
        return Scheme(name=name, kind="basic")
    return Scheme(name=name, kind="oauth2" if kind in ("oauth2", "openIdConnect") else "other")


def listed(value: Json) -> Sequence[Json]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def is_binary(schema: Mapping[str, Json]) -> bool:
    """Whether a schema stands for bytes. Source: OpenAPI 3.1.1, "Working with Binary Data"."""
    return (
        schema.get("type") == "file"
        or schema.get("format") == "binary"
        or ("contentMediaType" in schema and "contentEncoding" not in schema and schema.get("type") in (None, "string"))
    )
