"""Workflows whose every effect can be counted, for killing an engine in the middle of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrion.core import Json

from .openai_server import Behaviour

_HEAD = "document: { dsl: '1.0.3', namespace: crash, name: %s, version: '1.0.0' }\n"


def _post(name: str, path: str, *, indent: int = 2, idempotent: bool = True, more: str = "") -> str:
    metadata = "metadata: { idempotent: true }, " if idempotent else ""
    return (
        f"{' ' * indent}- {name}: {{ call: http, {metadata}{more}"
        f"with: {{ method: post, endpoint: 'http://ADDRESS{path}', body: {{ step: {name} }} }} }}\n"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A workflow over a counting server; ADDRESS in its text stands for the server."""

    name: str
    text: str
    effects: Mapping[str, int]
    """Path → how many effects there must be in the end, however often the engine was killed."""
    output: Json
    """`...` for anything."""
    child: str | None = None
    agent: str | None = None
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """More of its project: path → text, ADDRESS in it as above, MODEL for the server of the language model."""
    model: Sequence[Behaviour] = ()
    """What a language model says, one answer after another."""
    promises_interrupted: bool = False
    """Whether a kill may end in a person's inbox."""
    answers: Mapping[str, Json] = field(default_factory=dict[str, Json])
    events: Sequence[tuple[str, Json]] = ()
    """Type and data of what is sent from outside, again after each kill."""

    def __str__(self) -> str:
        return self.name


ANYTHING: Json = "..."

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="sequence",
        text="do:\n" + _post("one", "/one") + _post("two", "/two") + _post("three", "/three"),
        effects={"/one": 1, "/two": 1, "/three": 1},
        output={"path": "/three", "got": {"step": "three"}},
    ),
    Scenario(
        name="fork",
        text="do:\n  - all:\n      fork:\n        branches:\n"
        + "".join(_post(name, f"/{name}", indent=10) for name in ("left", "middle", "right"))
        + "  - count: { set: { branches: '${ length }' } }\n",
        effects={"/left": 1, "/middle": 1, "/right": 1},
        output={"branches": 3},
    ),
    Scenario(
        name="compete",
        text="do:\n  - race:\n      fork:\n        compete: true\n        branches:\n"
        + _post("slow", "/hang", indent=10)
        + _post("fast", "/fast", indent=10)
        + _post("after", "/after"),
        effects={"/fast": 1, "/after": 1},
        output={"path": "/after", "got": {"step": "after"}},
    ),
    Scenario(
        name="for",
        text="do:\n  - each:\n      for: { each: n, in: '${ [1, 2, 3] }' }\n      do:\n"
        + _post("item", "/item", indent=8)
        + "        - note: { set: { last: '${ $n }' }, export: { as: '${ ($context // []) + [$n] }' } }\n"
        + "  - seen: { set: { seen: '${ $context }' } }\n",
        effects={"/item": 3},
        output={"seen": [1, 2, 3]},
    ),
    Scenario(
        name="loop-back",
        text="do:\n  - begin: { set: { rounds: 0 }, export: { as: '${ . }' } }\n"
        + _post("round", "/round")
        + "  - add: { set: { rounds: '${ $context.rounds + 1 }' }, export: { as: '${ . }' } }\n"
        + "  - again:\n      switch:\n        - more: { when: '.rounds < 3', then: round }\n        - enough: { then: end }\n",
        effects={"/round": 3},
        output={"rounds": 3},
    ),
    Scenario(
        name="retry",
        text="do:\n  - trying:\n      try:\n"
        + _post("flaky", "/flaky", indent=8)
        + "      catch:\n        errors: { with: { status: 503 } }\n"
        + "        retry: { delay: { milliseconds: 5 }, limit: { attempt: { count: 5 } } }\n"
        + _post("after", "/after"),
        effects={"/flaky": 1, "/after": 1},
        output={"path": "/after", "got": {"step": "after"}},
    ),
    Scenario(
        name="compensate",
        text="do:\n  - saga:\n      try:\n"
        + _post("book", "/book", indent=8, more="export: { as: '${ { receipt: .path } }' }, ")
        + _post("fail", "/missing", indent=8)
        + "      catch:\n        as: problem\n        do:\n"
        + "          - undo: { if: '$context.receipt != null', call: http, metadata: { idempotent: true }, "
        + "with: { method: post, endpoint: 'http://ADDRESS/undo', body: { undo: '${ $context.receipt }' } } }\n"
        + "          - told: { set: { undone: '${ $context.receipt }', because: '${ $problem.status }' } }\n",
        effects={"/book": 1, "/undo": 1},
        output={"undone": "/book", "because": 404},
    ),
    Scenario(
        name="timeout-race",
        text="do:\n  - trying:\n      try:\n"
        + _post("hang", "/hang", indent=8, more="timeout: { after: { milliseconds: 150 } }, ")
        + "      catch:\n        errors: { with: { status: 408 } }\n        do:\n"
        + _post("instead", "/instead", indent=10),
        effects={"/instead": 1},
        output={"path": "/instead", "got": {"step": "instead"}},
    ),
    Scenario(
        name="child",
        text="do:\n"
        + _post("before", "/before")
        + "  - sub: { run: { workflow: { namespace: crash, name: child-workflow, version: '1.0.0', input: { x: 1 } } } }\n"
        + _post("after", "/after"),
        child=_HEAD % "child-workflow" + "do:\n" + _post("inner", "/inner"),
        effects={"/before": 1, "/inner": 1, "/after": 1},
        output={"path": "/after", "got": {"step": "after"}},
    ),
    Scenario(
        name="question",
        text="do:\n  - ask:\n      call: human:1.0.0@default\n      timeout: { after: { days: 1 } }\n      with: { role: lead, "
        "title: 'How many?', form: { type: object, required: [n], properties: { n: { type: integer } } } }\n"
        "      output: { as: '${ { n: .n } }' }\n" + "  - keep: { call: http, metadata: { idempotent: true }, "
        "with: { method: post, endpoint: 'http://ADDRESS/kept', body: '${ . }' } }\n",
        effects={"/kept": 1},
        output={"path": "/kept", "got": {"n": 7}},
        answers={"human": {"n": 7}},
    ),
    Scenario(
        name="agent-with-approval",
        text="do:\n  - engage: { call: 'agent:1.0.0@default', with: { agent: payer, input: { message: 'refund 250' } } }\n",
        agent="payer",
        effects={"/lookup": 1, "/refund": 1},
        output={"reply": "Refunded."},
    ),
    Scenario(
        name="letter",
        text="do:\n"
        + _post("before", "/before")
        + _post("letter", "/letter", idempotent=False)
        + _post("after", "/after"),
        effects={"/before": 1, "/letter": 1, "/after": 1},
        output={"path": "/after", "got": {"step": "after"}},
        promises_interrupted=True,
    ),
    Scenario(
        name="nested",
        text="do:\n  - outer:\n      for: { each: n, in: '${ [1, 2] }' }\n      do:\n        - both:\n            fork:\n"
        "              branches:\n"
        + _post("a", "/a", indent=16)
        + "                - b:\n                    try:\n"
        + _post("c", "/flaky", indent=22)
        + "                    catch:\n                      retry: { limit: { attempt: { count: 4 } } }\n",
        effects={"/a": 2, "/flaky": 2},
        output=ANYTHING,
    ),
    Scenario(
        name="listen-to-all",
        text="do:\n"
        + _post("before", "/before")
        + "  - both:\n      listen:\n        to:\n          all:\n"
        + "            - { with: { type: placed }, correlate: { order: { from: .data.order } } }\n"
        + "            - { with: { type: paid }, correlate: { order: { from: .data.order } } }\n"
        + "      export: { as: '${ . }' }\n"
        + _post("after", "/after")
        + "  - seen: { set: { seen: '${ $context }' } }\n",
        events=(("placed", {"order": 1}), ("paid", {"order": 2}), ("paid", {"order": 1, "cents": 5})),
        effects={"/before": 1, "/after": 1},
        output={"seen": [{"order": 1}, {"order": 1, "cents": 5}]},
    ),
    Scenario(
        name="listen-foreach",
        text="do:\n  - each:\n      listen: { to: { any: [ { with: { type: tick } } ], "
        "until: { one: { with: { type: enough } } } } }\n      foreach:\n        item: tick\n        do:\n"
        + _post("item", "/item", indent=10)
        + "          - note: { set: { n: '${ $tick }' }, export: { as: '${ ($context // 0) + $tick }' } }\n"
        + "        output: { as: .n }\n"
        + "  - sum: { set: { ticks: '${ . }', sum: '${ $context }' } }\n",
        events=(("tick", 1), ("tick", 2), ("tick", 3), ("enough", None)),
        effects={"/item": 3},
        output={"ticks": [1, 2, 3], "sum": 6},
    ),
    Scenario(
        name="listen-until",
        text="do:\n  - begin: { set: { rounds: 0 }, export: { as: '${ { rounds: 0, seen: [] } }' } }\n"
        "  - some: { listen: { to: { any: [ { with: { type: tick } } ], until: 'length == 2' } } }\n"
        + "  - add: { set: { seen: '${ . }' }, "
        "export: { as: '${ { rounds: ($context.rounds + 1), seen: ($context.seen + .seen) } }' } }\n"
        + _post("round", "/round")
        + "  - again:\n      switch:\n        - more: { when: '$context.rounds < 3', then: some }\n"
        + "        - enough: { then: tell }\n"
        + "  - tell: { set: { seen: '${ $context.seen }' } }\n",
        events=tuple(("tick", n) for n in range(7)),
        effects={"/round": 3},
        output={"seen": [0, 1, 2, 3, 4, 5]},
    ),
    Scenario(
        name="emit-and-answer",
        text="do:\n"
        + _post("before", "/before")
        + "  - ask: { emit: { event: { with: { type: asked, data: { id: 7 } } } } }\n"
        + "  - answered: { listen: { to: { one: { with: { type: answered, data: { id: 7 } } } } } }\n"
        + "  - keep: { call: http, metadata: { idempotent: true }, "
        "with: { method: post, endpoint: 'http://ADDRESS/kept', body: '${ .[0] }' } }\n",
        child=_HEAD % "the-child"
        + "schedule: { on: { one: { with: { type: asked } } } }\ndo:\n"
        + _post("work", "/work")
        + "  - tell: { emit: { event: { with: { type: answered, data: { id: '${ $workflow.input[0].id }', n: 42 } } } } }\n",
        effects={"/before": 1, "/work": 1, "/kept": 1},
        output={"path": "/kept", "got": {"id": 7, "n": 42}},
    ),
)


def document_text(scenario: Scenario, address: str) -> str:
    return (_HEAD % scenario.name + scenario.text).replace("ADDRESS", address)


def child_text(scenario: Scenario, address: str) -> str | None:
    return scenario.child.replace("ADDRESS", address) if scenario.child else None


AGENT = """\
name: payer
model: playbook
input: { type: object, required: [message], properties: { message: { type: string } } }
tools:
  - name: lookup
    description: Finds the charge.
    write: true
    idempotent: true
    parameters: { type: object, properties: {} }
    http: { method: put, endpoint: 'http://ADDRESS/lookup', body: {} }
  - name: refund
    description: Pays back.
    write: true
    idempotent: true
    parameters: { type: object, required: [cents], properties: { cents: { type: integer } } }
    http: { method: post, endpoint: 'http://ADDRESS/refund', body: { cents: '{cents}' } }
playbook:
  rules:
    - name: look the charge up
      when: { says: [refund] }
      call: lookup
    - name: pay it back
      when: { done: lookup }
      call: refund
      arguments: { cents: 25000 }
    - name: refused
      when: { refused: refund }
      answer: { reply: 'Refused.' }
    - name: say so
      answer: { reply: 'Refunded.' }
"""

POLICY = """\
@id("workflows-may") permit (principal is Workflow, action, resource);
@id("payer-looks-up") permit (principal == Agent::"payer", action == Action::"lookup", resource);
@id("small-refunds") permit (principal == Agent::"payer", action == Action::"refund", resource)
  when { context.arguments.cents <= 10000 };
@id("large-refunds") @reason("Large refunds are approved by a lead.")
permit (principal == Agent::"payer", action == Action::"refund", resource)
  when { context has approval && context.approval.role == "lead" };
"""
