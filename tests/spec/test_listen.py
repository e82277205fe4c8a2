"""What is wrong with a `listen` or `schedule.on` is said where it stands."""

import pytest
from inline_snapshot import snapshot

from orchestrion.spec import Condition, ListenTask, Strategy, read

HEAD = "document: { dsl: '1.0.3', namespace: test, name: sample, version: '1.0.0' }\n"
TASKS = "do: [ { a: { set: { b: 1 } } } ]\n"


def said(text: str) -> list[str]:
    reading = read(HEAD + text, file="w.yaml")
    assert (reading.document is None) == any(f.severity == "error" for f in reading.findings)
    return [str(finding).removeprefix("w.yaml:") for finding in reading.findings]


def test_every_mistake_has_its_place() -> None:
    text = """\
do:
  - nothing: { listen: { too: { one: {} } } }
  - both: { listen: { to: { one: { with: { type: a } }, any: [] } } }
  - none: { listen: { to: {} } }
  - empty: { listen: { to: { one: { with: {} } } } }
  - noWith: { listen: { to: { any: [ { correlate: {} } ] } } }
  - endless: { listen: { to: { one: { with: { type: a } }, until: '. > 1' } } }
  - twice: { listen: { to: { any: [], until: { any: [], until: 'true' } } } }
  - waitsForNothing: { listen: { to: { all: [] } } }
  - camel: { listen: { to: { one: { with: { orderId: 7, type: 5 } } } } }
  - pattern: { listen: { to: { one: { with: { type: 'com.(' } } } } }
  - noFrom: { listen: { to: { one: { with: { type: a }, correlate: { order: { expect: 1 } } } } } }
  - reading: { listen: { to: { any: [] }, read: all } }
  - alike: { listen: { to: { any: [] } }, foreach: { item: x, at: x } }
  - inner: { listen: { to: { any: [] } }, foreach: { do: [ { again: { sett: {} } } ], out: 1 } }
"""
    assert said(text) == snapshot(
        [
            "3:16 error[missing-field] `to` is missing. Add `to:`.",
            "3:26 error[unknown-field] 'too' is not known here. Did you mean 'to'?",
            "4:23 error[bad-strategy] Events are consumed by `one`, `any` or `all`; this has `one` and `any`. Write `one: { with: { type: ... } }`.",
            "5:23 error[bad-strategy] Events are consumed by `one`, `any` or `all`; this has none of them. Write `one: { with: { type: ... } }`.",
            "6:37 error[empty-filter] The filter names nothing. Name the event: `type: com.example.order.placed`. Every event: `any: []`.",
            "7:38 error[missing-field] `with` is missing. Add `with:`.",
            "8:60 error[bad-until] `until` ends an `any`; `one` ends by itself. Remove it.",
            "9:57 error[bad-until] What ends listening has no `until` of its own. Remove it.",
            "10:45 error[no-events] `all` of no events waits for nothing. Name an event, or use `any: []`.",
            "11:45 error[bad-attribute] 'orderId' cannot name an attribute of an event. Attributes have names of small letters and digits; what an event holds stands under `data`.",
            "11:63 error[wrong-type] This must be text; it is a whole number. Put it in quotes.",
            "12:53 error[bad-pattern] 'com.(' is no regular expression: missing ), unterminated subpattern at position 4. Text is taken as a regular expression. Write the character itself with \\ before it.",
            "13:70 error[missing-field] `from` is missing. Add `from:`.",
            "14:49 error[bad-value] 'all' is not one of data, envelope, raw.",
            "15:52 error[bad-variable] `item` and `at` are both 'x'. Name them apart.",
            "16:62 error[no-kind] The task does not say what it does. Did you mean 'set' where 'sett' stands?",
            "16:87 error[unknown-field] 'out' is not known here. Did you mean 'output'?",
        ]
    )


def test_what_starts_a_run_knows_nothing_but_the_event() -> None:
    text = """\
schedule:
  on:
    all:
      - { with: { type: a }, correlate: { room: { from: .roomid } } }
      - { with: { type: b } }
    until: 'true'
  read: envelope
"""
    assert said(text + TASKS) == snapshot(
        [
            "4:5 error[correlate-differs] The events correlate by different names. Give each the same `correlate` names: events belong together when all their values are equal.",
            "7:5 error[bad-until] `until` ends an `any`; `all` ends by itself. Remove it.",
            "7:5 error[bad-until] `until` has no meaning for what starts a run. Each event of an `any` starts a run; let the run `listen` for what follows.",
        ]
    )
    assert said("schedule: { read: data }\n" + TASKS) == snapshot(
        [
            "2:1 error[bad-schedule] A schedule names one kind of start; this has nothing. Name one of `cron`, `every`, `after`, `on`; make a workflow of each where several are meant.",
            "2:13 error[missing-field] `read` says how the events of `on` are read. Add `on:`, or remove it.",
        ]
    )
    assert said("schedule: { on: { any: [] } }\n" + TASKS) == snapshot(
        [
            "2:19 warning[listens-to-everything] Every event starts a run. Name a type: each event, also those of its own runs, starts another."
        ]
    )


def test_the_variables_of_foreach_are_known_in_it() -> None:
    text = (
        "do:\n  - a:\n      listen: { to: { any: [] } }\n      foreach:\n        item: event\n        at: n\n"
        "        do: [ { b: { set: { x: '${ $event }', n: '${ $n }' } } } ]\n"
        "        output: { as: '${ $event }' }\n"
    )
    document = read(HEAD + text).document
    assert document is not None
    assert all({"event", "n"} <= each.variables for each in document.expressions)


@pytest.mark.parametrize(
    ("wanted", "conditions"),
    [
        ("{ type: a.b-c/d }", [Condition(at=("type",), literal="a.b-c/d")]),
        ("{ type: 'a|b' }", [Condition(at=("type",), literal="a|b", pattern="a|b")]),
        ("{ roomid: 7 }", [Condition(at=("roomid",), literal=7)]),
        ("{ data: '${ .x > 1 }' }", [Condition(at=("data",), program=".x > 1")]),
        (
            "{ data: { kind: final, order: { id: '${ $context.id }' } } }",
            [
                Condition(at=("data", "kind"), literal="final"),
                Condition(at=("data", "order", "id"), program="$context.id"),
            ],
        ),
    ],
)
def test_what_a_filter_asks_for(wanted: str, conditions: list[Condition]) -> None:
    document = read(HEAD + f"do:\n  - a: {{ listen: {{ to: {{ one: {{ with: {wanted} }} }} }} }}\n").document
    assert document is not None
    task = document.task("a")
    assert isinstance(task, ListenTask)
    assert isinstance(task.to, Strategy)
    assert list(task.to.patterns[0].conditions) == conditions
