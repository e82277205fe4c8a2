"""Names of the project's own things in what functions declare."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import cast

from orchestrion.core import Declaration, Json


def naming(declaration: Declaration, field: str, known: Collection[str]) -> Declaration:
    """The declaration with the names that a field may have, so that a wrong one is found when the project is read."""
    if not known:
        return declaration
    properties = cast("Mapping[str, Mapping[str, Json]]", declaration.input_schema["properties"])
    names: list[Json] = [*sorted(known)]
    narrowed: dict[str, Json] = {**properties, field: {**properties[field], "enum": names}}
    return replace(declaration, input_schema={**declaration.input_schema, "properties": narrowed})
