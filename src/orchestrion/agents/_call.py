"""A tool call as an invocation: which function, which arguments, with which labels, in whose name."""

from collections.abc import Mapping
from typing import cast

from orchestrion.core import Acting, Datum, Invocation, Json, Labels, merge_labels
from orchestrion.models import lookup
from orchestrion.openapi import Operation, expectation, fitted, request_of

from ._definition import (
    AgentDefinition,
    AgentTool,
    FunctionTarget,
    HttpTarget,
    McpTarget,
    OpenApiTarget,
    QueryTarget,
    WorkflowTarget,
)
from ._fill import filled, filled_address, parameters_of
from ._functions import function_arguments


def tool_invocation(
    definition: AgentDefinition,
    tool: AgentTool,
    chosen: Mapping[str, Json],
    *,
    given: Datum,
    heard: frozenset[str],
    key: str,
    task: str,
) -> Invocation:
    """The call that `tool` means with the arguments a model chose.

    `given` is the agent's input. What the model chose may stem from anything it has `heard`, so it carries these labels; a
    bound argument carries its own. Raises: UserError `bad-argument`.
    """
    arguments = {**chosen, **{name: lookup({"input": given.value}, path) for name, path in tool.bind.items()}}
    labels: dict[str, frozenset[str]] = {name: heard for name in chosen if heard}
    for name, path in tool.bind.items():
        pointer = "".join(f"/{step}" for step in path.split(".")[1:])
        labels[name] = frozenset[str]().union(*given.part(pointer).values())
    function, target = _target(tool, arguments, labels)
    operation = tool.operation
    return Invocation(
        key=key,
        task=task,
        function=function,
        arguments=target,
        acting=Acting(
            principal=("Agent", definition.name),
            action=tool.name,
            arguments=arguments,
            version=definition.version,
            origins={name: _origin(definition, tool, name, labels.get(name, frozenset())) for name in arguments},
        ),
        idempotent=operation.idempotent if operation and tool.idempotent is None else tool.idempotent,
        metadata=expectation(operation) if operation else {},
    )


def _origin(definition: AgentDefinition, tool: AgentTool, argument: str, labels: frozenset[str]) -> str:
    """`bound to input.customerId`, or `chosen by billing, who has heard: untrusted`."""
    if argument in tool.bind:
        said = f"bound to {tool.bind[argument]}"
        return f"{said}, which is {', '.join(sorted(labels))}" if labels else said
    said = f"chosen by {definition.name}"
    return f"{said}, who has heard what is {', '.join(sorted(labels))}" if labels else said


def plain_result(tool: AgentTool, value: Json) -> Json:
    """What a tool gave, without the wrapping of its protocol."""
    if tool.mcp is None or not isinstance(value, Mapping):
        return value
    if "structuredContent" in value:
        return value["structuredContent"]
    content = value.get("content")
    blocks = [each for each in content if isinstance(each, Mapping)] if isinstance(content, list | tuple) else []
    if blocks and all(each.get("type") == "text" for each in blocks):
        return "\n".join(str(each.get("text", "")) for each in blocks)
    return content


def _target(tool: AgentTool, arguments: Mapping[str, Json], labels: Mapping[str, frozenset[str]]) -> tuple[str, Datum]:
    value: dict[str, Json]
    match (tool.query, tool.http, tool.openapi, tool.mcp, tool.workflow, tool.function):
        case (QueryTarget() as query, _, _, _, _, _):
            return "query:1.0.0", _query(query, arguments, labels)
        case (_, HttpTarget() as http, _, _, _, _):
            return "http:1.0.0", _http(http, arguments, labels)
        case (_, _, OpenApiTarget() as openapi, _, _, _) if tool.operation is not None:
            return "http:1.0.0", _operation(tool.operation, openapi, arguments, labels)
        case (_, _, _, McpTarget() as mcp, _, _):
            parameters: Json = {"name": mcp.tool, "arguments": dict(arguments)}
            value = {"server": mcp.server, "method": "tools/call", "parameters": parameters}
            return "mcp:1.0.0", Datum(value, _placed(labels, "/parameters/arguments/"))
        case (_, _, _, _, WorkflowTarget() as workflow, _):
            value = {**workflow.model_dump(), "input": dict(arguments)}
            return "workflow:1.0.0", Datum(value, _placed(labels, "/input/"))
        case (_, _, _, _, _, FunctionTarget() as function):
            return function.name, function_arguments(function, arguments, labels)
        case _:
            raise AssertionError(f"the tool {tool.name} has no target")  # refused when its file is read


def _query(query: QueryTarget, arguments: Mapping[str, Json], labels: Mapping[str, frozenset[str]]) -> Datum:
    names = sorted(parameters_of(query.statement) - {"idempotency_key"})
    value: dict[str, Json] = {
        "connection": query.connection,
        "statement": query.statement,
        "parameters": {name: arguments.get(name) for name in names},
    }
    if query.rows is not None:
        value["rows"] = query.rows
    return Datum(value, _placed({name: labels[name] for name in names if name in labels}, "/parameters/"))


def _http(http: HttpTarget, arguments: Mapping[str, Json], labels: Mapping[str, frozenset[str]]) -> Datum:
    """An argument may be anywhere within the request, so every part of it carries all labels."""
    value: dict[str, Json] = {"method": http.method, "endpoint": filled_address(http.endpoint, arguments)}
    for name, part in (("headers", http.headers), ("query", http.query), ("body", http.body)):
        if part:
            value[name] = filled(dict(part) if isinstance(part, Mapping) else part, arguments)
    every = frozenset[str]().union(*labels.values())
    return Datum(value, {f"/{name}": every for name in value if every and name != "method"})


def _operation(
    operation: Operation,
    target: OpenApiTarget,
    arguments: Mapping[str, Json],
    labels: Mapping[str, frozenset[str]],
) -> Datum:
    """As with `http`, every part of the request carries all labels."""
    value = request_of(operation, fitted(operation, arguments), authentication=cast("Json", target.authentication))
    every = frozenset[str]().union(*labels.values())
    return Datum(value, {f"/{name}": every for name in value if every and name != "method"})


def _placed(labels: Mapping[str, frozenset[str]], at: str) -> Labels:
    return merge_labels([{f"{at}{name}": names} for name, names in labels.items() if names])
