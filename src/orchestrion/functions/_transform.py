"""`transform`: raw records in, records of one shape out; what does not fit is set aside with the reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from orchestrion.core import (
    Datum,
    Declaration,
    Invocation,
    Json,
    Labels,
    LeafContext,
    Nature,
    Outcome,
    UserError,
    merge_labels,
    move_labels,
)

from ._normalise import RULE_PATTERN, NotNormal, normalise
from ._schema import arguments_of, check_schema, violations

_RULE: Mapping[str, Json] = {"type": "string", "pattern": RULE_PATTERN}

_DECLARATION = Declaration(
    name="transform",
    version="1.0.0",
    title="Validate and normalise records",
    description=(
        "Renames fields, brings what people typed into one form, and checks every record against a JSON Schema. Records "
        "that do not fit stop the task, or are set aside with the reasons in words."
    ),
    input_schema={
        "type": "object",
        "required": ["schema"],
        "oneOf": [{"required": ["records"]}, {"required": ["record"]}],
        "additionalProperties": False,
        "properties": {
            "records": {"type": "array", "description": "The records, objects."},
            "record": {"description": "A single record instead."},
            "schema": {"type": ["object", "boolean"], "description": "JSON Schema of one finished record."},
            "mapping": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": (
                    "New field → the field it is taken from, by name or by JSON pointer. With a mapping, only the "
                    "fields it names remain."
                ),
            },
            "normalise": {
                "type": "object",
                "additionalProperties": {"anyOf": [_RULE, {"type": "array", "items": _RULE}]},
                "description": (
                    "Field (its new name) → what brings it into one form, in order: `trim`, `collapse` (white space), "
                    "`lower`, `upper`, `nfc` (Unicode), `date`, `date-dmy`, `date-mdy` (to 2030-01-31), `cents` "
                    "(1.234,56 € to 123456), `email`, `iban`, `phone`, `phone+49` (numbers without a country are of +49)."
                ),
            },
            "onInvalid": {
                "enum": ["reject", "quarantine"],
                "default": "reject",
                "description": "Whether a record that does not fit stops the task or is set aside.",
            },
        },
    },
    output_schema={
        "type": "object",
        "required": ["records", "quarantined"],
        "properties": {
            "records": {"type": "array", "description": "The finished records, in order."},
            "quarantined": {
                "type": "array",
                "description": "Those set aside: `index` in the input, the `record` as it came, and the `reasons`.",
                "items": {
                    "type": "object",
                    "required": ["index", "record", "reasons"],
                    "properties": {
                        "index": {"type": "integer"},
                        "record": {},
                        "reasons": {"type": "array", "items": {"type": "string"}},
                    },
                },
            },
        },
    },
    effect="none",
    idempotent=True,
)


class Transform:
    """Computes within the process; the same arguments always give the same output."""

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return Nature(effect="none", idempotent=True, resource=("Function", "transform"))

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError `invalid-record` unless records are to be set aside; `bad-schema`."""
        arguments = arguments_of(_DECLARATION, invocation.arguments.value)
        shape = _Shape.of(arguments)
        single = "record" in arguments
        records = [arguments["record"]] if single else cast("Sequence[Json]", arguments["records"])
        batch = _Batch(origin=["/record"] if single else [f"/records/{index}" for index in range(len(records))])
        for index, record in enumerate(records):
            batch.add(index, record, shape)
        if batch.quarantined and arguments.get("onInvalid", "reject") == "reject":
            raise batch.rejection(len(records))
        return Outcome(output=batch.output(invocation.arguments, shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What every record is to become."""

    schema: Json
    mapping: Mapping[str, str] | None
    """New field → JSON pointer of its source."""
    rules: Mapping[str, Sequence[str]]
    """Field → rules in order."""

    @staticmethod
    def of(arguments: Mapping[str, Json]) -> "_Shape":
        check_schema(arguments["schema"])
        mapping = cast("Mapping[str, str] | None", arguments.get("mapping"))
        rules = cast("Mapping[str, str | Sequence[str]]", arguments.get("normalise", {}))
        return _Shape(
            schema=arguments["schema"],
            mapping=None if mapping is None else {target: _pointer(source) for target, source in mapping.items()},
            rules={name: [rule] if isinstance(rule, str) else rule for name, rule in rules.items()},
        )

    def apply(self, record: Json) -> tuple[Json, list[str]]:
        """The finished record, and the reasons why it does not fit (none when it does)."""
        if not isinstance(record, Mapping):
            return record, ["the record must be an object"]
        fields = dict(record) if self.mapping is None else self._mapped(record)
        reasons: dict[str, str] = {}
        for name, rules in self.rules.items():
            try:
                if fields.get(name) is not None:
                    fields[name] = _normalised(rules, fields[name])
            except NotNormal as error:
                reasons[_pointer(name)] = f"{name} {error}"
        broken = [each.sentence for each in violations(self.schema, fields) if each.pointer not in reasons]
        return fields, [*reasons.values(), *broken]

    def _mapped(self, record: Mapping[str, Json]) -> dict[str, Json]:
        assert self.mapping is not None
        found = {target: _at(record, source) for target, source in self.mapping.items()}
        return {target: value[0] for target, value in found.items() if value}

    def labels(self, record: Labels) -> Labels:
        """Labels of a finished record, given those of the record it came from."""
        if self.mapping is None:
            return record
        source = Datum(None, record)
        return merge_labels(move_labels(source.part(at), _pointer(to)) for to, at in self.mapping.items())


class _Batch:
    """Records finished and set aside so far."""

    def __init__(self, *, origin: Sequence[str]) -> None:
        self._origin = origin
        self._finished: list[tuple[int, Json]] = []
        self.quarantined: list[tuple[int, Json, list[str]]] = []

    def add(self, index: int, record: Json, shape: _Shape) -> None:
        finished, reasons = shape.apply(record)
        if reasons:
            self.quarantined.append((index, record, reasons))
        else:
            self._finished.append((index, finished))

    def rejection(self, total: int) -> UserError:
        shown = [f"record {index}: {'; '.join(reasons)}" for index, _, reasons in self.quarantined[:5]]
        more = len(self.quarantined) - len(shown)
        return UserError(
            "invalid-record",
            f"{len(self.quarantined)} of {total} records do not fit. "
            + ". ".join(shown)
            + (f". And {more} more." if more else "."),
            hint="With `onInvalid: quarantine` they are set aside and the others go on.",
        )

    def output(self, arguments: Datum, shape: _Shape) -> Datum:
        value: Json = {
            "records": [record for _, record in self._finished],
            "quarantined": [
                {"index": index, "record": record, "reasons": reasons} for index, record, reasons in self.quarantined
            ],
        }
        return Datum(value, merge_labels(self._labels(arguments, shape)) if arguments.labels else arguments.labels)

    def _labels(self, arguments: Datum, shape: _Shape) -> list[Labels]:
        finished = [
            move_labels(shape.labels(arguments.part(self._origin[index])), f"/records/{position}")
            for position, (index, _) in enumerate(self._finished)
        ]
        aside = [
            move_labels(arguments.part(self._origin[index]), f"/quarantined/{position}/record")
            for position, (index, _, _) in enumerate(self.quarantined)
        ]
        return finished + aside


def _normalised(rules: Sequence[str], value: Json) -> Json:
    for rule in rules:
        value = normalise(rule, value)
    return value


def _pointer(name: str) -> str:
    return name if name.startswith("/") else "/" + name.replace("~", "~0").replace("/", "~1")


def _at(value: Json, pointer: str) -> tuple[Json] | tuple[()]:
    """What stands at a pointer, in a tuple; an empty one where nothing does."""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list | tuple) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return ()
    return (value,)
