"""What an agent is: the contents of its file."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, PlainSerializer
from pydantic.json_schema import SkipJsonSchema

from orchestrion.core import digest
from orchestrion.models import Playbook
from orchestrion.openapi import Operation
from orchestrion.spec import Schema

from ._answer import with_fields
from ._claims import claims_schema


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Names: TypeAlias = Annotated[
    tuple[str, ...],
    BeforeValidator(_listed, json_schema_input_type=str | Annotated[list[str], Field(min_length=1)]),
    Field(min_length=1),
]
_Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]
_Object: TypeAlias = Mapping[str, JsonValue]
_Labels: TypeAlias = Annotated[frozenset[str], PlainSerializer(sorted, return_type=list[str], when_used="json")]
"""In order, since a set has another one in every process, and the version is a digest."""


TARGETS = ("query", "http", "openapi", "mcp", "workflow", "function")
"""What a tool may be: exactly one of these fields is given."""
NO_PARAMETERS: Mapping[str, JsonValue] = {"type": "object", "properties": {}}


QUESTION: Mapping[str, JsonValue] = {
    "type": "object",
    "required": ["reply", "asks"],
    "properties": {"reply": {"type": "string", "description": "A question."}, "asks": {"const": True}},
}
"""JSON Schema of an answer that asks back."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class QueryTarget(_Part):
    """The tool is one SQL statement. Its `:name` parameters are the tool's arguments, and `:idempotency_key`."""

    connection: str
    statement: str
    rows: int | None = Field(default=None, ge=1)
    """How many rows there may be."""


class HttpTarget(_Part):
    """The tool is one HTTP request. `{name}` in it stands for an argument."""

    method: Literal["get", "head", "post", "put", "patch", "delete", "options"] = "get"
    endpoint: str
    headers: Mapping[str, str] = Field(default_factory=dict)
    query: _Object = Field(default_factory=dict)
    body: JsonValue = None


class OpenApiTarget(_Part):
    """The tool is one operation of an OpenAPI document, or with `include` each of several. Its parameters are the operation's."""

    document: str
    """An address, or a file of the project."""
    operation: str | None = None
    include: tuple[str, ...] = ()
    authentication: Mapping[str, Mapping[str, str]] | None = None
    """A scheme and the secret behind it: `{ bearer: { use: NAME } }`."""


class McpTarget(_Part):
    """The tool is one of an MCP server's, or with `include` each of several. Its parameters are what the server says."""

    server: str
    """A name under `mcp` in the settings."""
    tool: str | None = None
    include: tuple[str, ...] = ()


class WorkflowTarget(_Part):
    """The tool is a workflow. Its input is the tool's arguments, its output the tool's result."""

    namespace: str
    name: str
    version: str


class FunctionShape(_Part):
    """What the catalog says of a function."""

    parameters: _Object
    """JSON Schema of its `with`."""
    composite: bool
    """Whether it is made of other calls, and so may wait for days."""
    made_of: str = ""
    """What tells one text of it from another, where the text is not the platform's own."""


class FunctionTarget(_Part):
    """The tool is a function of the catalog, the project's own ones included."""

    name: str
    """`retrieve:1.0.0`, or `retrieve` for the highest version there is when the file is read."""
    with_: _Object = Field(default_factory=dict, alias="with")
    """What it is called with: constants, and `{name}` for an argument. Left out, the arguments are all of it."""
    shape: SkipJsonSchema[FunctionShape | None] = Field(default=None, repr=False)
    """What the catalog says of it, once it is known. Not written in the file."""


class AgentTool(_Part):
    """Something an agent may do, by the name that policies speak of."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in TARGETS]})

    name: Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_-]{0,63})?$")] = ""
    """A function, and what another system describes, may go without: it is called as it is there."""
    description: str = ""
    """What a language model is told of it."""
    write: bool = False
    """Whether it changes something."""
    idempotent: bool | None = None
    """Whether it may be repeated after a crash. Left out: what the statement or method tells."""
    parameters: _Object = Field(default_factory=lambda: dict(NO_PARAMETERS))
    """JSON Schema of the arguments that the model chooses."""
    bind: Mapping[str, str] = Field(default_factory=dict)
    """Argument → path in the agent's input."""
    labels: _Labels = frozenset()
    """Put on every result."""
    query: QueryTarget | None = None
    http: HttpTarget | None = None
    openapi: OpenApiTarget | None = None
    mcp: McpTarget | None = None
    workflow: WorkflowTarget | None = None
    function: FunctionTarget | None = None
    operation: SkipJsonSchema[Operation | None] = Field(default=None, repr=False)
    """What the document of `openapi` says, once it is known. Not written in the file."""

    @cached_property
    def schema_of_parameters(self) -> Schema:
        return Schema(dict(self.parameters))

    @property
    def waits(self) -> bool:
        """Whether it may take days, so that the agent's turn ends with the call and is resumed with its result."""
        made_of_calls = self.function is not None and self.function.shape is not None and self.function.shape.composite
        return self.workflow is not None or made_of_calls

    @property
    def kind(self) -> str:
        """Which kind of thing it uses: `query`, `http`, … or the name of a function, such as `predict`."""
        if self.function is not None:
            return self.function.name.partition(":")[0]
        return next(name for name in TARGETS if getattr(self, name) is not None)

    @property
    def chosen(self) -> list[str]:
        """The arguments that the model chooses."""
        properties = self.parameters.get("properties")
        return list(properties) if isinstance(properties, Mapping) else []

    @property
    def arguments_schema(self) -> dict[str, JsonValue]:
        """JSON Schema of all arguments, as policies see them; bound ones are known by name only."""
        properties = self.parameters.get("properties")
        required = self.parameters.get("required")
        known: dict[str, JsonValue] = dict(properties) if isinstance(properties, dict) else {}
        return {
            **self.parameters,
            "properties": {**known, **{name: {} for name in self.bind}},
            "required": [*(required if isinstance(required, list) else []), *self.bind],
        }


class AgentExample(_Part):
    """An input and the answer to it."""

    input: _Object
    """What the agent is given."""
    tools: _Object = Field(default_factory=dict)
    """What each tool, or member of its team, gives when it is called."""
    output: _Object
    """What it answers: the fields of `output`, or `{ reply: text }`."""


class Limits(_Part):
    """Bounds on one engagement of an agent."""

    turns: int = Field(default=12, ge=1, le=1000)
    """How often the model may be asked."""
    usd: float | None = Field(default=None, ge=0)
    """What the models may cost in all, where prices are known."""
    seconds: float | None = Field(default=None, gt=0)
    """How long the models may think in all. Tools and people have time limits of their own."""
    conversation: int | None = Field(default=None, ge=100)
    """Tokens of a session (of four characters) beyond which what was said before the last turn is summed up by the model."""


class AgentDefinition(_Part):
    """An agent, as its file says."""

    name: _Name
    """As the file is called."""
    description: str = ""
    """What it is for: colleagues of a team read it."""
    model: _Names = ("playbook",)
    """What answers: a model of the settings, `playbook`, `playbook:NAME`, or `provider:model`. Of several, the next when one fails."""
    instructions: str = ""
    """The system prompt of a language model; a playbook does not read it."""
    input: _Object = Field(default_factory=lambda: {"type": "object"})
    """JSON Schema. The agent receives the fields of its `properties` and no others."""
    output: _Object | None = None
    """JSON Schema of the answer. Without it the answer is `{ reply: text }`."""
    tools: tuple[AgentTool, ...] = ()
    """What it may do."""
    examples: tuple[AgentExample, ...] = ()
    """Inputs and the answers to them. `validate` plays them by the agent's rules; a language model is shown them."""
    limits: Limits = Limits()
    """Bounds on one engagement."""
    labels: _Labels = frozenset()
    """Put on every answer, for policies to see."""
    asks: bool = False
    """Whether it may end a turn with a question back: `{ reply: QUESTION, asks: true }`."""
    claims: Mapping[str, str] = Field(default_factory=dict)
    """Kind of claim → the tool whose result proves it."""
    guard: str | None = None
    """A guard of the settings that every answer must pass before anybody sees it."""
    playbook: Playbook | None = None
    """The rules, where `model` names `playbook`."""
    playbooks: Mapping[str, str] = Field(default_factory=dict, exclude=True, repr=False)
    """Digests of the playbooks it names: they are part of what it does, and so of its version. Not written in the file."""

    @cached_property
    def version(self) -> str:
        """Digest of everything that decides its behaviour. An approval binds to it.

        What is left at its default does not count, so that a field of a later release changes no agent that does without it.
        """
        said = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return digest([said, dict(sorted(self.playbooks.items()))])

    @cached_property
    def input_schema(self) -> Schema:
        return Schema(dict(self.input))

    @cached_property
    def output_fields(self) -> dict[str, JsonValue] | None:
        """JSON Schema of what the model must answer, claims included; None for text."""
        if not self.claims:
            return dict(self.output) if self.output is not None else None
        return with_fields(self.output, {"claims": claims_schema(list(self.claims))})

    @property
    def answer_fields(self) -> dict[str, JsonValue] | None:
        """JSON Schema of what the agent gives: an answer, or a question where it may ask."""
        fields = self.output_fields
        return {"anyOf": [dict(fields), dict(QUESTION)]} if fields is not None and self.asks else fields

    @cached_property
    def output_schema(self) -> Schema | None:
        return Schema(self.output_fields) if self.output_fields is not None else None

    def changed(self, **fields: object) -> "AgentDefinition":
        """The same agent with other values: made anew, because a copy would keep what is cached, such as the version."""
        own = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate({**own, **fields})

    def tool(self, name: str) -> AgentTool:
        return next(tool for tool in self.tools if tool.name == name)
