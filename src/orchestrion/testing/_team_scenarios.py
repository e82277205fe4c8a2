"""One team in each pattern, its agents unchanged, over effects that can be counted."""

from ._scenarios import ANYTHING, Scenario

DESK = """\
name: desk
description: Decides who has to do with a message.
model: playbook
input: { type: object, required: [message], properties: { message: { type: string } } }
playbook:
  rules:
    - name: bring together what was said
      when: { has: input.panel }
      answer: { reply: '{input.panel.contributions|count} said something.' }
    - name: it is about money
      when: { says: [refund] }
      engage: payer
    - name: say what came of it
      when: { done: payer }
      answer: { reply: 'The payer says: {tools.payer.reply}' }
    - name: nobody could
      answer: { reply: 'Nobody could.' }
"""

CASHIER = """\
name: cashier
description: Leads those who pay.
model: playbook
input: { type: object, required: [message], properties: { message: { type: string } } }
playbook:
  rules:
    - name: have it paid
      engage: payer
    - name: paid
      when: { done: payer }
      answer: { reply: '{tools.payer.reply}' }
    - name: not paid
      answer: { reply: 'Not paid.' }
"""

CHECKER = """\
name: checker
description: Looks for a charge and says whether there is one.
model: playbook
input: { type: object, required: [message], properties: { message: { type: string } } }
output: { type: object, required: [found], properties: { found: { type: boolean } } }
tools:
  - name: check
    description: Finds the charge.
    write: true
    idempotent: true
    http: { method: put, endpoint: 'http://ADDRESS/check', body: {} }
playbook:
  rules:
    - name: look
      call: check
    - name: say
      answer: { found: true }
"""

SECOND = """\
name: second
description: Gives a second opinion, and listens to the others.
model: playbook
input:
  type: object
  required: [message]
  properties: { message: { type: string }, debate: { type: object } }
output: { type: object, required: [found], properties: { found: { type: boolean } } }
playbook:
  rules:
    - name: the others know better
      when: { has: input.debate }
      answer: { found: true }
    - name: believe nothing at first
      answer: { found: false }
"""

TEAM = """\
name: service
description: A desk, and those behind it.
pattern: supervisor
lead: desk
members:
  - { name: money, lead: cashier, members: [payer] }
  - checker
"""

POLICY = """\
@id("engages") permit (principal is Agent, action == Action::"engage", resource is Agent);
@id("checks") permit (principal == Agent::"checker", action == Action::"check", resource);
"""

_FILES = {
    "agents/desk.yaml": DESK,
    "agents/cashier.yaml": CASHIER,
    "agents/checker.yaml": CHECKER,
    "agents/second.yaml": SECOND,
    "teams/service.yaml": TEAM,
    "policies/team.cedar": POLICY,
}


def _team(pattern: str, *, checked: bool) -> Scenario:
    return Scenario(
        name=f"team-{pattern}",
        text="do:\n  - engage:\n      call: team:1.0.0@default\n"
        f"      with: {{ team: service, pattern: {pattern}, input: {{ message: 'refund 250' }} }}\n",
        agent="payer",
        files=_FILES,
        effects={"/lookup": 1, "/refund": 1, **({"/check": 1} if checked else {})},
        output=ANYTHING,
    )


TEAM_SCENARIOS: tuple[Scenario, ...] = (
    _team("supervisor", checked=False),
    _team("hierarchy", checked=False),
    _team("handoff", checked=False),
    _team("panel", checked=True),
    Scenario(
        name="team-debate",
        text="do:\n  - engage:\n      call: team:1.0.0@default\n"
        "      with: { team: service, pattern: debate, members: [checker, second], input: { message: 'refund 250' } }\n",
        agent="payer",
        files=_FILES,
        effects={"/check": 1},
        output=ANYTHING,
    ),
)
