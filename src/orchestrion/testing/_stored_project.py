"""The project whose runs are stored: one workflow for each kind of task, and for each way a run can go."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrion.core import Json

from ._scenarios import AGENT, POLICY


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One workflow, and what people do while it runs. ADDRESS in a text stands for the counting server."""

    name: str
    do: str
    answers: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Kind of question → what is answered; approvals are approved unless it says otherwise."""
    cancel: bool = False
    """Somebody cancels it once it waits."""
    retry: bool = False
    """Somebody tries it again once it has failed."""
    events: tuple[tuple[str, Json], ...] = ()
    """Type and data of what somebody sends once it waits."""
    killed_at: int | None = None
    """The write before which the process dies."""
    head: str = ""


def _post(name: str, path: str, *, idempotent: bool = True, more: str = "") -> str:
    metadata = "metadata: { idempotent: true }, " if idempotent else ""
    return (
        f"- {name}: {{ call: http, {metadata}{more}with: {{ method: post, "
        f"endpoint: 'http://ADDRESS{path}', body: {{ step: {name} }} }} }}\n"
    )


_QUESTION = (
    "- ask: { call: 'human:1.0.0@default', timeout: { after: { days: 30 } }, with: { role: lead, title: 'How many?', "
    "form: { type: object, required: [n], properties: { n: { type: integer } } } }, output: { as: '${ { n: .n } }' } }\n"
)

STORED: tuple[Told, ...] = (
    Told(name="set-switch-do", do="""\
- begin: { set: { rounds: 0 }, export: { as: '${ . }' } }
- inside: { do: [ { add: { set: { rounds: '${ $context.rounds + 1 }' }, export: { as: '${ . }' } } } ] }
- again: { switch: [ { more: { when: '.rounds < 3', then: inside } }, { enough: { then: continue } } ] }
- skipped: { if: '${ .rounds < 3 }', set: { never: true } }
- moment: { set: { later: '${ now > 0 }', rounds: '${ .rounds }' } }
"""),
    Told(name="for", do="""\
- each:
    for: { each: n, in: '${ [1, 2, 3, 4] }' }
    while: '${ $n < 4 }'
    do:
      - ask: { call: http, metadata: { idempotent: true }, with: { method: post, endpoint: 'http://ADDRESS/item', body: { n: '${ $n }' } } }
      - note: { set: { last: '${ $n }' }, export: { as: '${ ($context // []) + [$n] }' } }
- seen: { set: { seen: '${ $context }' } }
"""),
    Told(name="fork", do="- all:\n    fork:\n      branches:\n" + "".join("        " + _post(n, f"/{n}") for n in ("left", "right"))),
    Told(name="compete", do="""\
- race:
    fork:
      compete: true
      branches:
        - slow: { wait: { hours: 1 } }
"""
    + "        " + _post("fast", "/fast")),
    Told(name="fork-fails", do="""\
- caught:
    try:
      - all:
          fork:
            branches:
              - slow: { wait: { hours: 1 } }
              - fails: { raise: { error: { type: 'https://example.com/broken', status: 500, title: Broken } } }
    catch: { as: error, do: [ { told: { set: { status: '${ $error.status }' } } } ] }
"""),
    Told(name="retry-and-catch", do="- trying:\n    try:\n      " + _post("flaky", "/flaky") + """\
    catch:
      errors: { with: { status: 503 } }
      retry: { delay: { milliseconds: 5 }, backoff: { exponential: {} }, jitter: { from: { milliseconds: 0 }, to: { milliseconds: 5 } }, limit: { attempt: { count: 5 }, duration: { minutes: 5 } } }
- saga:
    try:
      - book: { set: { receipt: 7 }, export: { as: '${ . }' } }
      - fail: { raise: { error: { type: 'https://example.com/no', status: 409, title: No } } }
    catch:
      as: problem
      do:
        - undo: { set: { undone: '${ $context.receipt }', because: '${ $problem.status }' } }
"""),
    Told(name="raise", do="- stop: { raise: { error: { type: 'https://example.com/stop', status: 400, title: Stop } } }\n"),
    Told(name="wait-and-emit", do="""\
- nap: { wait: { milliseconds: 20 } }
- say: { emit: { event: { with: { type: com.example.said, source: 'https://example.com', data: { a: 1 } } } } }
- short: { set: { said: '${ .data.a }' } }
"""),
    Told(name="timeout", do="""\
- trying:
    try:
      - hang: { wait: { hours: 1 }, timeout: { after: { milliseconds: 50 } } }
    catch: { errors: { with: { status: 408 } }, do: [ { instead: { set: { late: true } } } ] }
- quick: { set: { quick: true }, timeout: { after: { hours: 1 } } }
"""),
    Told(name="http", do=_post("one", "/one") + _post("two", "/two")),
    Told(name="query", do="""\
- count: { call: 'query:1.0.0@default', with: { connection: book, statement: 'select :n + 1 as n', parameters: { n: 3 } } }
- last: { set: { n: '${ .rows[0].n }' } }
"""),
    Told(name="human", do=_QUESTION + "- kept: { set: { kept: '${ .n }' } }\n", answers={"human": {"n": 7}}),
    Told(name="infer", do="""\
- mood: { call: 'infer:1.0.0@default', with: { model: 'playbook:mood', prompt: 'Which mood?', input: { text: 'a fine day' },
    output: { type: object, required: [mood], properties: { mood: { type: string } } } } }
"""),
    Told(name="agent-approved", do="- engage: { call: 'agent:1.0.0@default', with: { agent: payer, input: { message: 'refund 250' } }, output: { as: '${ .reply }' } }\n"),
    Told(name="agent-refused", do="- engage: { call: 'agent:1.0.0@default', with: { agent: payer, input: { message: 'refund 250' } }, output: { as: '${ .reply }' } }\n",
        answers={"approval": False}),
    Told(name="child", do="""\
- before: { set: { x: 1 } }
- sub: { run: { workflow: { namespace: stored, name: http, version: '1.0.0', input: { x: '${ .x }' } } } }
- aside: { run: { workflow: { namespace: stored, name: wait-and-emit, version: '1.0.0' }, await: false } }
"""),
    Told(name="listen", do="""\
- one: { listen: { to: { one: { with: { type: com.example.order } } } }, export: { as: '${ { order: .[0].id } }' } }
- both:
    listen: { to: { all: [ { with: { type: com.example.paid, data: { id: '${ $context.order }' } } }, { with: { type: com.example.packed } } ] }, read: envelope }
    foreach: { item: event, do: [ { note: { set: { got: '${ $event.type }' } } } ] }
- last: { listen: { to: { any: [ { with: { type: com.example.note } } ], until: { one: { with: { type: com.example.done } } } } } }
""", events=(("com.example.order", {"id": 7}), ("com.example.packed", None), ("com.example.paid", {"id": 8}), ("com.example.paid", {"id": 7}),
        ("com.example.note", "a"), ("com.example.note", "b"), ("com.example.done", None))),
    Told(name="cancelled", do="- both:\n    fork:\n      branches:\n        - sub: { run: { workflow: { namespace: stored, name: human, version: '1.0.0' } } }\n        - nap: { wait: { hours: 1 } }\n",
        cancel=True),
    Told(name="tried-again", do=_post("flaky", "/flaky") + _post("after", "/after"), retry=True),
    Told(name="interrupted", do=_post("before", "/before") + _post("letter", "/letter", idempotent=False) + _post("after", "/after"),
        answers={"interrupted": {"said": "ana"}}, killed_at=4),
)  # fmt: skip

_HEAD = "document: { dsl: '1.0.3', namespace: stored, name: %s, version: '1.0.0' }\ndo:\n"


def project_files(address: str) -> dict[str, str]:
    """Path → text of the whole project."""
    files = {
        "orchestrion.yaml": (
            f"egress: {{ allow: ['{address}'] }}\nroles: [lead]\n"
            "connections: { book: { url: 'sqlite:///book.db', write: true } }\n"
        ),
        "policies/all.cedar": POLICY,
        "agents/payer.yaml": AGENT.replace("ADDRESS", address),
        "book.db": "",  # an empty file is an empty database
        "playbooks/mood.yaml": "rules:\n  - name: always\n    answer: { mood: good }\n",
    }
    for told in STORED:
        text = _HEAD % told.name + "".join(f"  {line}\n" for line in told.do.splitlines())
        files[f"workflows/{told.name}.yaml"] = text.replace("ADDRESS", address)
    return files
