"""Agent files: text in, a definition and findings out."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from pydantic import ValidationError

from orchestrion.core import Json, UserError, digest
from orchestrion.models import (
    Flaw,
    Playbook,
    PlaybookFile,
    Surroundings,
    check_playbook,
    findings_of,
    flaws_of,
    parse_playbook,
)
from orchestrion.openapi import Api, is_address
from orchestrion.spec import Finding, Schema, editor_schema, parse_yaml, to_json

from ._definition import TARGETS, AgentDefinition, AgentTool, McpTarget, OpenApiTarget
from ._examples import Route, example_flaws
from ._fill import names_in, parameters_of
from ._functions import Functions, function_flaws, pinned
from ._offers import expanded, is_known

BAD_AGENT = "bad-agent"
_SCHEMES = ("basic", "bearer", "digest", "oauth2", "oidc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What an agent file may name. None: not known, so that nothing is called a mistake."""

    model: Callable[[str], str | None] | None = None
    """What is wrong with a model's name, such as `Models.check`."""
    connections: Collection[str] | None = None
    workflows: Collection[tuple[str, str, str]] | None = None
    """(namespace, name, version)"""
    playbooks: Mapping[str, PlaybookFile] = field(default_factory=dict[str, PlaybookFile])
    mcp_servers: Collection[str] | None = None
    secrets: Collection[str] | None = None
    document: Callable[[str], Api] | None = None
    """Reads an OpenAPI document of the project. Raises: UserError."""
    name: str | None = None
    """What the agent must be called: as its file is."""
    intents: Callable[[str], Collection[str]] | None = None
    """The labels of a router. Raises: UserError."""
    guards: Collection[str] | None = None
    members: Collection[str] | None = None
    """Agents and teams that may be engaged."""
    functions: Functions | None = None
    """Finds a function of the catalog, such as `Catalog.resolve`."""
    route: Route | None = None
    """What a router says of a text, so that examples can be played."""


def read_agent(text: str | bytes, *, file: str, known: Known) -> tuple[AgentDefinition | None, list[Finding]]:
    """The agent of a file, and everything wrong with it at once. There is none when a finding is an error."""
    source, findings = parse_yaml(text, file=file)
    if source is None:
        return None, findings
    definition, flaws = parse_agent(to_json(source.root), known=known)
    findings = [*findings, *findings_of(source, flaws, BAD_AGENT)]
    if definition is not None:
        for name in _named_playbooks(definition):
            if name in known.playbooks:
                findings.extend(known.playbooks[name].check(_surroundings(definition, known)))
    if definition is not None and not any(finding.severity == "error" for finding in findings):
        flaws = list(example_flaws(definition, _rules_of(definition, known), known.route))
        findings.extend(findings_of(source, flaws, BAD_AGENT))
    errors = [finding for finding in findings if finding.severity == "error"]
    return (None if errors else definition), findings


def parse_agent(value: Json, *, known: Known) -> tuple[AgentDefinition | None, list[Flaw]]:
    """The agent that a document describes, and its flaws at JSON pointers."""
    if not isinstance(value, Mapping):
        return None, [Flaw("", "An agent is an object with `name`, `model`, `tools` and more.")]
    if "playbooks" in value:
        return None, [Flaw("/playbooks", "'playbooks' is not known here.", "Name one in `model`: `playbook:NAME`.")]
    flaws: list[Flaw] = []
    playbook = value.get("playbook")
    if playbook is not None:
        parsed = parse_playbook(playbook, name=str(value.get("name", "")), at="/playbook")
        if not isinstance(parsed, Playbook):
            flaws, value = parsed, {name: member for name, member in value.items() if name != "playbook"}
    digests = {name: digest(_rules(file.playbook)) for name, file in known.playbooks.items()}
    try:
        definition = AgentDefinition.model_validate(value)
    except ValidationError as error:
        return None, [*flaws, *flaws_of(error, value)]
    named = {name: digests[name] for name in _named_playbooks(definition) if name in digests}
    own = definition.playbook.model_copy(update={"name": definition.name}) if definition.playbook else None
    definition = definition.changed(playbooks=named, playbook=own)
    flaws += _Check(definition, known).flaws()
    if flaws:
        return definition, flaws
    tools = expanded(definition.tools, known.document)
    return definition.changed(tools=tuple(pinned(tool, known.functions) for tool in tools)), []


def agent_schema() -> dict[str, Json]:
    """JSON Schema of an agent file, for editors."""
    schema = editor_schema(AgentDefinition)
    properties = cast("dict[str, Json]", schema["properties"])
    kept = {name: member for name, member in properties.items() if name != "playbooks"}
    return {**schema, "properties": kept}


def _properties(schema: Mapping[str, Json] | None) -> Mapping[str, Json]:
    found = schema.get("properties") if schema is not None else None
    return found if isinstance(found, Mapping) else {}


def _rules(playbook: Playbook) -> Json:
    return cast("Json", playbook.model_dump(mode="json", by_alias=True, exclude_defaults=True))


def _rules_of(definition: AgentDefinition, known: Known) -> dict[str, Playbook]:
    """The playbooks among its models, by the model's name."""
    named = {
        f"playbook:{name}": known.playbooks[name].playbook
        for name in _named_playbooks(definition)
        if name in known.playbooks
    }
    own = definition.playbook
    return {**named, **({"playbook": own} if own is not None and "playbook" in definition.model else {})}


def _named_playbooks(definition: AgentDefinition) -> list[str]:
    return [name.removeprefix("playbook:") for name in definition.model if name.startswith("playbook:")]


def _surroundings(definition: AgentDefinition, known: Known) -> Surroundings:
    tools = [_pinned(each, known) for tool in definition.tools for each in _expanded(tool, known)]
    properties = definition.input.get("properties")
    return Surroundings(
        tools={tool.name: tool.chosen if is_known(tool) else None for tool in tools},
        input_fields=[*(properties if isinstance(properties, Mapping) else ()), "panel"],
        output_schema=cast("Mapping[str, Json] | None", definition.output),
        members=known.members,
        intents=known.intents,
        claims=list(definition.claims),
        asks=definition.asks,
    )


def _expanded(tool: AgentTool, known: Known) -> tuple[AgentTool, ...]:
    """What the tool stands for, as far as it can be read: what is wrong with its document is said elsewhere."""
    try:
        return expanded([tool], known.document)
    except UserError:
        return expanded([tool], None)


def _pinned(tool: AgentTool, known: Known) -> AgentTool:
    """As `_expanded`."""
    try:
        return pinned(tool, known.functions)
    except UserError:
        return tool


@dataclass(frozen=True)
class _Check:
    definition: AgentDefinition
    known: Known

    def flaws(self) -> Iterator[Flaw]:
        name = self.definition.name
        if self.known.name not in {None, name}:
            hint = "An agent is called as its file is."
            yield Flaw("/name", f"The agent is called {name!r}, its file {self.known.name!r}.", hint)
        yield from self._schema(self.definition.input, "/input")
        if self.definition.output is not None:
            yield from self._schema(self.definition.output, "/output")
        yield from self._models()
        if self.known.guards is not None and self.definition.guard not in {None, *self.known.guards}:
            listed = ", ".join(sorted(self.known.guards)) or "none"
            hint = f"`guards` in orchestrion.yaml has: {listed}."
            yield Flaw("/guard", f"There is no guard {self.definition.guard!r}.", hint)
        seen = set[str]()
        for index, tool in enumerate(self.definition.tools):
            for each in expanded([tool], None):
                if each.name in seen:
                    yield Flaw(f"/tools/{index}/name", f"There is a tool {each.name!r} already.")
                seen.add(each.name)
            yield from self._tool(tool, f"/tools/{index}")
        for kind, tool in self.definition.claims.items():
            if tool not in seen:
                listed = ", ".join(seen) or "none"
                yield Flaw(f"/claims/{kind}", f"The agent has no tool {tool!r}.", f"Its tools: {listed}.")
        if self.definition.claims and "claims" in _properties(self.definition.output):
            yield Flaw("/output", "The output has a field 'claims', which is where the answer's claims stand.")
        if self.definition.playbook is not None:
            yield from check_playbook(
                self.definition.playbook, _surroundings(self.definition, self.known), at="/playbook"
            )

    def _models(self) -> Iterator[Flaw]:
        for name in self.definition.model:
            wrong = self.known.model(name) if self.known.model else None
            if wrong:
                yield Flaw("/model", wrong)
            if name == "playbook" and self.definition.playbook is None:
                yield Flaw(
                    "/model",
                    "The model is `playbook`, and there are no rules.",
                    "Write them under `playbook:`, or name a file of rules as `playbook:NAME`.",
                )

    def _schema(self, schema: Mapping[str, Json], at: str) -> Iterator[Flaw]:
        try:
            Schema(dict(schema))
        except UserError as error:
            yield Flaw(at, error.message, error.hint)
            return
        if schema.get("type") != "object":
            yield Flaw(at, f"This schema has the type {schema.get('type')!r}.", "Say `type: object`.")

    def _tool(self, tool: AgentTool, here: str) -> Iterator[Flaw]:
        targets = [name for name in TARGETS if getattr(tool, name) is not None]
        if len(targets) != 1:
            given = " and ".join(f"`{name}`" for name in targets) or "none"
            listed = ", ".join(f"`{name}`" for name in TARGETS)
            yield Flaw(here, f"The tool {tool.name!r} needs one of {listed}; it has {given}.")
        if tool.operation is not None:
            yield Flaw(f"{here}/operation", "'operation' is not known here.", "It stands under `openapi`.")
        if not tool.name and tool.openapi is None and tool.mcp is None and tool.function is None:
            yield Flaw(here, "'name' is missing.")
        yield from self._schema(tool.parameters, f"{here}/parameters")
        yield from self._bind(tool, here)
        yield from self._names(tool, here)
        if tool.query is not None:
            yield from self._query(tool, here)
        if tool.openapi is not None:
            yield from self._openapi(tool, tool.openapi, f"{here}/openapi")
        if tool.mcp is not None:
            yield from self._mcp(tool, tool.mcp, f"{here}/mcp")
        if tool.function is not None:
            (named,) = expanded([tool], None)
            yield from function_flaws(named, tool.function, self.known.functions, here)
        if tool.workflow is not None and self.known.workflows is not None:
            wanted = (tool.workflow.namespace, tool.workflow.name, tool.workflow.version)
            if wanted not in self.known.workflows:
                listed = ", ".join(sorted(":".join(each) for each in self.known.workflows)) or "none"
                yield Flaw(f"{here}/workflow", f"There is no workflow {':'.join(wanted)!r}.", f"Known: {listed}.")

    def _bind(self, tool: AgentTool, here: str) -> Iterator[Flaw]:
        properties = self.definition.input.get("properties")
        fields = list(properties) if isinstance(properties, Mapping) else []
        for name, path in tool.bind.items():
            root, _, rest = path.partition(".")
            first = rest.partition(".")[0]
            if root != "input" or not first:
                yield Flaw(f"{here}/bind/{name}", f"{path!r} is not a path in the input.", "Write input.FIELD.")
            elif first not in fields:
                yield Flaw(
                    f"{here}/bind/{name}",
                    f"The agent's input has no field {first!r}.",
                    f"Its fields: {', '.join(fields) or 'none'}.",
                )
            if name in tool.chosen:
                yield Flaw(f"{here}/bind/{name}", f"{name!r} is bound, so it cannot be in `parameters` too.")

    def _names(self, tool: AgentTool, here: str) -> Iterator[Flaw]:
        """Every name that the target uses must be an argument."""
        arguments = {*tool.chosen, *tool.bind}
        used: Sequence[tuple[str, Collection[str]]] = ()
        if tool.query is not None:
            used = [(f"{here}/query/statement", parameters_of(tool.query.statement) - {"idempotency_key"})]
        elif tool.function is not None:
            used = [(f"{here}/function/with", names_in(tool.function.with_))]
        elif tool.http is not None:
            parts: dict[str, Json] = {
                "endpoint": tool.http.endpoint,
                "headers": dict(tool.http.headers),
                "query": dict(tool.http.query),
                "body": tool.http.body,
            }
            used = [(f"{here}/http/{part}", names_in(value)) for part, value in parts.items()]
        for pointer, names in used:
            for name in sorted(set(names) - arguments):
                yield Flaw(
                    pointer,
                    f"The tool {tool.name!r} has no argument {name!r}.",
                    "Declare it under `parameters`, or fill it in under `bind`.",
                )

    def _openapi(self, tool: AgentTool, target: OpenApiTarget, here: str) -> Iterator[Flaw]:
        yield from self._chosen(tool, here, "operation", target.operation, target.include)
        for scheme, given in (target.authentication or {}).items():
            if scheme not in _SCHEMES or set(given) != {"use"}:
                hint = f"Write one of {', '.join(_SCHEMES)}, each with a secret: {{ bearer: {{ use: NAME }} }}."
                yield Flaw(f"{here}/authentication", "This does not say how to authenticate.", hint)
            elif self.known.secrets is not None and given["use"] not in self.known.secrets:
                listed = ", ".join(sorted(self.known.secrets)) or "none"
                message = f"There is no secret {given['use']!r}."
                yield Flaw(f"{here}/authentication/{scheme}/use", message, f"Known: {listed}.")
        if self.known.document is None or is_address(target.document):
            return
        try:
            api = self.known.document(target.document)
        except UserError as error:
            yield Flaw(f"{here}/document", error.message, error.hint)
            return
        places = {name: f"{here}/include/{index}" for index, name in enumerate(target.include)}
        for name in target.include or (target.operation or "",):
            try:
                operation = api.operation(name)
            except UserError as error:
                yield Flaw(places.get(name, f"{here}/operation"), error.message, error.hint)
                continue
            properties = operation.arguments.get("properties")
            for bound in tool.bind:
                if isinstance(properties, Mapping) and bound not in properties:
                    listed = ", ".join(properties) or "none"
                    message = f"The operation {name!r} has no parameter {bound!r}."
                    yield Flaw(f"{here.removesuffix('/openapi')}/bind/{bound}", message, f"It has: {listed}.")

    def _mcp(self, tool: AgentTool, target: McpTarget, here: str) -> Iterator[Flaw]:
        yield from self._chosen(tool, here, "tool", target.tool, target.include)
        if self.known.mcp_servers is not None and target.server not in self.known.mcp_servers:
            listed = ", ".join(sorted(self.known.mcp_servers)) or "none"
            message = f"There is no MCP server {target.server!r} in the settings."
            yield Flaw(f"{here}/server", message, f"Known: {listed}.")

    def _chosen(self, tool: AgentTool, here: str, word: str, one: str | None, several: Sequence[str]) -> Iterator[Flaw]:
        """What the agent may use is named: what another system adds later is not its business."""
        if (one is None) == (not several):
            hint = f"`{word}: NAME` makes one tool, `include: [NAME, …]` one of each."
            yield Flaw(here, f"The tool needs either `{word}` or `include`.", hint)
        if several and tool.name:
            yield Flaw(here, f"The name {tool.name!r} cannot stand for several tools.", "Leave `name` out.")

    def _query(self, tool: AgentTool, here: str) -> Iterator[Flaw]:
        query = tool.query
        assert query is not None  # only called for such tools
        if self.known.connections is not None and query.connection not in self.known.connections:
            listed = ", ".join(sorted(self.known.connections)) or "none"
            yield Flaw(f"{here}/query/connection", f"There is no connection {query.connection!r}.", f"Known: {listed}.")
        reads = re.match(r"\s*(?:select|values|explain)\b", query.statement, re.IGNORECASE) is not None
        if reads and tool.write:
            yield Flaw(f"{here}/write", f"The tool {tool.name!r} says that it writes; its statement only reads.")
        elif not reads and not tool.write and not re.match(r"\s*with\b", query.statement, re.IGNORECASE):
            yield Flaw(
                f"{here}/query/statement",
                f"The statement of {tool.name!r} changes something.",
                "Say so in the tool: `write: true`.",
            )
