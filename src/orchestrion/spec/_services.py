"""`with` of calls that reach other systems: http, openapi, mcp, a2a."""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from orchestrion.core import Json

from ._authentication import policy
from ._context import Context, Variables
from ._endpoint import endpoint, resource
from ._template import Template, compile_template, pointer_step
from ._values import length, template, wrapped

_METHOD = re.compile(r"[A-Za-z]{1,20}")
_OUTPUTS = ("raw", "content", "response")
_MCP_NEEDS: Mapping[str, str | None] = MappingProxyType(
    {
        "tools/list": None,
        "tools/call": "name",
        "prompts/list": None,
        "prompts/get": "name",
        "resources/list": None,
        "resources/read": "uri",
        "resources/templates/list": None,
    }
)
"""MCP method → the parameter it cannot do without."""
_A2A_NEEDS: Mapping[str, str | None] = MappingProxyType(
    {
        "message/send": "message",
        "tasks/get": "id",
        "tasks/list": None,
        "tasks/cancel": "id",
        "message/stream": "message",
        "tasks/resubscribe": "id",
        "agent/getAuthenticatedExtendedCard": None,
    }
)
_A2A_REFUSED = (
    "tasks/pushNotificationConfig/set",
    "tasks/pushNotificationConfig/get",
    "tasks/pushNotificationConfig/list",
    "tasks/pushNotificationConfig/delete",
)


class Service(NamedTuple):
    """A function that the language itself names."""

    function: str
    read: Callable[[Context, Json, str, Variables], Template]
    needs: str
    """What a call without `with` is told to add."""
    addresses: tuple[str, ...]
    """Pointers of the endpoints in `with`: URI templates, where the author wrote them out."""


def _http(c: Context, value: Json, at: str, variables: Variables) -> Template:
    known = ("method", "endpoint", "headers", "body", "query", "output", "redirect")
    found = c.report.fields(value, at, known=known, required=("method", "endpoint"))
    resolved = dict(found)
    if "method" in found:
        _http_method(c, found["method"], f"{at}/method")
    if "endpoint" in found:
        resolved["endpoint"] = endpoint(c, found["endpoint"], f"{at}/endpoint", variables)
    for name in ("headers", "query"):
        if name in found:
            _texts(c, found[name], f"{at}/{name}", variables)
    if "body" in found:
        template(c, found["body"], f"{at}/body", variables)
    _answer_options(c, found, at)
    return compile_template(resolved)


def _openapi(c: Context, value: Json, at: str, variables: Variables) -> Template:
    known = ("document", "operationId", "parameters", "authentication", "output", "redirect")
    found = c.report.fields(value, at, known=known, required=("document", "operationId"))
    resolved = dict(found)
    if "document" in found:
        resolved["document"] = resource(c, found["document"], f"{at}/document", variables, file=True)
    if "operationId" in found and not c.report.text(found["operationId"], f"{at}/operationId").strip():
        c.report.error(f"{at}/operationId", "bad-value", "The operation has no name.", "Write its `operationId`.")
    if "parameters" in found:
        template(c, c.report.object(found["parameters"], f"{at}/parameters"), f"{at}/parameters", variables)
    if "authentication" in found:
        resolved["authentication"] = policy(c, found["authentication"], f"{at}/authentication", variables)
    _answer_options(c, found, at)
    return compile_template(resolved)


def _mcp(c: Context, value: Json, at: str, variables: Variables) -> Template:
    known = ("protocolVersion", "method", "parameters", "timeout", "transport", "client")
    found = c.report.fields(value, at, known=known, required=("method", "transport"))
    resolved = dict(found)
    method = c.report.choice(found["method"], f"{at}/method", tuple(_MCP_NEEDS)) if "method" in found else ""
    _parameters(c, found, at, variables, _MCP_NEEDS.get(method), method)
    if "protocolVersion" in found:
        c.report.text(found["protocolVersion"], f"{at}/protocolVersion")
    if "timeout" in found:
        length(c, found["timeout"], f"{at}/timeout", variables)
    if "client" in found:
        client = c.report.fields(
            found["client"], f"{at}/client", known=("name", "version"), required=("name", "version")
        )
        for name in client:
            c.report.text(client[name], f"{at}/client/{name}")
    if "transport" in found:
        resolved["transport"] = _transport(c, found["transport"], f"{at}/transport", variables)
    return compile_template(resolved)


def _transport(c: Context, value: Json, at: str, variables: Variables) -> Json:
    found = dict(c.report.fields(value, at, known=("http", "stdio", "options")))
    for subject in ("stdio", "options"):
        if subject in found:
            c.report.unsupported(f"{at}/{subject}", f"mcp-{subject}")
    if "http" not in found:
        if isinstance(value, Mapping) and "stdio" not in found:
            c.report.error(at, "missing-field", "`http` is missing.", "Add `http: { endpoint }`.", key=True)
        return found
    http = dict(c.report.fields(found["http"], f"{at}/http", known=("endpoint", "headers"), required=("endpoint",)))
    if "endpoint" in http:
        http["endpoint"] = endpoint(c, http["endpoint"], f"{at}/http/endpoint", variables)
    if "headers" in http:
        headers = c.report.object(http["headers"], f"{at}/http/headers")
        for name, text in headers.items():
            c.report.text(text, f"{at}/http/headers{pointer_step(name)}")
        template(c, headers, f"{at}/http/headers", variables)
    return {**found, "http": http}


def _a2a(c: Context, value: Json, at: str, variables: Variables) -> Template:
    known = ("agentCard", "server", "method", "parameters")
    found = c.report.fields(value, at, known=known, required=("method",))
    resolved = dict(found)
    if "agentCard" not in found and "server" not in found and isinstance(value, Mapping):
        hint = "Add `agentCard: { endpoint }`, or `server:` with the agent's address."
        c.report.error(at, "missing-field", "The call names no agent.", hint, key=True)
    elif "agentCard" in found and "server" in found:
        hint = "The standard ignores it: the card says where the agent is. Remove one of them."
        c.report.warn(f"{at}/server", "ignored-server", "`server` is not used beside `agentCard`.", hint, key=True)
    method = c.report.choice(found["method"], f"{at}/method", (*_A2A_NEEDS, *_A2A_REFUSED)) if "method" in found else ""
    if method in _A2A_REFUSED:
        c.report.unsupported(f"{at}/method", "a2a-method")
    _parameters(c, found, at, variables, _A2A_NEEDS.get(method), method)
    if "agentCard" in found:
        resolved["agentCard"] = resource(c, found["agentCard"], f"{at}/agentCard", variables)
    if "server" in found:
        resolved["server"] = endpoint(c, found["server"], f"{at}/server", variables)
    return compile_template(resolved)


def _addresses(*endpoints: str, policies: Sequence[str] = ()) -> tuple[str, ...]:
    """Where URI templates may stand: endpoints, and the token endpoints of their policies."""
    found = [place for at in endpoints for place in (at, f"{at}/uri")]
    for policy_at in (*policies, *(f"{at}/authentication" for at in endpoints)):
        found += [f"{policy_at}/{scheme}/authority" for scheme in ("oauth2", "oidc")]
        found.append(f"{policy_at}/oauth2/endpoints/token")
    return tuple(found)


SERVICES: Mapping[str, Service] = MappingProxyType(
    {
        "http": Service("http:1.0.0", _http, "{ method, endpoint }", _addresses("/endpoint")),
        "openapi": Service(
            "openapi:1.0.0",
            _openapi,
            "{ document: { endpoint }, operationId }",
            _addresses("/document/endpoint", policies=("/authentication",)),
        ),
        "mcp": Service(
            "mcp:1.0.0",
            _mcp,
            "{ method, transport: { http: { endpoint } } }",
            _addresses("/transport/http/endpoint"),
        ),
        "a2a": Service(
            "a2a:1.0.0",
            _a2a,
            "{ agentCard: { endpoint }, method: message/send, parameters }",
            _addresses("/agentCard/endpoint", "/server"),
        ),
    }
)
"""Name in `call` → how it is read."""


def _parameters(
    c: Context, found: Mapping[str, Json], at: str, variables: Variables, needed: str | None, method: str
) -> None:
    """An object, or an expression that gives one."""
    value, where = found.get("parameters"), f"{at}/parameters"
    if isinstance(value, str):
        if wrapped(c, value, where, variables) is None:
            c.report.error(
                where, "wrong-type", "This text is not an expression.", "Write an object, or wrap it in `${ }`."
            )
        return
    given: Mapping[str, Json] = c.report.object(value, where) if "parameters" in found else {}
    if needed is not None and needed not in given and not isinstance(value, list | int | float):
        hint = f"Add `parameters: {{ {needed} }}`."
        place = where if "parameters" in found else at
        c.report.error(place, "missing-field", f"`{method}` needs the parameter `{needed}`.", hint, key=True)
    template(c, given, where, variables)


def _answer_options(c: Context, found: Mapping[str, Json], at: str) -> None:
    if "output" in found:
        c.report.choice(found["output"], f"{at}/output", _OUTPUTS)
    if "redirect" in found:
        c.report.boolean(found["redirect"], f"{at}/redirect")


def _http_method(c: Context, value: Json, at: str) -> None:
    text = c.report.text(value, at)
    if text and not _METHOD.fullmatch(text):
        c.report.error(
            at, "bad-value", f"{text[:80]!r} is not an HTTP method.", "Write get, post, put, patch or delete."
        )


def _texts(c: Context, value: Json, at: str, variables: Variables) -> None:
    """Headers or query parameters: an object of texts, or an expression that gives one."""
    if isinstance(value, str):
        if wrapped(c, value, at, variables) is None:
            hint = "Write an object of texts, or an expression in `${ }`."
            c.report.error(at, "wrong-type", "This text is not an expression.", hint)
        return
    for name, inner in c.report.object(value, at).items():
        c.report.text(inner, at + pointer_step(name))
    if isinstance(value, Mapping):
        template(c, value, at, variables)
