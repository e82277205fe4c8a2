"""Durable turns: killed after each write they resume, and nothing is asked or done twice."""

import json
from collections.abc import Callable, Mapping
from typing import cast

import pytest

from orchestrion.agents import AgentDefinition, Known, read_agent, run_agent
from orchestrion.core import (
    Allow,
    Cost,
    Datum,
    Decision,
    Deny,
    Diverged,
    Faulted,
    Invocation,
    Json,
    LeafContext,
    NeedsApproval,
    Outcome,
    SystemClock,
    TransientError,
)
from orchestrion.functions import Workflow
from orchestrion.models import Models
from orchestrion.testing.fake_effects import FakeEffects, NoSecrets, ProcessDied

pytestmark = pytest.mark.anyio

BILLING = """
name: billing
model: playbook
labels: [generated]
limits: { turns: 6 }
input:
  type: object
  required: [message, customerId]
  properties: { message: { type: string }, customerId: { type: string } }
output:
  type: object
  required: [reply]
  properties: { reply: { type: string }, refunded_cents: { type: integer } }
tools:
  - name: find_invoices
    description: The customer's invoices.
    bind: { customer_id: input.customerId }
    labels: [pii]
    query: { connection: bank, statement: 'select * from invoices where customer_id = :customer_id' }
  - name: refund
    description: Pays an amount back.
    write: true
    parameters:
      type: object
      required: [invoice_id, amount_cents]
      properties: { invoice_id: { type: string }, amount_cents: { type: integer, minimum: 1 } }
    bind: { customer_id: input.customerId }
    query:
      connection: bank
      statement: insert into refunds values (:idempotency_key, :customer_id, :invoice_id, :amount_cents)
  - name: open_case
    description: Opens a case.
    parameters: { type: object, properties: { summary: { type: string } } }
    workflow: { namespace: support, name: open-case, version: '1.0.0' }
playbook:
  facts:
    twice: { from: tools.find_invoices.rows, same: [merchant, amount_cents] }
  rules:
    - name: look the invoices up
      when: { says: [twice, invoice] }
      call: find_invoices
    - name: refund the second charge
      when: { has: facts.twice }
      call: refund
      arguments: { invoice_id: '{facts.twice.id}', amount_cents: '{facts.twice.amount_cents}' }
      why: Two charges by one merchant over the same amount.
    - name: refused
      when: { refused: refund }
      answer: { reply: 'Not refunded ({refusals.refund.by}): {refusals.refund.reason}' }
    - name: broken
      when: { failed: refund }
      answer: { reply: 'It failed: {failures.refund.reason}' }
    - name: refunded
      when: { done: refund }
      answer: { reply: 'Refunded {facts.twice.amount_cents|money}.', refunded_cents: '{facts.twice.amount_cents}' }
    - name: open a case
      when: { says: case }
      call: open_case
      arguments: { summary: '{input.message}' }
    - name: case opened
      when: { done: open_case }
      answer: { reply: 'Case {tools.open_case.number}.' }
    - name: no rule fits
      answer: { reply: Sorry. }
"""

INVOICES: list[Json] = [
    {"id": "INV-1", "merchant": "Cafe", "amount_cents": 1250},
    {"id": "INV-2", "merchant": "Shop", "amount_cents": 900},
    {"id": "INV-3", "merchant": "Cafe", "amount_cents": 1250},
]
INPUT = Datum(
    {"message": "You charged me twice", "customerId": "C-1", "password": "hush"},
    {"/message": frozenset({"untrusted"})},
)
AT = Invocation(key="/do/0/help#1~1", task="/do/0/help", function="agent:1.0.0", arguments=Datum({}))


def billing(text: str = BILLING) -> AgentDefinition:
    definition, findings = read_agent(text, file="billing.yaml", known=Known())
    assert definition is not None, [str(one) for one in findings]
    return definition


def no_models() -> Models:
    def no_http() -> None:
        raise AssertionError("nothing here may go outside")

    return Models({}, http=cast("Callable[[], object]", no_http), secrets=NoSecrets(), playbooks={})  # pyright: ignore[reportArgumentType]  never called


async def bank(invocation: Invocation, context: LeafContext) -> Outcome:
    assert invocation.acting is not None
    arguments = cast("Mapping[str, Json]", invocation.arguments.value)
    if invocation.acting.action == "find_invoices":
        assert arguments["parameters"] == {"customer_id": "C-1"}
        return Outcome(output=Datum({"rows": INVOICES}))
    assert arguments["parameters"] == {"customer_id": "C-1", "invoice_id": "INV-3", "amount_cents": 1250}
    return Outcome(output=Datum({"rows": [], "rowcount": 1}))


def effects(policy: Callable[[Invocation], Decision] = lambda _: Allow(), reject: str | None = None) -> FakeEffects:
    return FakeEffects(
        leaves={"query:1.0.0": bank},
        composites={"workflow:1.0.0": Workflow()},
        policy=policy,
        approve=lambda _: reject,
        child_workflow=lambda start: {"number": 7, "asked": start.input.value},
    )


def everything_allowed(_: Invocation) -> Decision:
    return Allow()


def refunds_need_a_person(invocation: Invocation) -> Decision:
    acting = invocation.acting
    return NeedsApproval(role="lead", reason="large") if acting and acting.action == "refund" else Allow()


def refunds_are_denied(invocation: Invocation) -> Decision:
    acting = invocation.acting
    return Deny(reason="over the limit") if acting and acting.action == "refund" else Allow()


async def engage(life: FakeEffects, definition: AgentDefinition | None = None, given: Datum = INPUT) -> Outcome:
    return await run_agent(definition or billing(), given, AT, life, models=no_models(), clock=SystemClock())


def why(outcome: Outcome) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", outcome.why)


async def test_the_agent_looks_up_refunds_and_tells() -> None:
    life = effects()
    outcome = await engage(life)
    assert outcome.output.value == {"reply": "Refunded 12.50.", "refunded_cents": 1250}
    assert life.performed == [
        "/do/0/help#1~1/turn/0/model/0",
        "/do/0/help#1~1/turn/0/model/0/tool/0",
        "/do/0/help#1~1/turn/0/model/1",
        "/do/0/help#1~1/turn/0/model/1/tool/0",
        "/do/0/help#1~1/turn/0/model/2",
    ]


async def test_why_says_who_answered_and_what_was_withheld() -> None:
    told = why(await engage(effects()))
    assert told["answered_by"] == "rules"
    assert told["rules"] == ["look the invoices up", "refund the second charge", "refunded"]
    assert told["tools"] == [{"tool": "find_invoices", "status": "done"}, {"tool": "refund", "status": "done"}]
    assert told["dropped_fields"] == ["password"]


async def test_nothing_withheld_reaches_the_record() -> None:
    life = effects()
    await engage(life)
    assert "hush" not in str(life.journal)


async def test_paths_of_what_was_withheld_are_on_record_with_its_labels_and_compared() -> None:
    life, key = effects(), "/do/0/help#1~1/turn/0/dropped"
    labels = {"/customerId": frozenset({"pii"}), "/pass~1word": frozenset({"secret"}), "/more/x": frozenset({"deep"})}
    given = Datum({"message": "hello", "customerId": "C-1", "pass/word": "hush", "more": {"x": "hush"}}, labels)
    await engage(life, given=given)
    assert json.loads(life.journal[key]) == {
        "kind": "agent-input",
        "output": ["/more", "/pass~1word"],
        "labels": {"": ["deep", "secret"]},
    }
    life.journal[key] = life.journal[key].replace("more", "less")
    with pytest.raises(Diverged):
        await engage(life.next_life(), given=given)


async def test_labels_travel_into_tool_calls_and_out() -> None:
    seen: dict[str, Invocation] = {}

    async def watching(invocation: Invocation, context: LeafContext) -> Outcome:
        assert invocation.acting is not None
        seen[invocation.acting.action] = invocation
        return await bank(invocation, context)

    life = effects()
    life.leaves = {"query:1.0.0": watching}
    outcome = await engage(life)
    refund = seen["refund"].arguments.labels
    assert refund["/parameters/amount_cents"] == {"untrusted", "pii"}
    assert "/parameters/customer_id" not in refund
    assert "/statement" not in refund
    assert outcome.output.labels == {"": {"untrusted", "pii", "generated"}}


async def test_policies_see_the_tool_with_bound_arguments() -> None:
    calls: list[Invocation] = []

    def watching(invocation: Invocation) -> Decision:
        calls.append(invocation)
        return Allow()

    await engage(effects(watching))
    refund = next(one.acting for one in calls if one.acting and one.acting.action == "refund")
    assert refund.principal == ("Agent", "billing")
    assert refund.arguments == {"invoice_id": "INV-3", "amount_cents": 1250, "customer_id": "C-1"}
    assert refund.version == billing().version


@pytest.mark.parametrize(
    ("policy", "reject", "message"),
    [
        (everything_allowed, None, "twice"),
        (refunds_need_a_person, None, "twice"),
        (refunds_need_a_person, "not this one", "twice"),
        (refunds_are_denied, None, "twice"),
        (everything_allowed, None, "open a case please"),
    ],
    ids=["allowed", "approved", "rejected", "denied", "workflow"],
)
async def test_killed_after_each_write_it_ends_the_same_and_repeats_nothing(
    policy: Callable[[Invocation], Decision], reject: str | None, message: str
) -> None:
    given = Datum({"message": message, "customerId": "C-1"})
    whole = effects(policy, reject)
    expected = await engage(whole, given=given)
    assert whole.writes >= 3
    for death in range(1, whole.writes + 1):
        first = effects(policy, reject)
        first.die_after = death
        with pytest.raises(ProcessDied):
            await engage(first, given=given)
        second = first.next_life()
        outcome = await engage(second, given=given)
        assert outcome.output == expected.output
        assert outcome.why == {**why(expected)}
        assert sorted([*first.performed, *second.performed]) == sorted(whole.performed)
        assert outcome.cost == expected.cost


async def test_a_walk_over_a_finished_record_does_nothing() -> None:
    life = effects(refunds_need_a_person)
    expected = await engage(life)
    again = life.next_life()
    assert await engage(again) == expected
    assert again.performed == []
    assert again.writes == 0


async def test_a_call_that_needs_a_person_waits_outside_the_turn() -> None:
    life = effects(refunds_need_a_person)
    outcome = await engage(life)
    assert life.waited == ["/do/0/help#1~1/turn/0/model/1/tool/0"]
    assert outcome.output.value == {"reply": "Refunded 12.50.", "refunded_cents": 1250}


@pytest.mark.parametrize(
    ("policy", "reject", "reply"),
    [
        (refunds_are_denied, None, "Not refunded (policy): over the limit"),
        (refunds_need_a_person, "ask the branch", "Not refunded (person): ask the branch"),
    ],
)
async def test_a_refusal_is_something_the_model_sees(
    policy: Callable[[Invocation], Decision], reject: str | None, reply: str
) -> None:
    outcome = await engage(effects(policy, reject))
    assert outcome.output.value == {"reply": reply}
    assert cast("list[Json]", why(outcome)["tools"])[1] == {
        "tool": "refund",
        "status": "refused",
        "reason": reply.partition(": ")[2],
        "code": "policy-denied",
        "by": "person" if reject else "policy",
    }


async def test_a_failing_tool_is_something_the_model_sees() -> None:
    async def locked(invocation: Invocation, context: LeafContext) -> Outcome:
        if invocation.acting and invocation.acting.action == "refund":
            raise TransientError("database-locked", "The database is locked.")
        return await bank(invocation, context)

    life = effects()
    life.leaves = {"query:1.0.0": locked}
    assert (await engage(life)).output.value == {"reply": "It failed: The database is locked."}


async def test_a_workflow_is_a_tool() -> None:
    given = Datum({"message": "open a case", "customerId": "C-1"})
    assert (await engage(effects(), given=given)).output.value == {"reply": "Case 7."}


async def test_the_limit_of_turns_is_named() -> None:
    definition = billing(BILLING.replace("turns: 6", "turns: 2"))
    with pytest.raises(Faulted) as caught:
        await engage(effects(), definition)
    assert caught.value.code == "limit-turns"
    assert "2 turns" in caught.value.message


async def test_an_input_that_breaks_the_schema_is_refused() -> None:
    with pytest.raises(Exception, match="breaks its schema") as caught:
        await engage(effects(), given=Datum({"message": 5, "customerId": "C-1"}))
    assert getattr(caught.value, "code", "") == "agent-input"


async def test_another_input_over_the_same_record_diverges() -> None:
    life = effects()
    await engage(life)
    with pytest.raises(Diverged):
        await engage(life.next_life(), given=Datum({"message": "twice!", "customerId": "C-1"}))


async def test_rules_cost_nothing() -> None:
    assert (await engage(effects())).cost == Cost()
