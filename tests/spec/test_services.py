"""Calls that reach other systems: read, or refused where the mistake stands."""

from collections.abc import Mapping
from typing import cast

import pytest
from inline_snapshot import snapshot

from orchestrion.core import Json
from orchestrion.spec import CallTask, read

HEAD = """\
document: { dsl: '1.0.3', namespace: test, name: sample, version: '1.0.0' }
use: { secrets: [KEY], authentications: { office: { oauth2: { use: KEY } } } }
do:
"""


def said(call: str) -> list[str]:
    return [str(finding).removeprefix("<text>:") for finding in read(f"{HEAD}  - it: {call}").findings]


def task(call: str) -> CallTask:
    reading = read(f"{HEAD}  - it: {call}")
    assert reading.document is not None, [str(finding) for finding in reading.findings]
    (found,) = reading.document.tasks
    assert isinstance(found, CallTask)
    return found


def test_a_policy_by_name_stands_in_its_place() -> None:
    found = task(
        "{ call: openapi, with: { document: { endpoint: apis/x.yaml }, operationId: a, authentication: { use: office } } }"
    )
    assert (found.function, found.kind) == ("openapi:1.0.0", "service")
    arguments = cast("Mapping[str, Json]", found.arguments.fill())
    assert arguments["authentication"] == {"oauth2": {"use": "KEY"}}


@pytest.mark.parametrize(
    ("call", "function", "addresses"),
    [
        ("{ call: http, with: { method: get, endpoint: 'https://a/{b}' } }", "http:1.0.0", ["/endpoint", "/endpoint/uri"]),
        ("{ call: http, with: { method: get, endpoint: '${ .url }' } }", "http:1.0.0", ["/endpoint/uri"]),
        ("{ call: mcp, with: { method: tools/list, transport: { http: { endpoint: 'https://a/{b}' } } } }", "mcp:1.0.0", ["/transport/http/endpoint", "/transport/http/endpoint/uri"]),
        ("{ call: a2a, with: { method: tasks/list, server: { uri: '${ .url }' } } }", "a2a:1.0.0", ["/agentCard/endpoint", "/agentCard/endpoint/uri", "/server"]),
    ],
)  # fmt: skip
def test_only_what_the_author_wrote_is_a_template(call: str, function: str, addresses: list[str]) -> None:
    found = task(call)
    assert found.function == function
    assert [each for each in found.addresses if "/authentication/" not in each] == addresses


def test_what_the_standard_ignores_is_warned_of() -> None:
    assert said(
        "{ call: a2a, with: { method: tasks/list, server: https://a, agentCard: { endpoint: https://b } } }"
    ) == [
        "4:50 warning[ignored-server] `server` is not used beside `agentCard`. "
        "The standard ignores it: the card says where the agent is. Remove one of them."
    ]


def test_the_place_of_a_token_may_be_a_template_too() -> None:
    policy = "{ oauth2: { authority: 'https://login/{realm}', grant: client_credentials, client: { id: a } } }"
    found = task(f"{{ call: http, with: {{ method: get, endpoint: {{ uri: https://a, authentication: {policy} }} }} }}")
    assert "/endpoint/authentication/oauth2/authority" in found.addresses


@pytest.mark.parametrize(
    ("call", "rendered"),
    [
        ("{ call: openapi }", snapshot(['4:5 error[missing-field] `with` is missing. Add `with: { document: { endpoint }, operationId }`.'])),
        ("{ call: openapi, with: { document: { endpoint: ftp://a/b }, operationId: '' } }", snapshot(["4:56 error[bad-uri] 'ftp://a/b' is neither an http address nor a file of the project. Start it with https:// or http://, or write a path that starts at the project's folder.", '4:82 error[bad-value] The operation has no name. Write its `operationId`.'])),
        ("{ call: openapi, with: { document: https://a/b, operationID: x } }", snapshot(['4:26 error[missing-field] `operationId` is missing. Add `operationId:`.', '4:44 error[wrong-type] This must be an object; it is text.', "4:57 error[unknown-field] 'operationID' is not known here. Did you mean 'operationId'?"])),
        ("{ call: openapi, with: { document: { endpoint: https://a }, operationId: x, parameters: [1], output: body } }", snapshot(['4:97 error[wrong-type] This must be an object; it is a list.', "4:110 error[bad-value] 'body' is not one of raw, content, response."])),
        ("{ call: openapi, with: { document: { endpoint: https://a }, operationId: x, authentication: { use: offic } } }", snapshot(["4:108 error[unknown-authentication] The authentication policy 'offic' does not exist here. Did you mean 'office'?"])),
        ("{ call: mcp, with: { method: tools/cal, transport: {} } }", snapshot(["4:38 error[bad-value] 'tools/cal' is not one of tools/list, tools/call, prompts/list, prompts/get, resources/list, resources/read, resources/templates/list. Did you mean 'tools/call'?", '4:49 error[missing-field] `http` is missing. Add `http: { endpoint }`.'])),
        ("{ call: mcp, with: { method: tools/call, transport: { stdio: { command: npx } } } }", snapshot(['4:22 error[missing-field] `tools/call` needs the parameter `name`. Add `parameters: { name }`.', '4:63 error[unsupported-mcp-stdio] An MCP server as a process (`stdio`) is not supported. A workflow starts no process. Name the server under `mcp` in the settings, and call it as `server` of `mcp:1.0.0@default`.'])),
        ("{ call: mcp, with: { method: tools/call, parameters: .a, transport: { http: {}, options: { a: b } } } }", snapshot(['4:62 error[wrong-type] This text is not an expression. Write an object, or wrap it in `${ }`.', "4:62 warning[bare-expression] This text looks like an expression and is taken as text. Wrap it: '${ ... }'. Or keep it, if the text itself is meant.", '4:79 error[missing-field] `endpoint` is missing. Add `endpoint:`.', '4:89 error[unsupported-mcp-options] `options` of an MCP transport is not supported. Remove them; headers stand under `http`.'])),
        ("{ call: mcp, with: { method: tools/list, timeout: soon, client: { name: x }, transport: { http: { endpoint: a } } } }", snapshot(["4:59 error[bad-duration] 'soon' cannot be used. The text is not an ISO 8601 duration. Write { minutes: 5 } or PT5M. Years and months have no fixed length: use days.", '4:65 error[missing-field] `version` is missing. Add `version:`.', "4:117 error[bad-uri] 'a' is not an http address. Start it with https:// or http://."])),
        ("{ call: a2a, with: { method: message/send } }", snapshot(["4:22 error[missing-field] The call names no agent. Add `agentCard: { endpoint }`, or `server:` with the agent's address.", '4:22 error[missing-field] `message/send` needs the parameter `message`. Add `parameters: { message }`.'])),
        ("{ call: a2a, with: { method: tasks/pushNotificationConfig/set, server: https://a, parameters: { message: {} } } }", snapshot(["4:30 error[unsupported-a2a-method] This A2A method is not supported. Use message/send or message/stream, which wait for the task's end; no server listens for notifications."])),
    ],
)  # fmt: skip
def test_a_wrong_call_is_reported_at_its_place(call: str, rendered: list[str]) -> None:
    assert said(call) == rendered


@pytest.mark.parametrize(
    ("policy", "rendered"),
    [
        ("{ oauth2: { use: KEYS } }", snapshot(["4:105 error[unknown-secret] The secret 'KEYS' is not listed under `use.secrets`. List it: `use: { secrets: [KEYS] }`."])),
        ("{ oauth2: { authority: https://a, grant: password, username: a, password: b } }", snapshot(['4:122 error[unsupported-oauth2-grant] A grant other than client_credentials is not supported. Nobody is there to log in: register a client for the platform, and use its credentials.', '4:139 error[unsupported-oauth2-field] This field of an OAuth2 policy is not supported. Remove it: client credentials do without.', '4:152 error[unsupported-oauth2-field] This field of an OAuth2 policy is not supported. Remove it: client credentials do without.', '4:162 warning[secret-in-clear] This looks like a secret, written in clear. Keep it outside: list a name under `use.secrets` and refer to it with `use`, or use a connection.'])),
        ("{ oauth2: { grant: client_credentials, client: { id: a, secret: b } } }", snapshot(['4:90 error[missing-field] `authority` is missing. Add `authority:`.', "4:144 error[secret-in-clear] The client's `secret` stands in the document, where it would be recorded. Keep the whole policy as a secret, and write `use: SECRET` in place of its fields.", '4:152 warning[secret-in-clear] This looks like a secret, written in clear. Keep it outside: list a name under `use.secrets` and refer to it with `use`, or use a connection.'])),
        ("{ oidc: { authority: https://a, grant: client_credentials, endpoints: { token: /t } } }", snapshot(["4:147 error[unknown-field] 'endpoints' is not known here. Known here: actor, audiences, authority, client, grant, issuers, password, request, scopes, subject, username."])),
        ("{ oauth2: { authority: https://a, grant: client_credentials, client: { id: a, authentication: private_key_jwt }, scopes: a } }", snapshot(['4:166 error[unsupported-oauth2-client] This way for a client to authenticate is not supported. Use client_secret_post, client_secret_basic or none.', '4:209 error[wrong-type] This must be a list; it is text.'])),
        ("{ oauth2: { use: KEY }, bearer: { use: KEY } }", snapshot(['4:72 error[not-one-scheme] A policy has one scheme; this has 2. Write one of `basic`, `bearer`, `digest`, `oauth2`, `oidc`, or `use` with the name of a policy.'])),
    ],
)  # fmt: skip
def test_a_wrong_token_policy_is_reported(policy: str, rendered: list[str]) -> None:
    endpoint = f"{{ uri: https://a, authentication: {policy} }}"
    assert said(f"{{ call: http, with: {{ method: get, endpoint: {endpoint} }} }}") == rendered
