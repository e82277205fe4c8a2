"""Extensions in the story of a run: around their task, and in its place."""

from collections.abc import Mapping

import pytest
from inline_snapshot import snapshot

from orchestrion.cli._moments import moments
from orchestrion.cli._story import story
from orchestrion.cli._tree import lines
from orchestrion.core import Datum, Json, LeafContext, Outcome, SystemClock, TransientError
from orchestrion.expressions import Expressions
from orchestrion.journal import MemoryJournal
from orchestrion.testing import Scripted, Stage, read_document, walk_document

pytestmark = pytest.mark.anyio

DOCUMENT = """
document: { dsl: '1.0.3', namespace: test, name: extended, version: '1.0.0' }
use:
  extensions:
    - log:
        extend: call
        before: [ noteBefore: { call: say:1.0.0@default, with: { text: before } } ]
        after: [ noteAfter: { call: say:1.0.0@default, with: { text: after } } ]
    - mock:
        extend: call
        when: $task.name == "mocked"
        before: [ given: { set: { mocked: true }, then: exit } ]
    - check:
        extend: switch
        before: [ stop: { if: .stop, raise: { error: { type: 'https://example.com/stop', status: 403, title: Stopped } } } ]
do:
  - loaded: { call: say:1.0.0@default, with: { text: itself } }
  - mocked: { call: say:1.0.0@default, with: { text: never } }
  - failing: { try: [ broken: { call: fail:1.0.0@default } ], catch: { do: [ saved: { set: { stop: false } } ] } }
  - way: { switch: [ any: { then: continue } ] }
  - halted: { input: { from: '${ { stop: true } }' }, do: [ inner: { switch: [ some: { then: continue } ] } ] }
"""


async def say(arguments: Mapping[str, Json], _: LeafContext) -> Outcome:
    return Outcome(output=Datum({"said": arguments["text"]}))


async def fail(_: Mapping[str, Json], __: LeafContext) -> Outcome:
    raise TransientError("away", "It is away.")


async def told() -> tuple[list[str], list[str]]:
    journal, document = MemoryJournal(SystemClock()), read_document(DOCUMENT)
    stage = Stage(functions=(Scripted(name="say", act=say), Scripted(name="fail", act=fail)))
    async with Expressions() as expressions:
        run = await walk_document(document, {}, journal=journal, stage=stage, evaluator=expressions)
    found = story(run, await journal.entries(run.id), await journal.requests(run_id=run.id), document)
    drawn = [str(line)[:46].rstrip() for line in lines(found, width=100, ascii=False)]
    return moments(found), drawn[drawn.index("") + 1 :]


async def test_extensions_stand_around_their_task() -> None:
    _, drawn = await told()
    assert drawn == snapshot(
        [
            "├─ ✓ loaded  say",
            "│  │  gave said: itself",
            "│  ├─ ✓ log, before  extension",
            "│  │  └─ ✓ noteBefore  say",
            "│  │        gave said: before",
            "│  └─ ✓ log, after  extension",
            "│     └─ ✓ noteAfter  say",
            "│           gave said: after",
            "├─ ✓ mocked → replaced by mock",
            '│  │  because $task.name == "mocked"',
            "│  ├─ ✓ log, before  extension",
            "│  │  └─ ✓ noteBefore  say",
            "│  │        gave said: before",
            "│  ├─ ✓ mock, before  extension",
            "│  │  └─ ✓ given  set",
            "│  │        gave mocked: yes",
            "│  └─ ✓ log, after  extension",
            "│     └─ ✓ noteAfter  say",
            "│           gave said: after",
            "├─ ✓ failing  try",
            "│  │  the failure was caught, and the run went",
            "│  ├─ ✗ attempt 1",
            "│  │  └─ ✗ broken  fail",
            "│  │     │  Away: It is away.",
            "│  │     └─ ✓ log, before  extension",
            "│  │        └─ ✓ noteBefore  say",
            "│  │              gave said: before",
            "│  └─ ✓ after the failure",
            "│     └─ ✓ saved  set",
            "│           gave stop: no",
            "├─ ✓ way → any  switch",
            "│  │  because none of the cases before it held",
            "│  └─ ✓ check, before  extension",
            "│     └─ – stop",
            "│           its condition did not hold: .stop",
            "└─ ✗ halted  group",
            "   └─ ✗ inner  group",
            "         Stopped",
        ]
    )


async def test_in_short_only_what_was_done_counts() -> None:
    short, _ = await told()
    assert short == snapshot(
        [
            "say: loaded",
            "say: noteBefore",
            "say: noteAfter",
            "mocked: replaced by mock",
            "say: noteBefore",
            "say: noteAfter",
            "failing: failure caught",
            "fail: broken failed (away)",
            "say: noteBefore",
            "way: any",
            "stop skipped",
            "halted failed",
            "inner failed (Stopped)",
        ]
    )
