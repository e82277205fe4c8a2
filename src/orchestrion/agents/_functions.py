"""Functions of the catalog as tools: known when the agent's file is read, and called with what the model chose."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import cast

from orchestrion.core import Datum, Function, Json, Sourced, UserError, dump, is_composite, parse
from orchestrion.models import Flaw
from orchestrion.spec import Schema

from ._definition import NO_PARAMETERS, AgentTool, FunctionShape, FunctionTarget
from ._fill import filled, names_in, slot_of

Functions = Callable[[str], Function]
"""The function of `name` or `name:version`. Raises: UserError `unknown-function`."""
_TOGETHER = ("agent", "team")
"""Functions that would let agents call each other without end."""


def pinned(tool: AgentTool, functions: Functions | None) -> AgentTool:
    """The tool with the version of its function, and with what the function says where the file says nothing.

    Raises: UserError `unknown-function`.
    """
    target = tool.function
    if target is None or functions is None:
        return tool
    function = functions(target.name)
    declaration = function.declaration
    shape = FunctionShape.model_validate(
        {
            "parameters": declaration.input_schema,
            "composite": is_composite(function),
            "made_of": function.made_of if isinstance(function, Sourced) else "",
        },
    )
    own = dict(tool.parameters) == NO_PARAMETERS and not target.with_
    return tool.model_copy(
        update={
            "description": tool.description or declaration.description,
            "write": declaration.effect == "write",
            "parameters": _without(declaration.input_schema, tool.bind) if own else tool.parameters,
            "function": target.model_copy(update={"name": declaration.id, "shape": shape}),
        }
    )


def function_arguments(
    target: FunctionTarget, arguments: Mapping[str, Json], labels: Mapping[str, frozenset[str]]
) -> Datum:
    """The `with` of the call, each field with the labels of the arguments in it.

    A field that is one argument alone is left out when the model did not give it. Raises: UserError `bad-argument`.
    """
    said = target.with_ or {name: f"{{{name}}}" for name in arguments}
    kept = {name: place for name, place in said.items() if (only := slot_of(place)) is None or only in arguments}
    value = cast("dict[str, Json]", filled(kept, arguments))
    if target.shape is not None:
        found = _schema(dump(cast("Json", target.shape.parameters))).violations(value)
        if found:
            wrong = "; ".join(f"{each.pointer or 'the whole'}: {each.message}" for each in found)
            raise UserError("bad-argument", f"The arguments do not fit {target.name!r}: {wrong}")
    named = {
        f"/{name}": frozenset[str]().union(*(labels.get(each, frozenset()) for each in names_in(place)))
        for name, place in kept.items()
    }
    return Datum(value, {pointer: names for pointer, names in named.items() if names})


def function_flaws(tool: AgentTool, target: FunctionTarget, functions: Functions | None, here: str) -> Iterator[Flaw]:
    """What cannot work, as far as the catalog can tell. `here` is the place of the tool."""
    if target.shape is not None:
        yield Flaw(f"{here}/function/shape", "'shape' is not known here.", key=True)
        return
    if target.name.partition(":")[0] in _TOGETHER:
        hint = "Agents work together in a team, where depth, turns and cost are bounded."
        yield Flaw(f"{here}/function/name", f"An agent cannot call {target.name!r} as a tool.", hint)
        return
    if functions is None:
        return
    try:
        declaration = functions(target.name).declaration
    except UserError as error:
        yield Flaw(f"{here}/function/name", error.message, error.hint)
        return
    if tool.write and declaration.effect != "write":
        yield Flaw(f"{here}/write", f"The tool {tool.name!r} says that it writes; {declaration.id!r} changes nothing.")
    yield from _fields(tool, target, declaration.input_schema, here)


def _fields(tool: AgentTool, target: FunctionTarget, schema: Mapping[str, Json], here: str) -> Iterator[Flaw]:
    """Fields that the function does not know, lacks, or could not take."""
    properties = schema.get("properties")
    known: Mapping[str, Json] = properties if isinstance(properties, Mapping) else {}
    chosen = list(known) if dict(tool.parameters) == NO_PARAMETERS else tool.chosen
    given = list(target.with_) or [*chosen, *tool.bind]
    listed = f"It takes: {', '.join(known) or 'nothing'}."
    for name in given:
        if name not in known and (schema.get("additionalProperties") is False or name in tool.bind):
            yield Flaw(_place(tool, target, name, here), f"The function {target.name!r} takes no {name!r}.", listed)
    for name, value in target.with_.items():
        if name in known and not names_in(value):
            for found in _schema(dump(known[name])).violations(value):
                pointer = f"{here}/function/with/{name}{found.pointer}"
                yield Flaw(pointer, f"The function {target.name!r} does not take this: {found.message}.")
    required = schema.get("required")
    for name in required if isinstance(required, list | tuple) else ():
        if name not in given:
            yield Flaw(f"{here}/function", f"The function {target.name!r} needs {name!r}.", listed)
    if target.with_:
        for name in sorted({*tool.chosen, *tool.bind} - names_in(target.with_)):
            yield Flaw(
                f"{here}/function/with",
                f"The argument {name!r} of the tool {tool.name!r} goes nowhere.",
                f"Write {{{name}}} where the function shall have it, or leave the argument out.",
            )


def _place(tool: AgentTool, target: FunctionTarget, name: str, here: str) -> str:
    if target.with_:
        return f"{here}/function/with/{name}"
    return f"{here}/bind/{name}" if name in tool.bind else f"{here}/parameters"


def _without(schema: Mapping[str, Json], bound: Mapping[str, str]) -> dict[str, Json]:
    """The schema of what the model chooses: without what is bound."""
    properties, required = schema.get("properties"), schema.get("required")
    kept = {n: v for n, v in properties.items() if n not in bound} if isinstance(properties, Mapping) else {}
    needed = [n for n in required if n not in bound] if isinstance(required, list | tuple) else []
    return cast("dict[str, Json]", parse(dump({**schema, "properties": kept, "required": needed})))


@lru_cache(maxsize=256)
def _schema(text: str) -> Schema:
    return Schema(parse(text))
