"""JSON Schemas for editors, made of the types that read a file: docstrings of fields become descriptions."""

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from orchestrion.core import Json


def editor_schema(model: type[BaseModel]) -> dict[str, Json]:
    """JSON Schema of a file that `model` reads, with what its fields are for."""
    schema = cast("dict[str, Json]", model.model_json_schema(by_alias=True, schema_generator=_Described))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


class _Described(GenerateJsonSchema):
    def model_schema(self, schema: Any) -> dict[str, Any]:
        """A model with the docstrings of its fields."""
        found = super().model_schema(schema)
        model = cast("type[BaseModel]", schema["cls"])
        properties = cast("dict[str, Any]", found.get("properties", {}))
        for name, text in _said(model).items():
            field = model.model_fields.get(name)
            written = (field.alias or name) if field is not None else name
            if written in properties:
                properties[written].setdefault("description", text)
        return found


@cache
def _said(model: type[BaseModel]) -> dict[str, str]:
    """Field → what stands in quotes below it, as far as the source is there."""
    found: dict[str, str] = {}
    for each in reversed([base for base in model.__mro__ if issubclass(base, BaseModel) and base is not BaseModel]):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        except OSError:
            continue
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for field, after in pairwise(statements):
            match field, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                    found[name] = " ".join(text.split())
                case _:
                    pass
    return found
