"""JSON Schemas of documents and functions, compiled once."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import cast

import jsonschema_rs

from orchestrion.core import Json, UserError

from ._template import pointer_step

_REFERENCE = "Write what it refers to under its `$defs`; nothing is fetched."


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One way in which a value breaks its schema. The value itself is not shown."""

    pointer: str
    """Where in the value."""
    keyword: str
    """The schema's keyword that is broken: `type`, `required` ..."""
    message: str


class Schema:
    """A JSON Schema (2020-12 unless `$schema` says otherwise). References to other documents are refused, never fetched."""

    __slots__ = ("_validator", "document")

    def __init__(self, document: Json) -> None:
        """Raises: UserError `bad-schema` for what is not a JSON Schema."""
        if not isinstance(document, dict | bool):
            raise UserError("bad-schema", "A JSON Schema is an object or a boolean.")
        self.document = cast("Json", document)
        try:
            self._validator = jsonschema_rs.validator_for(
                cast("dict[str, object]", document),
                mask="the value",
                retriever=_refuse,
                pattern_options=jsonschema_rs.RegexOptions(),
            )
        except jsonschema_rs.ValidationError as error:
            if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Referencing):
                raise UserError("bad-schema", "The JSON Schema refers to what is not in it.", hint=_REFERENCE) from None
            at = "".join(pointer_step(step) for step in error.instance_path)
            raise UserError("bad-schema", f"This is not a JSON Schema: at {at!r}, {error.message}.") from None
        except (ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0]
            raise UserError("bad-schema", f"This is not a usable JSON Schema: {reason}.") from None

    def accepts(self, value: Json) -> bool:
        return self._validator.is_valid(value)

    def violations(self, value: Json, *, limit: int = 10) -> list[Violation]:
        """The first `limit` ways in which `value` breaks the schema; empty when it is valid."""
        return [] if self.accepts(value) else list(islice(self._violations(value), limit))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and other.document == self.document

    def __hash__(self) -> int:
        return hash(repr(self.document))

    def __repr__(self) -> str:
        return f"Schema({self.document!r})"

    def _violations(self, value: Json) -> Iterator[Violation]:
        for error in self._validator.iter_errors(value):
            pointer = "".join(pointer_step(step) for step in error.instance_path)
            keyword = str(error.schema_path[-1]) if error.schema_path else ""
            yield Violation(pointer=pointer, keyword=keyword, message=error.message)


def _refuse(uri: str, /) -> bool:
    raise ValueError(f"{uri!r} is not fetched")
