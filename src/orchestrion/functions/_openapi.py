"""`openapi`: an operation that a document describes. `describe`: what the document says, recorded."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from orchestrion.core import (
    Clock,
    Datum,
    Declaration,
    Effects,
    Invocation,
    Json,
    LeafContext,
    Nature,
    Outcome,
    UserError,
    sub_labels,
)
from orchestrion.egress import Egress
from orchestrion.openapi import Api, Operation, expectation, fitted, is_address, read_api, request_of

from ._documents import ELSEWHERE, ENDPOINT, Documents, endpoint_of, project_file, reading
from ._fetch import not_described
from ._schema import arguments_of, sentences, violations
from ._tokens import Tokens

_DOCUMENT: Mapping[str, Json] = {
    "type": "object",
    "required": ["endpoint"],
    "additionalProperties": False,
    "description": "Where the OpenAPI or Swagger document is: an address, or a file of the project.",
    "properties": {
        "name": {"type": "string"},
        "endpoint": ENDPOINT,
    },
}

_DESCRIBE = Declaration(
    name="describe",
    version="1.0.0",
    title="Read what a service offers",
    description=(
        "Reads operations from an OpenAPI 3.1, OpenAPI 3.0 or Swagger 2.0 document. What it says is recorded, with the "
        "document's digest, so that a call made from it can be understood later without the document. A document from the "
        "network is asked for again after five minutes."
    ),
    input_schema={
        "type": "object",
        "required": ["document", "operations"],
        "additionalProperties": False,
        "properties": {
            "document": _DOCUMENT,
            "operations": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "description": "Which operations: their `operationId`, or `method /path` for one that has none.",
            },
        },
    },
    output_schema={"type": "object", "description": "Operation → its method, address, parameters and schemas."},
    effect="read",
    idempotent=True,
    output_labels=frozenset({"untrusted"}),
)

_OPENAPI = Declaration(
    name="openapi",
    version="1.0.0",
    title="Call an operation of an OpenAPI document",
    description=(
        "Finds the operation in the document, checks the parameters against its schema before anything is sent, and makes "
        "the request with `http`, which policy decides about. A request body is given as the parameter `body`. An answer "
        "that does not fit its schema is used all the same, and reported in the record as `unexpected`."
    ),
    input_schema={
        "type": "object",
        "required": ["document", "operationId"],
        "additionalProperties": False,
        "properties": {
            "document": _DOCUMENT,
            "operationId": {
                "type": "string",
                "minLength": 1,
                "description": "The operation's id, or `method /path` for one that has none.",
            },
            "parameters": {"type": "object", "description": "The operation's parameters by name, and `body`."},
            "authentication": {
                "type": "object",
                "description": (
                    "basic, bearer, digest, oauth2 or oidc. The token of `bearer` is sent as the API key where the document "
                    "wants one."
                ),
            },
            "output": {
                "enum": ["content", "raw", "response"],
                "default": "content",
                "description": "The deserialised body, the body in base64, or the whole response.",
            },
            "redirect": {
                "type": "boolean",
                "default": False,
                "description": "Follow redirects; otherwise they are errors.",
            },
        },
    },
    output_schema={"description": "What `http` gives for the request."},
    effect="write",
    idempotent=False,
    output_labels=frozenset({"untrusted"}),
)


class Describe:
    """The leaf that reads documents. A file stands below `root`; nothing else is read."""

    def __init__(self, egress: Egress, tokens: Tokens, clock: Clock, *, root: Path | None) -> None:
        self._documents = Documents(egress, tokens, clock, lambda text, address: read_api(text, base=address))
        self._root = root

    @property
    def declaration(self) -> Declaration:
        return _DESCRIBE

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return reading("describe", _place(arguments.get("document"))[0])

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError `bad-api-document`, `unknown-operation`, `no-such-document` and others about the document;
        Faulted `document-unavailable`; PolicyDenied `egress-refused`; TransientError.
        """
        arguments = arguments_of(_DESCRIBE, invocation.arguments.value)
        place, policy = _place(arguments["document"])
        api = await (
            self._documents.fetched(place, policy, context.secrets)
            if is_address(place)
            else asyncio.to_thread(read_project_document, self._root, place)
        )
        operations = [api.operation(str(name)) for name in cast("list[Json]", arguments["operations"])]
        described: dict[str, Json] = {
            str(name): cast("Json", operation.model_dump(mode="json"))
            for name, operation in zip(cast("list[Json]", arguments["operations"]), operations, strict=True)
        }
        output = Datum(described)
        return Outcome(
            output=output.labelled(*_DESCRIBE.output_labels) if is_address(place) else output,
            why={"api": f"{api.origin.title} {api.origin.version}".strip(), "document": api.origin.digest},
        )


class OpenApi:
    """A composite: `describe` finds the operation, `http` calls it. Both stand in the record."""

    @property
    def declaration(self) -> Declaration:
        return _OPENAPI

    async def run(self, invocation: Invocation, effects: Effects) -> Outcome:
        """Raises: UserError `bad-arguments`, `bad-operation-arguments`; Faulted with what `describe` or `http` met."""
        arguments = arguments_of(_OPENAPI, invocation.arguments.value)
        name = str(arguments["operationId"])
        described = await effects.invoke(
            Invocation(
                key=f"{invocation.key}/describe",
                task=invocation.task,
                function="describe:1.0.0",
                arguments=Datum(
                    {"document": arguments["document"], "operations": [name]},
                    {f"/document{path}": names for path, names in invocation.arguments.part("/document").items()},
                ),
            )
        )
        found = cast("Mapping[str, Json]", described.output.value)
        if effects.run.dry and name not in found:
            raise not_described(f"the document of {name!r}")
        operation = Operation.model_validate(found[name])
        given = checked(operation, cast("Mapping[str, Json]", arguments.get("parameters") or {}))
        labels = sub_labels(invocation.arguments.labels, "/parameters")
        every = described.output.every_label().union(*labels.values())
        request = request_of(
            operation,
            given,
            authentication=arguments.get("authentication"),
            output=cast("str | None", arguments.get("output")),
            redirect=cast("bool | None", arguments.get("redirect")),
        )
        return await effects.invoke(
            Invocation(
                key=f"{invocation.key}/request",
                task=invocation.task,
                function="http:1.0.0",
                arguments=Datum(request, {f"/{part}": every for part in request if every and part != "method"}),
                idempotent=operation.idempotent if invocation.idempotent is None else invocation.idempotent,
                catches_interrupted=invocation.catches_interrupted,
                metadata=expectation(operation),
            )
        )


def checked(operation: Operation, given: Mapping[str, Json]) -> dict[str, Json]:
    """Arguments that fit the operation. Raises: UserError `bad-operation-arguments` that names each that does not."""
    variables = {name: value for name, value in given.items() if name in operation.variables}
    arguments = fitted(operation, {name: value for name, value in given.items() if name not in variables})
    found = violations(cast("Json", dict(operation.arguments)), arguments)
    if found:
        properties = cast("Mapping[str, Json]", operation.arguments.get("properties", {}))
        required = cast("list[str]", operation.arguments.get("required", []))
        known = ", ".join(f"{name} (needed)" if name in required else name for name in properties)
        raise UserError(
            "bad-operation-arguments",
            f"The parameters of {operation.id!r} do not fit: {sentences(found)}. Nothing was sent.",
            hint=f"It takes: {known}." if known else "It takes none.",
        )
    return {**arguments, **variables}


def read_project_document(root: Path | None, place: str) -> Api:
    """The document of a file below `root`. Raises: UserError `no-such-document`, `bad-api-document`."""
    file = project_file(root, place)
    if file is None:
        raise UserError("no-such-document", f"{place!r} is not a file of the project.", hint=ELSEWHERE)
    try:
        return read_api(file.read_bytes())
    except OSError as error:
        raise UserError(
            "no-such-document",
            f"The document {place!r} cannot be read: {error.strerror}.",
            hint="The path starts at the project's folder.",
        ) from None


def _place(document: Json) -> tuple[str, Json]:
    """Where a document is, and how to authenticate there."""
    return endpoint_of(document.get("endpoint") if isinstance(document, Mapping) else None)
