"""Tools of agents that other systems describe: operations of OpenAPI documents, and tools of MCP servers."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from inline_snapshot import snapshot

from orchestrion.agents import AgentDefinition, Known, read_agent, run_agent
from orchestrion.core import (
    Allow,
    Datum,
    Decision,
    Deny,
    Invocation,
    Json,
    LeafContext,
    OrchestrionError,
    Outcome,
    SystemClock,
    UserError,
)
from orchestrion.models import Models
from orchestrion.openapi import read_api
from orchestrion.testing.fake_effects import FakeEffects, NoSecrets, ProcessDied

pytestmark = pytest.mark.anyio

DOCUMENT = """
openapi: 3.1.0
info: { title: Parcels, version: '3' }
servers: [{ url: https://parcels.example/api }]
paths:
  /customers/{customer}/parcels/{id}:
    get:
      operationId: findParcel
      summary: One parcel of a customer.
      parameters:
        - { name: customer, in: path, required: true, schema: { type: string } }
        - { name: id, in: path, required: true, schema: { type: integer } }
      responses: { 200: { content: { application/json: { schema: { type: object } } } } }
  /parcels:
    post:
      operationId: sendParcel
      parameters: [{ name: Idempotency-Key, in: header, schema: { type: string } }]
      requestBody: { required: true, content: { application/json: { schema: { type: object } } } }
      responses: { 201: { description: sent } }
"""

AGENT = """
name: desk
input:
  type: object
  required: [message, customerId]
  properties: { message: { type: string }, customerId: { type: string } }
tools:
  - openapi: { document: apis/parcels.yaml, include: [findParcel] }
    bind: { customer: input.customerId }
  - mcp: { server: crm, include: [find.customer] }
  - name: note
    labels: [pii]
    mcp: { server: crm, tool: add_note }
    bind: { customer: input.customerId }
playbook:
  rules:
    - { name: look, when: { says: where }, call: findParcel, arguments: { id: 7 } }
    - { name: find, when: { done: findParcel }, call: find_customer, arguments: { name: Ana } }
    - { name: note it, when: { done: find_customer }, call: note, arguments: { text: '{tools.find_customer.id}' } }
    - { name: say, when: { done: note }, answer: { reply: 'It is {tools.findParcel.state}; {tools.note}.' } }
    - { name: broken, when: { failed: note }, answer: { reply: 'No note: {failures.note.reason}' } }
    - { name: no rule fits, answer: { reply: Sorry. } }
"""
CRM: list[Json] = [
    {
        "name": "find.customer",
        "description": "Finds a customer.",
        "inputSchema": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        "annotations": {"readOnlyHint": True},
    },
    {
        "name": "add_note",
        "inputSchema": {
            "type": "object",
            "required": ["customer", "text"],
            "properties": {"customer": {"type": "string"}, "text": {}},
        },
    },
    {"name": "delete_everything", "inputSchema": {"type": "object"}},
]
INPUT = Datum({"message": "Where is it?", "customerId": "C-1"})
AT = Invocation(key="/do/0/help#1~1", task="/do/0/help", function="agent:1.0.0", arguments=Datum({}))


def known() -> Known:
    return Known(mcp_servers=["crm"], secrets=["PARCELS"], document=lambda _: read_api(DOCUMENT.encode()))


def desk(text: str = AGENT) -> AgentDefinition:
    definition, findings = read_agent(text, file="desk.yaml", known=known())
    assert definition is not None, [str(one) for one in findings]
    return definition


class Outside:
    """The other systems, as the functions `http`, `mcp` and `describe` reach them."""

    def __init__(self) -> None:
        self.tools: list[Json] = CRM
        self.calls: list[Invocation] = []
        self.labels: frozenset[str] = frozenset({"untrusted"})

    async def http(self, invocation: Invocation, _: LeafContext) -> Outcome:
        self.calls.append(invocation)
        return Outcome(output=Datum({"state": "sent"}))

    async def mcp(self, invocation: Invocation, _: LeafContext) -> Outcome:
        self.calls.append(invocation)
        arguments = cast("Mapping[str, Json]", invocation.arguments.value)
        if arguments["method"] == "tools/list":
            return Outcome(output=Datum({"tools": self.tools}, {"": self.labels} if self.labels else {}))
        name = cast("Mapping[str, Json]", arguments["parameters"])["name"]
        if name == "find.customer":
            return Outcome(output=Datum({"content": [], "structuredContent": {"id": "C-1"}}))
        return Outcome(output=Datum({"content": [{"type": "text", "text": "noted"}, {"type": "text", "text": "well"}]}))

    async def describe(self, invocation: Invocation, _: LeafContext) -> Outcome:
        self.calls.append(invocation)
        api = read_api(DOCUMENT.encode())
        names = cast("list[str]", cast("Mapping[str, Json]", invocation.arguments.value)["operations"])
        return Outcome(
            output=Datum({name: cast("Json", api.operation(name).model_dump(mode="json")) for name in names})
        )

    def life(self, **more: object) -> FakeEffects:
        leaves = {"http:1.0.0": self.http, "mcp:1.0.0": self.mcp, "describe:1.0.0": self.describe}
        return FakeEffects(leaves=leaves, **more)  # pyright: ignore[reportArgumentType]  the fake's own options

    def called(self, action: str) -> Invocation:
        return next(one for one in self.calls if one.acting and one.acting.action == action)


async def engage(life: FakeEffects, definition: AgentDefinition | None = None) -> Outcome:
    def no_http() -> None:
        raise AssertionError("nothing here may go outside")

    models = Models({}, http=no_http, secrets=NoSecrets(), playbooks={})  # pyright: ignore[reportArgumentType]  never called
    return await run_agent(definition or desk(), INPUT, AT, life, models=models, clock=SystemClock())


async def test_an_agent_uses_what_other_systems_describe() -> None:
    outside = Outside()
    outcome = await engage(outside.life())
    assert outcome.output.value == {"reply": "It is sent; noted\nwell."}
    assert outside.called("findParcel").arguments.value == {
        "method": "get",
        "endpoint": "https://parcels.example/api/customers/C-1/parcels/7",
        "headers": {"Accept": "application/json"},
    }
    assert outside.called("note").arguments.value == {
        "server": "crm",
        "method": "tools/call",
        "parameters": {"name": "add_note", "arguments": {"text": "C-1", "customer": "C-1"}},
    }


async def test_a_server_is_asked_once_an_engagement_and_before_all_else() -> None:
    life = Outside().life()
    await engage(life)
    assert life.performed[0] == "/do/0/help#1~1/turn/0/offers/0"
    assert sum("/offers/" in key for key in life.performed) == 1


async def test_killed_anywhere_it_asks_no_server_again() -> None:
    reference_life = Outside().life()
    reference = await engage(reference_life)
    writes = len(reference_life.journal)
    for number in range(1, writes):
        dying = Outside()
        life = dying.life(die_after=number)
        with pytest.raises(ProcessDied):
            await engage(life)
        dying.tools = []
        assert (await engage(life.next_life())).output == reference.output


async def test_the_files_own_parameters_stand_in_place_of_the_servers() -> None:
    narrower = "mcp: { server: crm, tool: add_note }\n    parameters: { type: object, properties: { text: { type: string, maxLength: 3 } } }"
    definition = desk(AGENT.replace("mcp: { server: crm, tool: add_note }", narrower))
    assert definition.tool("note").arguments_schema["properties"] == {
        "text": {"type": "string", "maxLength": 3},
        "customer": {},
    }
    outside = Outside()
    await engage(outside.life(), definition)
    assert outside.called("note").acting is not None


async def test_policies_see_who_asks_for_a_list() -> None:
    seen: list[Invocation] = []

    def watching(invocation: Invocation) -> Decision:
        seen.append(invocation)
        return Deny(reason="not this server") if invocation.function == "mcp:1.0.0" else Allow()

    with pytest.raises(OrchestrionError) as caught:
        await engage(Outside().life(policy=watching))
    assert caught.value.code == "policy-denied"
    assert seen[0].acting is not None
    assert (seen[0].acting.principal, seen[0].acting.action) == (("Agent", "desk"), "mcp")


async def test_a_list_from_outside_taints_what_comes_of_it_unless_trusted() -> None:
    outside = Outside()
    outcome = await engage(outside.life())
    assert outcome.output.labels == {"": {"untrusted", "pii"}}
    assert outside.called("note").arguments.labels == {"/parameters/arguments/text": {"untrusted"}}
    outside.labels = frozenset()
    assert (await engage(outside.life())).output.labels == {"": {"pii"}}


async def test_hints_of_a_trusted_server_make_a_tool_repeatable() -> None:
    outside = Outside()
    await engage(outside.life())
    assert outside.called("find_customer").idempotent is None
    assert outside.called("note").idempotent is None
    outside.labels = frozenset()
    await engage(outside.life())
    assert outside.calls[-2].acting is not None
    assert outside.calls[-2].acting.action == "find_customer"
    assert outside.calls[-2].idempotent is True
    assert outside.called("note").idempotent is None


async def test_a_server_that_took_a_tool_away_is_a_clear_problem() -> None:
    outside = Outside()
    outside.tools = CRM[1:]
    with pytest.raises(UserError) as caught:
        await engage(outside.life())
    assert caught.value.code == "unknown-tool"
    assert "'crm' offers no tool 'find.customer' now. It offers: add_note, delete_everything." in str(caught.value)


async def test_a_server_that_renamed_what_is_bound_does_not_get_it_from_the_model() -> None:
    outside = Outside()
    schema: Json = {"type": "object", "properties": {"client": {}, "text": {}}}
    outside.tools = [CRM[0], {"name": "add_note", "inputSchema": schema}]
    with pytest.raises(UserError) as caught:
        await engage(outside.life())
    assert caught.value.code == "unknown-tool-argument"


async def test_a_server_with_a_broken_schema_is_a_clear_problem() -> None:
    outside = Outside()
    outside.tools = [{"name": "find.customer", "inputSchema": {"properties": {"a": {"type": 7}}}}, *CRM[1:]]
    with pytest.raises(UserError) as caught:
        await engage(outside.life())
    assert caught.value.code == "bad-tool-schema"


async def test_a_document_with_an_address_is_described_when_the_engagement_begins() -> None:
    text = AGENT.replace(
        "document: apis/parcels.yaml, include: [findParcel]",
        "document: https://parcels.example/openapi.yaml, include: [findParcel], authentication: { bearer: { use: PARCELS } }",
    )
    outside = Outside()
    assert (await engage(outside.life(), desk(text))).output.value == {"reply": "It is sent; noted\nwell."}
    assert outside.calls[0].arguments.value == snapshot(
        {
            "document": {
                "endpoint": {
                    "uri": "https://parcels.example/openapi.yaml",
                    "authentication": {"bearer": {"use": "PARCELS"}},
                }
            },
            "operations": ["findParcel"],
        }
    )


def test_what_a_document_describes_is_known_when_the_file_is_read() -> None:
    found, customer, _ = desk().tools
    assert (found.name, found.description, found.chosen) == ("findParcel", "One parcel of a customer.", ["id"])
    assert found.arguments_schema["required"] == ["id", "customer"]
    assert (customer.name, customer.mcp and customer.mcp.tool) == ("find_customer", "find.customer")
    send = "  - openapi: { document: apis/parcels.yaml, operation: sendParcel }\nplaybook:"
    other = desk(AGENT.replace("playbook:", send))
    assert other.version != desk().version
    assert other.tool("sendParcel").operation is not None


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("include: [findParcel]", "include: [findParcels]", "8:55 Parcels 3 has no operation 'findParcels'. Did you mean 'findParcel'"),
        ("include: [findParcel]", "operation: findParcels", "Did you mean 'findParcel'"),
        ("include: [findParcel]", "operation: findParcel, include: [sendParcel]", "needs either `operation` or `include`"),
        (", include: [findParcel]", "", "8:14 The tool needs either `operation` or `include`."),
        ("bind: { customer: input.customerId }\n  - mcp", "bind: { client: input.customerId }\n  - mcp", "has no parameter 'client'. It has: customer, id."),
        ("server: crm, include", "server: crn, include", "10:20 There is no MCP server 'crn' in the settings. Known: crm."),
        ("include: [find.customer]", "include: [add_note, note]", "11:11 There is a tool 'note' already."),
        ("- openapi:", "- name: parcel\n    openapi:", "The name 'parcel' cannot stand for several tools."),
        ("- openapi:", "- operation: { }\n    openapi:", "'id' is missing."),
        ("include: [findParcel]", "include: [findParcel], authentication: { bearer: { token: x } }", "This does not say how to authenticate."),
        ("include: [findParcel]", "include: [findParcel], authentication: { bearer: { use: PARCEL } }", "There is no secret 'PARCEL'. Known: PARCELS."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_at_its_place(old: str, new: str, expected: str) -> None:
    assert old in AGENT
    _, found = read_agent(AGENT.replace(old, new, 1), file="desk.yaml", known=known())
    told = [str(one).replace(" error[bad-agent]", "") for one in found]
    assert any(expected in one for one in told), told


def test_a_document_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    def unreadable(place: str) -> object:
        raise UserError("no-such-document", f"The document {place!r} cannot be read.", hint=str(tmp_path))

    lacking = Known(document=unreadable)  # pyright: ignore[reportArgumentType]  it only raises
    _, found = read_agent(AGENT, file="desk.yaml", known=lacking)
    assert "The document 'apis/parcels.yaml' cannot be read." in str(found[0])
