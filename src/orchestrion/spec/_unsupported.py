"""What the standard has and this release does not run: refused where it stands, with what to do instead."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Refusal(NamedTuple):
    what: str
    instead: str


_OFF = "It is off: processes run only where an operator allows the exact command. Call a function or an http service."

UNSUPPORTED: Mapping[str, Refusal] = MappingProxyType(
    {
        "call-asyncapi": Refusal("`call: asyncapi`", "Use `call: http` to a gateway of the broker, or `emit`."),
        "call-grpc": Refusal("`call: grpc`", "Use `call: http` to the service's HTTP gateway."),
        "run-shell": Refusal("`run.shell`", _OFF),
        "run-script": Refusal("`run.script`", _OFF),
        "run-container": Refusal("`run.container`", _OFF),
        "run-return": Refusal("`run.return` for a workflow", "Remove it: the output of a workflow is its output."),
        "oauth2-grant": Refusal(
            "A grant other than client_credentials",
            "Nobody is there to log in: register a client for the platform, and use its credentials.",
        ),
        "oauth2-client": Refusal(
            "This way for a client to authenticate", "Use client_secret_post, client_secret_basic or none."
        ),
        "oauth2-field": Refusal("This field of an OAuth2 policy", "Remove it: client credentials do without."),
        "mcp-stdio": Refusal(
            "An MCP server as a process (`stdio`)",
            "A workflow starts no process. Name the server under `mcp` in the settings, and call it as `server` of `mcp:1.0.0@default`.",
        ),
        "mcp-options": Refusal("`options` of an MCP transport", "Remove them; headers stand under `http`."),
        "a2a-method": Refusal(
            "This A2A method",
            "Use message/send or message/stream, which wait for the task's end; no server listens for notifications.",
        ),
        "language": Refusal(
            "An expression language other than jq", "Write the expressions in jq and remove `evaluate.language`."
        ),
        "mode": Refusal("Loose evaluation", "Wrap expressions in `${ }` and remove `evaluate.mode`."),
        "schema-resource": Refusal(
            "A schema in another place (`schema.resource`)", "Write the schema here, under `schema.document`."
        ),
        "schema-format": Refusal("A schema format other than json", "Write a JSON Schema under `schema.document`."),
        "backoff": Refusal("A parameter of `backoff`", "Write `{}`: the delay grows from `delay` alone."),
    }
)
"""Subject → what is refused. Its findings have the code `unsupported-<subject>`."""
