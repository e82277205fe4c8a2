"""`definition`: what a function is that a catalog or an address defines, read once and recorded."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from orchestrion.core import (
    Clock,
    Datum,
    Declaration,
    Invocation,
    Json,
    LeafContext,
    Nature,
    Outcome,
    UserError,
    digest,
)
from orchestrion.egress import Egress
from orchestrion.openapi import is_address
from orchestrion.spec import read_function

from ._documents import ELSEWHERE, ENDPOINT, Documents, endpoint_of, project_file, reading
from ._schema import arguments_of
from ._tokens import Tokens

MOST_BYTES = 131_072
"""Of a definition: it is kept in the record of every run that calls it."""
_MOST_SAID = 3

_DECLARATION = Declaration(
    name="definition",
    version="1.0.0",
    title="Read the definition of a function",
    description=(
        "Reads a function that a catalog or an address defines: a task with its input and output. `call: name:version@catalog` "
        "and `call: https://…` do it by themselves, once in a run: what was read is recorded with its digest, and holds to the "
        "run's end. A definition from the network is asked for again after five minutes. It has at most 128 KiB."
    ),
    input_schema={
        "type": "object",
        "additionalProperties": False,
        "oneOf": [{"required": ["endpoint"]}, {"required": ["catalog", "function", "version"]}],
        "properties": {
            "endpoint": {**ENDPOINT, "description": "Where the definition is: an address, or a file of the project."},
            "catalog": {**ENDPOINT, "description": "The root of a catalog: an address, or a folder of the project."},
            "function": {"type": "string", "minLength": 1, "description": "The function's name in the catalog."},
            "version": {"type": "string", "minLength": 1, "description": "Its version."},
        },
    },
    output_schema={
        "type": "object",
        "description": "The definition, its SHA-256, and where it was.",
        "required": ["definition", "digest", "address"],
        "properties": {
            "definition": {"type": "object"},
            "digest": {"type": "string"},
            "address": {"type": "string"},
        },
    },
    effect="read",
    idempotent=True,
    output_labels=frozenset({"untrusted"}),
)


class Definition:
    """The leaf that reads them. A file stands below `root`; nothing else is read."""

    def __init__(self, egress: Egress, tokens: Tokens, clock: Clock, *, root: Path | None) -> None:
        self._documents = Documents(egress, tokens, clock, _sound, max_bytes=MOST_BYTES)
        self._root = root

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return reading("definition", definition_place(arguments)[0])

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError `bad-function`, `no-such-function`; Faulted `document-unavailable`; PolicyDenied
        `egress-refused`; TransientError.
        """
        address, policy = definition_place(arguments_of(_DECLARATION, invocation.arguments.value))
        far = is_address(address)
        found = await (
            self._documents.fetched(address, policy, context.secrets)
            if far
            else asyncio.to_thread(read_project_definition, self._root, address)
        )
        output = Datum({"definition": found, "digest": digest(found), "address": address})
        return Outcome(output=output.labelled(*_DECLARATION.output_labels) if far else output)


def definition_place(arguments: Mapping[str, Json]) -> tuple[str, Json]:
    """Where a definition is, and how to authenticate there. A catalog holds it at `functions/NAME/VERSION/function.yaml`."""
    catalog = arguments.get("catalog")
    address, policy = endpoint_of(arguments.get("endpoint") if catalog is None else catalog)
    if catalog is None:
        return address, policy
    name, version = quote(str(arguments.get("function")), safe=""), quote(str(arguments.get("version")), safe="+")
    return f"{address.rstrip('/')}/functions/{name}/{version}/function.yaml", policy


def read_project_definition(root: Path | None, place: str) -> Json:
    """The definition in a file below `root`. Raises: UserError `no-such-function`, `bad-function`."""
    file = project_file(root, place)
    if file is None:
        raise UserError("no-such-function", f"{place!r} is not a file of the project.", hint=ELSEWHERE)
    try:
        text = file.read_bytes()
    except OSError as error:
        raise UserError(
            "no-such-function",
            f"The function's definition {place!r} cannot be read: {error.strerror}.",
            hint="A catalog holds it at `functions/NAME/VERSION/function.yaml`, below its folder.",
        ) from None
    if len(text) > MOST_BYTES:
        raise _bad(place, f"it has more than {MOST_BYTES:,} bytes", "Call smaller functions from it.")
    return _sound(text, place)


def _sound(text: bytes, address: str) -> Json:
    """The definition of a text. Raises: UserError `bad-function` that says where it is wrong."""
    reading = read_function(text, name="function", file=address)
    errors = [finding for finding in reading.findings if finding.severity == "error"]
    if errors:
        said = " ".join(
            f"{each.line}:{each.column} [{each.code}] {each.message}{f' {each.hint}' if each.hint else ''}"
            for each in errors[:_MOST_SAID]
        )
        raise _bad(address, said, "It is one task, and sees nothing of the workflow's `use`.")
    return reading.json


def _bad(address: str, why: str, hint: str) -> UserError:
    return UserError("bad-function", f"The function at {address!r} cannot be used: {why}", hint=hint)
