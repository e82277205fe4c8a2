"""A Python function as a function of the catalog: its type hints are what it takes and gives."""

import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar, cast, get_type_hints

from anyio import CapacityLimiter, to_thread
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from orchestrion.core import (
    ERROR_TYPES,
    Datum,
    Declaration,
    Faulted,
    Invocation,
    Json,
    LeafContext,
    Nature,
    OrchestrionError,
    Outcome,
    Problem,
    UserError,
    dump,
)

from ._schema import arguments_of, check_schema
from ._statement import IDEMPOTENCY_KEY

F = TypeVar("F", bound=Callable[..., object])
THREADS = 8
"""How many calls of one function that is not async run at once; the others queue."""
_DECLARED = "orchestrion_declares"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    effect: Literal["read", "write"] = "write"
    idempotent: bool = False
    labels: frozenset[str] = frozenset()


def declares(
    *,
    effect: Literal["read", "write"] = "write",
    idempotent: bool | None = None,
    labels: frozenset[str] | set[str] = frozenset(),
) -> Callable[[F], F]:
    """Says of a Python function what its type hints cannot: whether it changes something, and may be called again.

    None can say that it has no effect at all: then policies would not be asked about the code of others.
    Without it, a function counts as one that writes and must not be repeated. `idempotent` is true of what does not write, and
    false otherwise, unless said. `labels` are put on every output: `untrusted` for what comes from outside.
    """
    harmless = effect != "write" if idempotent is None else idempotent

    def declare(function: F) -> F:
        setattr(function, _DECLARED, _Declared(effect=effect, idempotent=harmless, labels=frozenset(labels)))
        return function

    return declare


class PythonFunction:
    """A leaf around a function of an installed package. One that is not async runs in a thread, and cannot be stopped there."""

    def __init__(self, function: Callable[..., object], *, name: str, version: str, made_of: str) -> None:
        """Raises: UserError `bad-python-function`, ValidationError and others for hints that are no types of JSON."""
        self._function = function
        self.made_of = made_of
        """The package and its version."""
        self._takes_key = IDEMPOTENCY_KEY in inspect.signature(function).parameters
        self._names, self._arguments = _arguments(function, f"{name}:{version}")
        self._result: TypeAdapter[object] = TypeAdapter(_hints(function)["return"])
        self._threads: CapacityLimiter | None = None
        self._declaration = _declaration(function, self._arguments, self._result, name=name, version=version)
        for schema in (self._declaration.input_schema, self._declaration.output_schema):
            check_schema(schema)

    @property
    def declaration(self) -> Declaration:
        return self._declaration

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        declaration = self._declaration
        return Nature(
            effect=declaration.effect,
            idempotent=declaration.idempotent,
            resource=("Function", declaration.name),
        )

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError `bad-arguments`; what the function raises of our families; Faulted `function-raised`, `bad-result`."""
        given = invocation.arguments
        arguments = arguments_of(self._declaration, given.value)
        try:
            fitting = self._arguments.model_validate_json(dump(arguments))
        except ValidationError as error:
            raise self._misfit(error) from None
        called = {
            name: getattr(fitting, field) for field, name in self._names.items() if field in fitting.model_fields_set
        }
        if self._takes_key:
            called[IDEMPOTENCY_KEY] = context.idempotency_key
        output = Datum(self._output(await self._call(called)))
        labels = given.every_label() | self._declaration.output_labels
        return Outcome(output=output.labelled(*labels) if labels else output, why={"package": self.made_of})

    async def _call(self, arguments: Mapping[str, object]) -> object:
        try:
            if inspect.iscoroutinefunction(self._function):
                return await cast("Callable[..., Any]", self._function)(**arguments)
            if self._threads is None:
                self._threads = CapacityLimiter(THREADS)
            work = partial(self._function, **arguments)
            return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)
        except OrchestrionError:
            raise
        except Exception as error:
            raise self._raised(error) from error

    def _output(self, result: object) -> Json:
        try:
            self._result.validate_python(result)
            return cast("Json", self._result.dump_python(result, mode="json", by_alias=True))
        except Exception as error:  # serializers are code of the package too
            raise Faulted(
                Problem(
                    type=ERROR_TYPES["runtime"],
                    status=500,
                    title="Bad result",
                    code="bad-result",
                    detail=f"{self._declaration.id!r} gave a {type(result).__name__}, which is not what its type hint says.",
                    hint="It was performed. Correct the function's type hint, or what it returns.",
                )
            ) from error

    def _misfit(self, error: ValidationError) -> UserError:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'the whole'}: {each['msg']}"
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        )
        return UserError("bad-arguments", f"The `with` of {self._declaration.id} does not fit its type hints: {wrong}.")

    def _raised(self, error: Exception) -> Faulted:
        """An exception by its type and place alone: its text may quote data."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return Faulted(
            Problem(
                type=ERROR_TYPES["runtime"],
                status=500,
                title="Function raised",
                code="function-raised",
                detail=f"{self._declaration.id!r} of {self.made_of} raised a {type(error).__name__} at {frame.filename}:{frame.lineno}.",
                hint="Whether it had an effect before is not known. A UserError or TransientError says more than that.",
            )
        )


def _hints(function: Callable[..., object]) -> dict[str, Any]:
    hints = get_type_hints(function, include_extras=True)
    if "return" not in hints:
        raise UserError("bad-python-function", "It does not say what it returns.", hint="Add a type hint: `-> NAME`.")
    return hints


def _arguments(function: Callable[..., object], id_: str) -> tuple[dict[str, str], type[BaseModel]]:
    """Field → parameter, and the model of all parameters. Fields have names of their own, for a model has methods."""
    hints = _hints(function)
    names: dict[str, str] = {}
    fields: dict[str, Any] = {}
    for index, (name, parameter) in enumerate(inspect.signature(function).parameters.items()):
        if name == IDEMPOTENCY_KEY:
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise UserError(
                "bad-python-function", f"Its parameter {name!r} has no name to call it by.", hint="Write each one out."
            )
        if name not in hints:
            raise UserError(
                "bad-python-function", f"Its parameter {name!r} has no type.", hint=f"Write `{name}: TYPE`."
            )
        names[f"p{index}"] = name
        # A factory marks it as one that may be left out; the function's own default is then the one that counts.
        required = parameter.default is parameter.empty
        field = Field(alias=name) if required else Field(alias=name, default_factory=lambda: None)
        fields[f"p{index}"] = (hints[name], field)
    return names, create_model(id_, __config__=ConfigDict(extra="forbid"), **fields)


def _declaration(
    function: Callable[..., object], arguments: type[BaseModel], result: TypeAdapter[object], *, name: str, version: str
) -> Declaration:
    said: _Declared = getattr(function, _DECLARED, _Declared())
    text = inspect.getdoc(function) or ""
    return Declaration(
        name=name,
        version=version,
        title=text.partition("\n")[0].rstrip(".") or name,
        description=text or f"The Python function {name!r}.",
        input_schema={
            key: value
            for key, value in cast("dict[str, Json]", arguments.model_json_schema()).items()
            if key != "title"
        },
        output_schema=cast("dict[str, Json]", result.json_schema(mode="serialization")),
        effect=said.effect,
        idempotent=said.idempotent,
        output_labels=said.labels,
    )
