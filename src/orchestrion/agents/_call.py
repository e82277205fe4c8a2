"""A tool call as an invocation: which function, which arguments, with which labels, in whose name."""

from collections.abc import Mapping

from orchestrion.core import Acting, Datum, Invocation, Json, Labels, merge_labels
from orchestrion.models import lookup

from ._definition import AgentDefinition, AgentTool, HttpTarget, QueryTarget, WorkflowTarget
from ._fill import filled, filled_address, parameters_of


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
    return Invocation(
        key=key,
        task=task,
        function=function,
        arguments=target,
        acting=Acting(
            principal=("Agent", definition.name), action=tool.name, arguments=arguments, version=definition.version
        ),
        idempotent=tool.idempotent,
    )


def _target(tool: AgentTool, arguments: Mapping[str, Json], labels: Mapping[str, frozenset[str]]) -> tuple[str, Datum]:
    match (tool.query, tool.http, tool.workflow):
        case (QueryTarget() as query, _, _):
            return "query:1.0.0", _query(query, arguments, labels)
        case (_, HttpTarget() as http, _):
            return "http:1.0.0", _http(http, arguments, labels)
        case (_, _, WorkflowTarget() as workflow):
            value: dict[str, Json] = {**workflow.model_dump(), "input": dict(arguments)}
            return "workflow:1.0.0", Datum(value, _placed(labels, "/input/"))
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


def _placed(labels: Mapping[str, frozenset[str]], at: str) -> Labels:
    return merge_labels([{f"{at}{name}": names} for name, names in labels.items() if names])
