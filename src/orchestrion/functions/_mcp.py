"""`mcp`: one request to an MCP server, over streamable HTTP or to a process that is started for it."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, cast

from orchestrion.core import (
    Datum,
    Declaration,
    Invocation,
    Json,
    LeafContext,
    Nature,
    Outcome,
    PolicyDenied,
    Secrets,
    UserError,
)
from orchestrion.egress import Egress
from orchestrion.project import McpServer
from orchestrion.spec import duration_of

from ._credentials import header_credentials
from ._http import host_of
from ._schema import arguments_of, fields_of
from ._tokens import Tokens

if TYPE_CHECKING:
    from ._mcp_session import Address, Process

_NEEDS: Mapping[str, str | None] = {
    "tools/list": None,
    "tools/call": "name",
    "prompts/list": None,
    "prompts/get": "name",
    "resources/list": None,
    "resources/read": "uri",
    "resources/templates/list": None,
}
"""Method → the parameter it cannot do without."""

_VERSION = "2025-06-18"
"""What a call with a transport speaks unless it says otherwise. Source: Open Workflow DSL 1.0.3, "MCP Call"."""

_DECLARATION = Declaration(
    name="mcp",
    version="1.0.0",
    title="Ask an MCP server",
    description=(
        "Sends one request to a Model Context Protocol server: over streamable HTTP, or to a process of the settings that is "
        "started for the request and ended with it. Before a tool is called, the server's "
        "list of tools is read, and the arguments are checked against the tool's schema; the result is checked against the "
        "schema the server promises. A tool that says it failed is an error, with what it said beside it."
    ),
    input_schema={
        "type": "object",
        "required": ["method"],
        "additionalProperties": False,
        "oneOf": [{"required": ["transport"]}, {"required": ["server"]}],
        "properties": {
            "method": {"enum": list(_NEEDS), "description": "What to ask for."},
            "parameters": {"type": "object", "description": "Its parameters, such as `name` and `arguments`."},
            "transport": {
                "type": "object",
                "required": ["http"],
                "additionalProperties": False,
                "description": "Where the server is.",
                "properties": {
                    "http": {
                        "type": "object",
                        "required": ["endpoint"],
                        "properties": {
                            "endpoint": {"type": ["string", "object"]},
                            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                        },
                    }
                },
            },
            "server": {"type": "string", "description": "A server of the project's settings, in place of `transport`."},
            "timeout": {"type": ["object", "string"], "description": "How long all of it may take."},
            "protocolVersion": {
                "type": "string",
                "description": "The protocol version to speak; otherwise it is agreed.",
            },
            "client": {
                "type": "object",
                "required": ["name", "version"],
                "description": "What to call this client.",
                "properties": {"name": {"type": "string"}, "version": {"type": "string"}},
            },
        },
    },
    output_schema={
        "type": "object",
        "description": (
            "The method's result: `{ content, structuredContent }` of a tool, `{ tools }`, `{ contents }` of a resource, "
            "`{ messages }` of a prompt. Lists are read to their end."
        ),
    },
    effect="write",
    idempotent=False,
    output_labels=frozenset({"untrusted"}),
)


class Mcp:
    """A leaf. Calling a tool may change something; everything else reads."""

    def __init__(
        self,
        egress: Egress,
        tokens: Tokens,
        servers: Mapping[str, McpServer],
        *,
        processes: Collection[Sequence[str]] = (),
        root: Path | None = None,
    ) -> None:
        """`processes` are the commands that may be started, `root` is where they are."""
        self._egress = egress
        self._tokens = tokens
        self._servers = servers
        self._processes = {tuple(command) for command in processes}
        self._root = root

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        """Raises: UserError `unknown-mcp-server`."""
        calls = arguments.get("method") == "tools/call"
        return Nature(
            effect="write" if calls else "read",
            idempotent=not calls,
            resource=self._resource(arguments),
        )

    def _resource(self, arguments: Mapping[str, Json]) -> tuple[str, str]:
        name = arguments.get("server")
        if isinstance(name, str) and self._server(name).command is not None:
            return "Process", name
        return "Host", host_of(self._address(arguments)[0])

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError `unknown-tool`, `bad-tool-arguments`, `missing-parameter` and others; PolicyDenied
        `egress-refused`; TransientError `timed-out`, `mcp-unavailable`, `mcp-connection-lost`; Faulted `mcp-refused`,
        `mcp-unauthorized`, `mcp-tool-failed`, `mcp-bad-answer`, `mcp-input-required`; of a process UserError `mcp-not-started`
        and PolicyDenied `process-refused`.
        """
        from ._mcp_session import McpRequest, McpSettings, converse  # brings the protocol's library with it

        arguments = arguments_of(_DECLARATION, invocation.arguments.value)
        method, parameters = _request(arguments)
        client = cast("Mapping[str, str]", arguments.get("client") or {})
        version = arguments.get("protocolVersion", None if "server" in arguments else _VERSION)
        result = await converse(
            McpRequest(method=method, parameters=parameters),
            McpSettings(
                place=self._place(arguments, context.secrets),
                timeout_s=self._timeout(arguments),
                version=version if isinstance(version, str) else None,
                client=(client["name"], client["version"]) if client else None,
            ),
            self._egress,
        )
        trusted = self._trusted(arguments)
        output = Datum(result.value)
        return Outcome(
            output=output if trusted and method == "tools/list" else output.labelled(*_DECLARATION.output_labels),
            why={"server": result.server, "protocol": result.protocol},
        )

    def _place(self, arguments: Mapping[str, Json], secrets: Secrets) -> "Address | Process":
        from ._mcp_session import Address, Process  # as above

        name = arguments.get("server")
        if isinstance(name, str) and (command := self._server(name).command) is not None:
            if command not in self._processes:
                raise PolicyDenied(
                    "process-refused",
                    f"The command of the MCP server {name!r} is not allowed.",
                    hint="It must stand in `processes.allow`, word for word.",
                )
            environment = {
                variable: value if isinstance(value, str) else _text_of(value.secret, secrets)
                for variable, value in self._server(name).environment.items()
            }
            return Process(name=name, command=command, environment=environment, folder=self._root)
        url, policy, headers = self._address(arguments)
        return Address(url=url, headers=headers, credentials=header_credentials(policy, secrets, self._tokens))

    def _address(self, arguments: Mapping[str, Json]) -> tuple[str, Json, Mapping[str, str]]:
        """The server's address, how to authenticate there, and the headers to send."""
        name = arguments.get("server")
        if isinstance(name, str):
            server = self._server(name)
            return server.url or "", cast("Json", server.authentication), server.headers
        found = fields_of(fields_of(arguments.get("transport")).get("http"))
        endpoint = found.get("endpoint")
        headers = cast("Mapping[str, str]", found.get("headers") or {})
        if isinstance(endpoint, Mapping):
            return str(endpoint.get("uri", "")), endpoint.get("authentication"), headers
        return str(endpoint or ""), None, headers

    def _server(self, name: str) -> McpServer:
        if name not in self._servers:
            near = get_close_matches(name, self._servers, n=1)
            listed = ", ".join(sorted(self._servers)) or "none"
            raise UserError(
                "unknown-mcp-server",
                f"There is no MCP server {name!r} in orchestrion.yaml.",
                hint=f"Did you mean {near[0]!r}?" if near else f"`mcp` has: {listed}.",
            )
        return self._servers[name]

    def _trusted(self, arguments: Mapping[str, Json]) -> bool:
        name = arguments.get("server")
        return isinstance(name, str) and self._server(name).trust

    def _timeout(self, arguments: Mapping[str, Json]) -> float:
        if "timeout" in arguments:
            return duration_of(arguments["timeout"]).seconds
        name = arguments.get("server")
        return self._server(name).timeout_s if isinstance(name, str) else self._egress.timeout_s


def _text_of(secret: str, secrets: Secrets) -> str:
    found = secrets.get(secret)
    if not isinstance(found, str):
        raise UserError("secret-not-text", f"The secret {secret!r} must be text to be a variable of a process.")
    return found


def _request(arguments: Mapping[str, Json]) -> tuple[str, Mapping[str, Json]]:
    method = str(arguments["method"])
    parameters = cast("Mapping[str, Json]", arguments.get("parameters") or {})
    needed = _NEEDS[method]
    if needed is not None and not isinstance(parameters.get(needed), str):
        raise UserError(
            "missing-parameter",
            f"`{method}` needs the parameter {needed!r}, as text.",
            hint="Add it under `parameters`.",
        )
    return method, parameters
