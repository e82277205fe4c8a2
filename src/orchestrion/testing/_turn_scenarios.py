"""A long turn of an agent with a language model: twelve tool calls in six answers, over effects and requests that can be counted."""

from ._scenarios import Scenario
from .openai_server import Behaviour, Calls, Says

_GROUPS = (2, 1, 3, 1, 4, 1)
"""How many calls each answer has; those of one answer are made together."""

_AGENT = """\
name: clerk
model: desk
instructions: Enter what you are told.
input: { type: object, required: [message], properties: { message: { type: string } } }
limits: { turns: 20 }
tools:
  - name: enter
    description: Enters one number into the books.
    write: true
    idempotent: true
    parameters: { type: object, required: [number], properties: { number: { type: integer } } }
    http: { method: post, endpoint: 'http://ADDRESS/enter/{number}', body: { number: '{number}' } }
"""

_SETTINGS = """\
egress: { allow: ['ADDRESS', 'MODEL'] }
models: { desk: { provider: 'openai:gpt-4o-mini', base_url: 'http://MODEL/v1' } }
"""

_POLICY = """\
@id("asks") permit (principal == Agent::"clerk", action == Action::"model", resource);
@id("enters") permit (principal == Agent::"clerk", action == Action::"enter", resource);
"""


def _answers() -> list[Behaviour]:
    first = [sum(_GROUPS[:at]) for at in range(len(_GROUPS))]
    calls = [
        Calls([("enter", {"number": start + at}) for at in range(count)])
        for start, count in zip(first, _GROUPS, strict=True)
    ]
    return [*calls, Says("All twelve are entered.")]


TURN_SCENARIO = Scenario(
    name="twelve-calls",
    text="do:\n  - enter: { call: 'agent:1.0.0@default', with: { agent: clerk, input: { message: 'one to twelve' } } }\n",
    files={"orchestrion.yaml": _SETTINGS, "agents/clerk.yaml": _AGENT, "policies/clerk.cedar": _POLICY},
    effects={f"/enter/{number}": 1 for number in range(sum(_GROUPS))},
    output={"reply": "All twelve are entered."},
    model=_answers(),
)
