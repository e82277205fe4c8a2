"""Tools that another system describes: expanded when the file is read, described when the engagement begins."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from orchestrion.core import Acting, Datum, Effects, Invocation, Json, UserError, digest
from orchestrion.openapi import Api, Operation, is_address
from orchestrion.spec import Schema

from ._definition import NO_PARAMETERS, AgentDefinition, AgentTool, McpTarget, OpenApiTarget

_LONGEST_DESCRIPTION = 2000


def expanded(tools: Sequence[AgentTool], document: Callable[[str], Api] | None) -> tuple[AgentTool, ...]:
    """One tool for each thing that may be used. What a file of the project describes is described at once.

    Raises: UserError about a document or an operation.
    """
    return tuple(each for tool in tools for each in _several(tool, document))


def is_late(tool: AgentTool) -> bool:
    """Whether only the other system can say what the tool takes."""
    return (tool.openapi is not None and tool.operation is None) or tool.mcp is not None


def is_known(tool: AgentTool) -> bool:
    """Whether the file, or a document of the project, says what the tool takes."""
    late = is_late(tool) or (tool.function is not None and tool.function.shape is None and not tool.function.with_)
    return not late or dict(tool.parameters) != NO_PARAMETERS


async def described(
    definition: AgentDefinition, invocation: Invocation, effects: Effects, *, base: str, as_agent: bool
) -> tuple[AgentDefinition, frozenset[str]]:
    """The agent with every tool described, and the labels of what described them. Recorded: a walk asks once.

    Raises: Faulted when another system does not answer; UserError `unknown-tool`, `bad-tool-schema`.
    """
    late = [tool for tool in definition.tools if is_late(tool)]
    if not late:
        return definition, frozenset()
    offers: dict[str, _Offer] = {}
    labels = frozenset[str]()
    for tool in late:
        source = _source(tool)
        if source in offers:
            continue
        function, arguments = _question(tool, late)
        outcome = await effects.invoke(
            Invocation(
                key=f"{base}/offers/{len(offers)}",
                task=invocation.task,
                function=function,
                arguments=Datum(arguments),
                acting=_acting(definition, function, arguments) if as_agent else None,
            )
        )
        if effects.run.dry and not outcome.output.value:
            raise UserError(
                "description-not-asked",
                f"A dry run does not ask what the tools of {definition.name!r} take.",
                hint="Mock what the task gives, or keep the description as a file of the project.",
            )
        found = outcome.output.every_label()
        offers[source] = _Offer(cast("Mapping[str, Json]", outcome.output.value), trusted=not found)
        labels |= found
    tools = tuple(_described(tool, offers[_source(tool)]) if is_late(tool) else tool for tool in definition.tools)
    return definition.changed(tools=tools), labels


@dataclass(frozen=True, slots=True)
class _Offer:
    """What another system says it has."""

    value: Mapping[str, Json]
    trusted: bool
    """Whether the settings say to believe what it says of its tools: then its words carry no label."""


def _several(tool: AgentTool, document: Callable[[str], Api] | None) -> list[AgentTool]:
    if tool.openapi is not None:
        target = tool.openapi
        api = document(target.document) if document is not None and not is_address(target.document) else None
        return [
            _of_operation(
                _named(tool, name, openapi=target.model_copy(update={"operation": name, "include": ()})),
                api.operation(name) if api else None,
            )
            for name in target.include or (target.operation or "",)
        ]
    if tool.mcp is not None:
        target = tool.mcp
        return [
            _named(tool, name, mcp=target.model_copy(update={"tool": name, "include": ()}))
            for name in target.include or (target.tool or "",)
        ]
    return [tool if tool.function is None else _named(tool, tool.function.name.partition(":")[0])]


def _named(tool: AgentTool, name: str, **target: OpenApiTarget | McpTarget) -> AgentTool:
    """The tool under its own name, or one made of what it is called where it comes from."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64]
    plain = plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"[:64]
    return tool.model_copy(update={"name": tool.name or plain, **target})


def _of_operation(tool: AgentTool, operation: Operation | None) -> AgentTool:
    """What the document says, where the file says nothing itself."""
    if operation is None:
        return tool
    return tool.model_copy(
        update={
            "operation": operation,
            "description": tool.description or _short(operation.description),
            "parameters": _chosen(tool, cast("Mapping[str, Json]", operation.arguments)),
        }
    )


def _chosen(tool: AgentTool, schema: Mapping[str, Json]) -> Mapping[str, Json]:
    """The schema of what the model chooses: without what is bound. The file's own schema, if it has one, is narrower."""
    if dict(tool.parameters) != NO_PARAMETERS:
        return cast("Mapping[str, Json]", tool.parameters)
    properties, required = schema.get("properties"), schema.get("required")
    kept = {n: v for n, v in properties.items() if n not in tool.bind} if isinstance(properties, Mapping) else {}
    needed = [n for n in required if n not in tool.bind] if isinstance(required, list | tuple) else []
    return {**schema, "type": "object", "properties": kept, "required": needed}


def _source(tool: AgentTool) -> str:
    if tool.openapi is not None:
        return digest(["openapi", tool.openapi.document, cast("Json", tool.openapi.authentication)])
    assert tool.mcp is not None  # one of both, or it would not be late
    return digest(["mcp", tool.mcp.server])


def _question(tool: AgentTool, late: Sequence[AgentTool]) -> tuple[str, dict[str, Json]]:
    """What to ask the other system: for all tools that come from it."""
    if tool.openapi is None:
        assert tool.mcp is not None  # as above
        return "mcp:1.0.0", {"server": tool.mcp.server, "method": "tools/list"}
    target = tool.openapi
    together = [each.openapi.operation for each in late if each.openapi and _source(each) == _source(tool)]
    endpoint: Json = target.document
    if target.authentication:
        endpoint = {"uri": target.document, "authentication": cast("Json", target.authentication)}
    return "describe:1.0.0", {"document": {"endpoint": endpoint}, "operations": list(dict.fromkeys(together))}


def _acting(definition: AgentDefinition, function: str, arguments: Mapping[str, Json]) -> Acting:
    return Acting(
        principal=("Agent", definition.name),
        action=function.partition(":")[0],
        arguments=arguments,
        version=definition.version,
    )


def _described(tool: AgentTool, offer: _Offer) -> AgentTool:
    if tool.openapi is not None:
        operation = Operation.model_validate(offer.value[str(tool.openapi.operation)])
        return _sound(_of_operation(tool, operation))
    assert tool.mcp is not None  # as above
    tools = [cast("Mapping[str, Json]", each) for each in cast("Sequence[Json]", offer.value.get("tools", ()))]
    found = next((each for each in tools if each.get("name") == tool.mcp.tool), None)
    if found is None:
        names = ", ".join(str(each.get("name"))[:80] for each in tools[:12])
        raise UserError(
            "unknown-tool",
            f"The MCP server {tool.mcp.server!r} offers no tool {tool.mcp.tool!r} now.",
            hint=f"It offers: {names}." if names else "It offers none.",
        )
    schema = found.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    for bound in tool.bind:
        if not isinstance(properties, Mapping) or bound not in properties:
            raise UserError(
                "unknown-tool-argument",
                f"The tool {tool.mcp.tool!r} of the MCP server {tool.mcp.server!r} takes no {bound!r} now, which the agent's file binds.",
                hint="Correct `bind`: without it the model would choose.",
            )
    return _sound(
        tool.model_copy(
            update={
                "description": tool.description or _short(str(found.get("description") or "")),
                "parameters": _chosen(tool, schema if isinstance(schema, Mapping) else {}),
                "idempotent": True
                if tool.idempotent is None and offer.trusted and _harmless(found)
                else tool.idempotent,
            }
        )
    )


def _harmless(offered: Mapping[str, Json]) -> bool:
    """Whether the server says that calling the tool again changes nothing."""
    hints = offered.get("annotations")
    return isinstance(hints, Mapping) and (hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True)


def _sound(tool: AgentTool) -> AgentTool:
    try:
        Schema(dict(tool.parameters))
    except UserError as error:
        raise UserError(
            "bad-tool-schema",
            f"What the other system says the tool {tool.name!r} takes is no usable JSON Schema: {error.message}",
            hint="Write the tool's `parameters` into the agent's file yourself.",
        ) from None
    return tool


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_DESCRIPTION else text[: _LONGEST_DESCRIPTION - 1] + "…"
