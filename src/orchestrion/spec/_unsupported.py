"""What the standard has and this release does not run: refused where it stands, with what to do instead."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Refusal(NamedTuple):
    what: str
    instead: str


_OFF = "It is off: processes run only where an operator allows the exact command. Call a function or an http service."
_OAUTH = "Use `bearer` with a secret that holds a token, or a connection of the project."
_NEXT = "It comes with a later release."

UNSUPPORTED: Mapping[str, Refusal] = MappingProxyType(
    {
        "call-openapi": Refusal("`call: openapi`", f"{_NEXT} Use `call: http` with the operation's method and URL."),
        "call-mcp": Refusal("`call: mcp`", f"{_NEXT} Use `call: http`, or a function of the default catalog."),
        "call-a2a": Refusal("`call: a2a`", f"{_NEXT} Use `call: agent:1.0.0@default`, or `call: http`."),
        "call-asyncapi": Refusal("`call: asyncapi`", "Use `call: http` to a gateway of the broker, or `emit`."),
        "call-grpc": Refusal("`call: grpc`", "Use `call: http` to the service's HTTP gateway."),
        "call-url": Refusal(
            "Calling a function by its URL",
            "Write the task under `use.functions`, or call a function of the default catalog.",
        ),
        "call-catalog": Refusal(
            "Calling a function of another catalog than `default`", "Write `name:version@default`."
        ),
        "run-shell": Refusal("`run.shell`", _OFF),
        "run-script": Refusal("`run.script`", _OFF),
        "run-container": Refusal("`run.container`", _OFF),
        "run-return": Refusal("`run.return` for a workflow", "Remove it: the output of a workflow is its output."),
        "catalogs": Refusal(
            "`use.catalogs`", "The `default` catalog needs no entry; write other functions under `use.functions`."
        ),
        "oauth2": Refusal("`oauth2` authentication", _OAUTH),
        "oidc": Refusal("`oidc` authentication", _OAUTH),
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
