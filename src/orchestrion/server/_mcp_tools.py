"""Agents, teams and workflows as tools, and runs as what tools answer."""

from collections.abc import Mapping
from typing import Any, cast

from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations

from orchestrion.app import Partner, Settled, answer_text
from orchestrion.core import Json, OrchestrionError, RunStatus, UserError, dump, problem_of

RUN_META = "orchestrion/run"
PROBLEM_META = "orchestrion/problem"
_WHOLE = "input"
"""The field that takes the whole input of a workflow whose input is no object: a tool's arguments always are one."""
_SESSION: Mapping[str, Json] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "description": "A conversation of this name is kept: what was said in it before is known.",
}
_WAITS: Mapping[str, Json] = {
    "type": "array",
    "description": "What people are asked.",
    "items": {
        "type": "object",
        "properties": {"id": {"type": "string"}, "title": {"type": "string"}, "role": {"type": ["string", "null"]}},
    },
}
_PENDING: Mapping[str, Json] = {
    "type": "object",
    "description": "The run goes on: ask `run-status` for it.",
    "required": ["pending"],
    "additionalProperties": False,
    "properties": {
        "pending": {
            "type": "object",
            "required": ["run", "status", "waits_for"],
            "properties": {"run": {"type": "string"}, "status": {"type": "string"}, "waits_for": _WAITS},
        }
    },
}
_RUN_GIVEN: dict[str, Any] = {
    "type": "object",
    "required": ["run"],
    "additionalProperties": False,
    "properties": {"run": {"type": "string", "minLength": 1, "maxLength": 100, "description": "A run's id."}},
}
STATUS = Tool(
    name="run-status",
    title="Wait for a run",
    description=(
        "Waits until a run has ended or asks people something, and tells its status and its output; "
        "after some time it tells how far the run is."
    ),
    input_schema=_RUN_GIVEN,
    output_schema={
        "type": "object",
        "required": ["run", "status"],
        "properties": {
            "run": {"type": "string"},
            "status": {"enum": [status.value for status in RunStatus]},
            "output": {"description": "Once it has completed."},
            "problem": {"description": "Why it failed."},
            "waits_for": _WAITS,
        },
    },
    annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
)
CANCEL = Tool(
    name="run-cancel",
    title="Cancel a run",
    description="Stops a run, with everything it started. What it has done already stays done.",
    input_schema=_RUN_GIVEN,
    output_schema=STATUS.output_schema,
    annotations=ToolAnnotations(
        read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
    ),
)


def tool_name(whom: Partner) -> str:
    """`agents_billing` for `agents/billing`: what clients take as a name of a tool. Names of partners have no underscores."""
    return whom.name.replace("/", "_")


def tool_of(whom: Partner) -> Tool:
    """A partner as a tool. Input and output are objects, as revisions before 2026-07-28 want them."""
    output = whom.output if whom.output is not None and _is_object(whom.output) else None
    return Tool(
        name=tool_name(whom),
        title=whom.name,
        description=whom.description or f"Runs the {whom.kind} {whom.name}.",
        input_schema=_input(whom),
        output_schema={"type": "object", "anyOf": [_alone(output, whom), _PENDING]} if output is not None else None,
    )


def _input(whom: Partner) -> dict[str, Any]:
    if _is_whole(whom):
        field = _alone(whom.input, whom)
        return {"type": "object", "required": [_WHOLE], "additionalProperties": False, "properties": {_WHOLE: field}}
    schema: dict[str, Any] = {**whom.input, "type": "object"}
    if _takes_session(whom):
        schema["properties"] = {**_properties(whom), "session": _SESSION}
    return schema


def _alone(schema: Mapping[str, Json], whom: Partner) -> Mapping[str, Json]:
    """Within another schema, with what it refers to still found in it."""
    return {"$id": f"urn:orchestrion:{whom.name}", **schema} if '"$ref"' in dump(schema) else schema


def _is_object(schema: Mapping[str, Json]) -> bool:
    """Whether it lets objects through alone."""
    ways = schema.get("anyOf")
    if isinstance(ways, list | tuple):
        return all(isinstance(each, Mapping) and _is_object(each) for each in ways)
    return schema.get("type") == "object"


def _is_whole(whom: Partner) -> bool:
    return whom.input.get("type", "object") != "object"


def _takes_session(whom: Partner) -> bool:
    return whom.kind != "workflow" and "session" not in _properties(whom)


def _properties(whom: Partner) -> Mapping[str, Json]:
    found = whom.input.get("properties")
    return found if isinstance(found, Mapping) else {}


def given_of(whom: Partner, arguments: Mapping[str, Any]) -> Json:
    """The input of a run. Raises: UserError `bad-tool-arguments`."""
    if _is_whole(whom):
        if set(arguments) != {_WHOLE}:
            raise UserError("bad-tool-arguments", f"The tool takes one argument, {_WHOLE!r}.")
        return arguments[_WHOLE]
    session = arguments.get("session") if _takes_session(whom) else None
    if session is not None and not isinstance(session, str):
        raise UserError("bad-tool-arguments", "`session` must be text.")
    fields = {name: value for name, value in arguments.items() if session is None or name != "session"}
    return whom.given(None, fields, session=session)


def run_given(tool: Tool, arguments: Mapping[str, Any]) -> str:
    """The run that is meant. Raises: UserError `bad-tool-arguments`."""
    run = arguments.get("run")
    if set(arguments) != {"run"} or not isinstance(run, str):
        raise UserError("bad-tool-arguments", f"`{tool.name}` takes one argument, `run`: a run's id.")
    return run


# --- what is answered ---


def settled_result(whom: Partner, found: Settled) -> CallToolResult:
    """The output; or what is to be known of a run that goes on, or failed."""
    run = found.run
    meta = {RUN_META: run.id}
    if run.status is RunStatus.COMPLETED:
        structured = run.output if isinstance(run.output, Mapping) else None
        return _said(answer_text(run.output), structured, meta)
    if run.status.ended:
        return CallToolResult(
            content=[TextContent(text=_failure(found))], is_error=True, _meta={**meta, PROBLEM_META: run.problem}
        )
    pending: Json = {"run": run.id, "status": run.status.value, "waits_for": _waits_for(found)}
    has_schema = tool_of(whom).output_schema is not None
    return _said(f"{_going_on(found)} `run-status` waits for it.", {"pending": pending} if has_schema else None, meta)


def status_result(found: Settled) -> CallToolResult:
    """A run as it is: also one that failed is a fact, and no failure to look."""
    run = found.run
    told: dict[str, Json] = {"run": run.id, "status": run.status.value}
    if run.status is RunStatus.COMPLETED:
        told["output"] = run.output
    elif run.status.ended:
        told["problem"] = run.problem
    else:
        told["waits_for"] = _waits_for(found)
    return _said(dump(told), told, {RUN_META: run.id})


def failed(error: OrchestrionError) -> CallToolResult:
    """What could not be done, in words that say how it could."""
    problem = problem_of(error)
    words = " ".join(part for part in (error.message, problem.hint) if part)
    return CallToolResult(content=[TextContent(text=words)], is_error=True, _meta={PROBLEM_META: problem.to_json()})


def _said(text: str, structured: Json, meta: Mapping[str, Json]) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], structured_content=structured, _meta=dict(meta))


def _waits_for(found: Settled) -> Json:
    return [{"id": each.id, "title": each.question.title, "role": each.question.role} for each in found.waits_for]


def _going_on(found: Settled) -> str:
    if found.waits_for:
        titles = "; ".join(each.question.title for each in found.waits_for)
        return f"The run {found.run.id} waits for a person: {titles}."
    return f"The run {found.run.id} takes longer, and goes on."


def _failure(found: Settled) -> str:
    problem = cast("Mapping[str, Json]", found.run.problem or {})
    why = ", ".join(str(problem[name]) for name in ("title", "detail", "hint") if problem.get(name))
    return f"The run {found.run.id} is {found.run.status.value}{f': {why}' if why else ''}."
