"""Agents: a YAML file becomes one governed, durable agent.

An agent file, `agents/NAME.yaml`:

```yaml
name: billing                       # as the file is called
description: Answers questions about invoices, charges and refunds.
model: playbook                     # or [support-model, playbook]: the next is tried when one fails. Default: playbook
instructions: |                     # the system prompt of a language model; a playbook does not read it
  You work at the billing desk of a bank. Be brief and kind.
input:                              # JSON Schema. The agent receives these fields and no others; what was dropped is reported
  type: object
  required: [message, customerId]
  properties:
    message: { type: string }
    customerId: { type: string }
output:                             # JSON Schema of the answer. Without it the answer is { reply: text }
  type: object
  required: [reply]
  properties:
    reply: { type: string }
    refunded_cents: { type: integer }
limits: { turns: 12, usd: 0.50, seconds: 120 }
labels: [generated]                 # put on every answer, for policies to see
guard: no-personal-data             # a guard of orchestrion.yaml that every answer must pass, before anybody sees any of it
tools:
  - name: find_invoices
    description: The customer's invoices, newest first.
    parameters: { type: object, properties: { since: { type: string, format: date } } }
    bind: { customer_id: input.customerId }     # an argument that the model neither sees nor chooses
    labels: [pii]                               # put on every result
    query:
      connection: bank
      statement: select id, merchant, amount_cents from invoices where customer_id = :customer_id and day >= :since
  - name: refund
    description: Pays an amount back.
    write: true                                 # it changes something
    parameters:
      type: object
      required: [invoice_id, amount_cents]
      properties: { invoice_id: { type: string }, amount_cents: { type: integer, minimum: 1 } }
    bind: { customer_id: input.customerId }
    query:
      connection: bank
      statement: >-
        insert into refunds (id, customer_id, invoice_id, amount_cents)
        values (:idempotency_key, :customer_id, :invoice_id, :amount_cents)
  - name: post_letter
    description: Sends a letter.
    write: true
    idempotent: false                           # may it be repeated after a crash? Left out: what the statement or method tells
    parameters: { type: object, required: [text], properties: { text: { type: string } } }
    bind: { customer_id: input.customerId }
    http:
      method: post
      endpoint: http://letters.example/customers/{customer_id}/letters
      headers: { Accept: application/json }
      body: { text: '{text}' }                  # {name} alone is the argument itself; within text it is written into it
  - name: open_case
    description: Opens a case for the back office and waits for its end.
    parameters: { type: object, required: [summary], properties: { summary: { type: string } } }
    workflow: { namespace: support, name: open-case, version: '1.0.0' }    # its input is the arguments
  - name: classify                                  # a function of the catalog, the project's own ones included
    description: What a text is about.
    parameters: { type: object, required: [text], properties: { text: { type: string } } }
    function: { name: route, with: { router: support-intents, input: '{text}' } }    # constants, and {name} for an argument
  - openapi: { document: apis/letters.yaml, include: [listLetters, getLetter] }    # a tool of each operation, called as it is
  - name: find_parcel                                                              # one operation, by an address of its document
    openapi: { document: https://parcels.example/openapi.json, operation: findParcel, authentication: { bearer: { use: parcels } } }
  - mcp: { server: crm, include: [find_customer] }    # tools of an MCP server that orchestrion.yaml names under `mcp`
playbook:                                       # the rules, if `model` names `playbook`; the format stands in orchestrion.models
  rules:
    - name: look the invoices up
      when: { says: [charged, refund, invoice] }
      call: find_invoices
      arguments: { since: '2026-01-01' }
    - name: say what was found
      when: { done: find_invoices }
      answer: { reply: 'You have {tools.find_invoices.rows|count} invoices.' }
    - name: no rule fits
      answer: { reply: 'I could not find out what this is about.' }
examples:                                       # inputs and the answers to them
  - input: { message: I was charged for nothing, customerId: C-1042 }
    tools: { find_invoices: { rows: [{ id: INV-7 }] } }    # what a tool, or a member of its team, gives
    output: { reply: 'You have 1 invoices.' }
```

`examples` are checked against `input` and `output`. `orchestrion validate` plays each by the agent's playbook, without calling
anything, and finds one that is answered otherwise (only a warning where the playbook is no more than the fallback of a language
model). A language model is shown them after its `instructions`.

Every tool has exactly one of `query`, `http`, `openapi`, `mcp`, `workflow`, `function`. What a document of the project describes is known
when the file is read; what an address or an MCP server describes is asked once when an engagement begins, and recorded. Only what
is named can be used, whatever the other system adds. A tool's arguments are what the model chose by `parameters`, plus what `bind`
takes from the agent's input. A function gets what `with` says - a field that is one `{name}` alone is left out when the model does
not give that argument - or without `with` the arguments as they are; then what it declares stands for `parameters` that are not
written. Its version is fixed when the file is read, and whether it writes or may be repeated is what it says itself. A query's `:name` parameters are these arguments, and `:idempotency_key`. Policies speak of a tool
by its name: principal `Agent::"billing"`, action `Action::"refund"`, context with all arguments, bound ones included.

`limits`: `turns` is how often the model may be asked (default 12), `usd` what it may cost in all (where prices are known), `seconds`
how long it may think in all; tools and people do not count. A limit that is reached ends the call with a problem whose code is `limit-turns`,
`limit-usd` or `limit-seconds`.

A team file, `teams/NAME.yaml`:

```yaml
name: desk                              # as the file is called; no agent may have the same name
description: Whoever receives a message, and the desks behind them.
pattern: hierarchy                      # supervisor (default), hierarchy, handoff, panel or debate; a call's `pattern` goes before it
lead: triage                            # the agent that is given the task, or that sums a panel up
members:                                # agents, other teams, or groups with a lead of their own
  - { name: money, description: Everything about money., lead: money-lead, members: [billing] }
  - technical
limits: { turns: 20, usd: 0.20, seconds: 172800, depth: 4 }
```

`supervisor`: the lead engages the agents below it, those in groups too and without their leads, and answers itself. `hierarchy`: it
engages its members, and groups work under their own leads. `handoff`: it answers, or hands the task over for good to a peer; nobody
gets a task back. `panel`: all agents below work on it at once, and the lead brings together what they said. `debate`: a panel in
which those whose `input` declares `debate` hear what all have said and speak again, until they agree, nobody says anything new, or
`limits.rounds` (default 3) are over. No member may stand in a team twice or below itself, and none may be called as a tool of a lead
above it.

Each colleague receives of the team's input what its own `input` declares, and no more. A hand-over adds `conversation` (who had the
task, why it went on, what was found), a panel `panel` (`contributions`, `disagreements`), a
debate `debate` (the same, so far), for those that declare or read them.
`limits` bound all agents together: `turns` (default 40), `usd`, `seconds` of wall-clock time with people included, `depth` (default 5).
A bound that is reached is named in the result's `bound`, beside what was achieved.

Engaging is an effect that policies decide: principal `Agent::"triage"`, action `Action::"engage"`, resource the agent that will work
(of a group: its lead), context `arguments.member` and `arguments.pattern`, and the `reason` of a hand-over.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ._definition import (
    AgentDefinition,
    AgentTool,
    FunctionTarget,
    HttpTarget,
    Limits,
    McpTarget,
    OpenApiTarget,
    QueryTarget,
    WorkflowTarget,
)
from ._read import Known, agent_schema, parse_agent, read_agent
from ._seat import ENGAGE
from ._sessions import Sessions, SessionSummary, SessionTurn
from ._team import Group, TeamCall, TeamDefinition, TeamFile, TeamLimits, read_team, team_schema, team_tree

if TYPE_CHECKING:
    from ._run import run_agent
    from ._session import Session
    from ._team_run import run_team

__all__ = [
    "ENGAGE",
    "AgentDefinition",
    "AgentTool",
    "FunctionTarget",
    "Group",
    "HttpTarget",
    "Known",
    "Limits",
    "McpTarget",
    "OpenApiTarget",
    "QueryTarget",
    "Session",
    "SessionSummary",
    "SessionTurn",
    "Sessions",
    "TeamCall",
    "TeamDefinition",
    "TeamFile",
    "TeamLimits",
    "WorkflowTarget",
    "agent_schema",
    "parse_agent",
    "read_agent",
    "read_team",
    "run_agent",
    "run_team",
    "team_schema",
    "team_tree",
]

_HEAVY = {"Session": "_session", "run_agent": "_run", "run_team": "_team_run"}
"""Names whose files import pydantic-ai, which takes seconds."""


def __getattr__(name: str) -> object:
    if name not in _HEAVY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HEAVY[name]}", __name__), name)
