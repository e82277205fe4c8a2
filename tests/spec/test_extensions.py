"""Extensions as they are read: each mistake with its place, each doubt a warning."""

import re
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from orchestrion.spec import read

HEAD = "document: { dsl: '1.0.3', namespace: test, name: sample, version: '1.0.0' }\n"
DO = "do:\n  - load: { set: { x: 1 } }\n"


def found(extensions: str, do: str = DO) -> list[str]:
    text = f"{HEAD}use:\n  extensions:\n{extensions}{do}"
    return [f"{f.line}:{f.column} {f.code}: {f.message} {f.hint or ''}".strip() for f in read(text).findings]


def test_an_extension_is_read_with_its_tasks() -> None:
    text = f"{HEAD}use:\n  extensions:\n    - log: {{ extend: set, when: '.x > 1', before: [ note: {{ wait: PT1S }} ] }}\n{DO}"
    document = read(text).document

    assert document is not None
    (log,) = document.extensions
    assert (log.name, log.pointer, log.extend, log.when, log.after) == (
        "log",
        "/use/extensions/0/log",
        "set",
        ".x > 1",
        (),
    )
    assert document.task("note") is log.before[0]
    assert [each.pointer for each in document.expressions] == ["/use/extensions/0/log/when"]


@pytest.mark.parametrize(
    ("extensions", "finding"),
    [
        (
            "    - log: { before: [ b: { wait: PT1S } ] }\n",
            snapshot("4:7 missing-field: `extend` is missing. Add `extend:`."),
        ),
        (
            "    - log: { extend: function, before: [ b: { wait: PT1S } ] }\n",
            snapshot(
                "4:22 bad-value: 'function' is not one of call, composite, emit, for, listen, raise, run, set, switch, try, wait, all."
            ),
        ),
        (
            "    - log: { extend: set, befor: [ b: { wait: PT1S } ], after: [ c: { wait: PT1S } ] }\n",
            snapshot("4:27 unknown-field: 'befor' is not known here. Did you mean 'before'?"),
        ),
        (
            "    - log: { extend: set, before: { b: { wait: PT1S } } }\n",
            snapshot("4:35 wrong-type: This must be a list; it is an object."),
        ),
        (
            "    - log: { extend: set, before: [ load: { wait: PT1S } ] }\n",
            snapshot(
                "4:37 duplicate-task: The task name 'load' is taken, at /do/0/load. Names are unique in the whole document."
            ),
        ),
        (
            "    - log: { extend: set, before: [ b: { wait: PT1S } ] }\n    - log: { extend: set, before: [ c: { wait: PT1S } ] }\n",
            snapshot(
                "5:7 duplicate-extension: The extension name 'log' is taken, at /use/extensions/0/log. Give one another name."
            ),
        ),
        (
            "    - 'a#1': { extend: set, before: [ b: { wait: PT1S } ] }\n",
            snapshot("4:7 bad-name: 'a#1' cannot name an extension. Use a short name of letters and digits."),
        ),
        (
            "    - log: { extend: set, before: [ b: { wait: PT1S, then: load } ] }\n",
            snapshot(
                "4:60 unknown-task: `then` names task 'load', which does not exist here. It stands in another list, at /do/0/load. `then` leads to a task of the same list."
            ),
        ),
        (
            "    - log: { extend: set, when: true, before: [ b: { wait: PT1S } ] }\n",
            snapshot(
                "4:33 wrong-type: This must be an expression; it is true or false. Write 'true' in quotes: an expression is text."
            ),
        ),
        (
            "    log: { extend: set, before: [ b: { wait: PT1S } ] }\n",
            snapshot("4:5 wrong-type: This must be a list; it is an object."),
        ),
    ],
)
def test_mistakes(extensions: str, finding: str) -> None:
    assert "\n".join(found(extensions)) == finding


def test_an_extension_without_tasks_does_nothing() -> None:
    assert found("    - log: { extend: set }\n") == snapshot(
        ["4:7 empty-extension: The extension 'log' does nothing. Add `before` or `after`."]
    )


def test_an_extension_of_a_kind_that_the_document_does_not_have() -> None:
    assert found("    - log: { extend: call, before: [ b: { wait: PT1S } ] }\n") == snapshot(
        ["4:22 nothing-extended: There is no task that 'log' could extend. The tasks here are: set."]
    )


def test_data_that_stays_in_the_extension() -> None:
    assert found("    - log: { extend: set, after: [ b: { set: { y: 1 } } ] }\n") == snapshot(
        [
            "4:36 extension-drops-data: Nobody sees what 'b' gives: an extension's data stays in it. Add `then: exit` if it takes the place of the extended task's output, or an `export`."
        ]
    )
    assert found("    - log: { extend: set, after: [ b: { set: { y: 1 }, then: exit } ] }\n") == []
    assert (
        found("    - log: { extend: set, after: [ b: { set: { y: 1 }, export: { as: '${ $context + . }' } } ] }\n")
        == []
    )


def test_tasks_of_extensions_are_looked_at_as_all_others() -> None:
    do = "do:\n  - load: { set: { x: 1 }, export: { as: '${ { a: . } }' } }\n"
    extension = "    - log: { extend: set, before: [ b: { wait: PT1S, export: { as: '${ { b: . } }' }, then: end }, c: { wait: PT1S } ] }\n"
    assert [line.split(":")[1].split()[1] for line in found(extension, do)] == [
        "export-drops-context",
        "unreachable-task",
    ]


def test_the_guides_extensions_are_read() -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "dry-runs-and-extensions.md"
    (block,) = (text for text in re.findall(r"```yaml\n(.*?)```", guide.read_text(), re.DOTALL) if "use:" in text)
    reading = read(
        f"{HEAD}{block}do:\n  - callPartner: {{ call: http, with: {{ method: get, endpoint: 'https://partner' }} }}\n"
    )

    assert [str(finding) for finding in reading.findings] == []
    assert reading.document is not None
    assert [each.name for each in reading.document.extensions] == ["audit", "rehearsal"]
