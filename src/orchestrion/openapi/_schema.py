"""Schemas of an OpenAPI document as JSON Schema 2020-12 that stands on its own."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, cast

from orchestrion.core import Json, UserError

Side = Literal["request", "response"]

_KEPT_AS_DATA = frozenset({"enum", "const", "default", "examples", "example"})
_DROPPED = frozenset({"nullable", "example", "xml", "externalDocs", "discriminator", "readOnly", "writeOnly"})
_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_SEVERAL = {name: name for name in ("allOf", "anyOf", "oneOf", "prefixItems")} | {"items": "prefixItems"}
"""Lists of schemas, by their names today."""
_DEPTH = 100
_LOOKS_AROUND = re.compile(r"\(\?<?[=!]|\\[1-9]")
"""A pattern that looks around or back may take for ever, and is left to the service to check."""


def pointed(root: Json, reference: str) -> Json:
    """What a reference within the document leads to. Raises: UserError `bad-reference`."""
    if not reference.startswith("#/"):
        raise UserError(
            "bad-reference",
            f"The document refers to {reference!r}, which is outside it.",
            hint="Bundle it into one document first; nothing else is fetched.",
        )
    found = root
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~").replace("%7B", "{").replace("%7D", "}")
        match found:
            case Mapping() if name in found:
                found = found[name]
            case [*items] if name.isdigit() and int(name) < len(items):
                found = items[int(name)]
            case _:
                raise UserError("bad-reference", f"The document refers to {reference!r}, which is not in it.")
    return found


def resolved(root: Json, value: Json) -> Mapping[str, Json]:
    """An object of the document behind its references; empty for what is none."""
    for _ in range(_DEPTH):
        if not isinstance(value, Mapping):
            return {}
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return value
        value = pointed(root, reference)
    raise UserError("bad-reference", "The document's references lead in a circle.")


class Schemas:
    """Translates the schemas of one document, for one direction of travel.

    What is `readOnly` is not required in a request, what is `writeOnly` not in a response.
    """

    def __init__(self, root: Json, side: Side, *, modern: bool) -> None:
        """`modern`: the document is OpenAPI 3.1, whose schemas are JSON Schema already."""
        self._root = root
        self._hidden = "readOnly" if side == "request" else "writeOnly"
        self._modern = modern
        self._names: dict[str, str] = {}
        self._definitions: dict[str, Json] = {}

    def alone(self, schema: Json) -> dict[str, Json]:
        """The schema with everything it refers to under its `$defs`."""
        return self.closed(cast("dict[str, Json]", self.part(schema)))

    def closed(self, schema: Mapping[str, Json]) -> dict[str, Json]:
        """A schema made of parts, with all that they refer to."""
        found = dict(schema)
        if self._definitions:
            found["$defs"] = dict(sorted(self._definitions.items()))
        return found

    def part(self, schema: Json) -> Json:
        """A schema whose references lead to `$defs` of what it will stand in."""
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            target: dict[str, Json] = {"$ref": f"#/$defs/{self._defined(reference)}"}
            if not self._modern or len(schema) == 1:
                return target
            return {**target, **self._own({name: each for name, each in schema.items() if name != "$ref"})}
        return self._own(schema)

    def _defined(self, reference: str) -> str:
        if reference not in self._names:
            last = reference.rpartition("/")[2]
            base = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in last) or "schema"
            taken = set(self._names.values())
            name = next(each for n in range(len(taken) + 1) if (each := base if not n else f"{base}_{n}") not in taken)
            self._names[reference] = name
            self._definitions[name] = self.part(pointed(self._root, reference))
        return self._names[reference]

    def _own(self, schema: Mapping[str, Json]) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for name, value in schema.items():
            if name.startswith("x-") or name in _DROPPED or (name == "pattern" and _LOOKS_AROUND.search(str(value))):
                continue
            if name in _KEPT_AS_DATA:
                found[name] = value
            elif name in _SCHEMAS and isinstance(value, Mapping):
                found[name] = {each: self.part(inner) for each, inner in value.items()}
            elif isinstance(value, Mapping) or (isinstance(value, bool) and name in {"items", "not"}):
                found[name] = self.part(value)
            elif isinstance(value, Sequence) and not isinstance(value, str) and name in _SEVERAL:
                found[_SEVERAL[name]] = [self.part(each) for each in value]
            else:
                found[name] = value
        self._shown_only(found, schema)
        return found if self._modern else _modernised(found, nullable=schema.get("nullable") is True)

    def _shown_only(self, found: dict[str, Json], schema: Mapping[str, Json]) -> None:
        """Fields that the other side alone sends are not required of this one."""
        properties, required = schema.get("properties"), found.get("required")
        if not isinstance(properties, Mapping) or not isinstance(required, Sequence) or isinstance(required, str):
            return
        hidden = {
            name
            for name, each in properties.items()
            if isinstance(each, Mapping) and resolved(self._root, each).get(self._hidden) is True
        }
        kept = [name for name in required if name not in hidden]
        if kept:
            found["required"] = kept
        else:
            del found["required"]


def _modernised(schema: dict[str, Json], *, nullable: bool) -> dict[str, Json]:
    """What JSON Schema says otherwise today. Source: OpenAPI 3.0.4, "Schema Object"; JSON Schema draft 5."""
    for bound in ("Minimum", "Maximum"):
        exclusive = schema.pop(f"exclusive{bound}", None)
        if exclusive is True and bound.lower() in schema:
            schema[f"exclusive{bound}"] = schema.pop(bound.lower())
        elif exclusive is not None and not isinstance(exclusive, bool):
            schema[f"exclusive{bound}"] = exclusive
    if schema.get("type") == "file":
        schema["type"] = "string"
    if nullable and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        values = schema.get("enum")
        if isinstance(values, list) and None not in values:
            schema["enum"] = [*values, None]
    required = schema.get("required")
    if isinstance(required, bool):
        del schema["required"]
    return schema
