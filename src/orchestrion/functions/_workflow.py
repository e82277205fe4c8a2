"""`workflow`: another workflow, as an agent's tool calls it."""

from collections.abc import Mapping
from typing import cast

from orchestrion.core import ChildStart, Datum, Declaration, Effects, Invocation, Json, Outcome, sub_labels

_DECLARATION = Declaration(
    name="workflow",
    version="1.0.0",
    title="Run a workflow",
    description=(
        "Starts a workflow of the project, waits for its end and gives its output. Agents call it through a tool with "
        "`workflow:`; in a workflow, write `run: { workflow: … }`."
    ),
    input_schema={
        "type": "object",
        "required": ["namespace", "name", "version"],
        "additionalProperties": False,
        "properties": {
            "namespace": {"type": "string", "minLength": 1, "description": "The workflow's namespace."},
            "name": {"type": "string", "minLength": 1, "description": "The workflow's name."},
            "version": {"type": "string", "minLength": 1, "description": "Which version of it."},
            "input": {"description": "The workflow's input."},
        },
    },
    output_schema={"description": "The workflow's output."},
    effect="write",
    idempotent=True,
)


class Workflow:
    """A composite over one child run, which begins once however often it is walked."""

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    async def run(self, invocation: Invocation, effects: Effects) -> Outcome:
        """Raises: Faulted with the child's problem."""
        arguments = cast("Mapping[str, Json]", invocation.arguments.value)  # validated against the input schema
        start = ChildStart(
            namespace=cast("str", arguments["namespace"]),
            name=cast("str", arguments["name"]),
            version=cast("str", arguments["version"]),
            input=Datum(arguments.get("input"), sub_labels(invocation.arguments.labels, "/input")),
        )
        output = await effects.child(f"{invocation.key}/child", invocation.task, start)
        return Outcome(output=output)
