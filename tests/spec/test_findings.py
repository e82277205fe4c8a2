"""What is wrong with a document is said where it is, with what to do, and all at once."""

import pytest
from inline_snapshot import snapshot

from orchestrion.spec import finding_at, read

HEAD = "document: { dsl: '1.0.3', namespace: test, name: sample, version: '1.0.0' }\n"


def said(text: str) -> list[str]:
    reading = read(text, file="w.yaml")
    assert (reading.document is None) == any(f.severity == "error" for f in reading.findings)
    return [str(finding).removeprefix("w.yaml:") for finding in reading.findings]


def test_everything_is_said_at_once() -> None:
    text = """\
document:
  dsl: '2.0.0'
  namespace: my desk
  nam: x
do:
  - ask:
      set: hello
      thn: reply
  - ask:
      call: http
      with:
        method: get
        endpoint: https://example.com/a b
        headers: { X-Count: 5 }
      then: replly
  - reply:
      wait: 5 minutes
  - nothing: {}
  - two: { set: { a: 1 }, wait: PT1S }
"""
    assert said(text) == snapshot(
        [
            "1:1 error[missing-field] `name` is missing. Add `name:`.",
            "1:1 error[missing-field] `version` is missing. Add `version:`.",
            "2:8 error[bad-dsl] '2.0.0' cannot be the dsl of a workflow. This reads the versions 1.0.0 to 1.0.3: write dsl: '1.0.3'.",
            "3:14 error[bad-namespace] 'my desk' cannot be the namespace of a workflow. Use up to 63 letters, digits and hyphens; start and end with a letter or digit.",
            "4:3 error[unknown-field] 'nam' is not known here. Did you mean 'name'?",
            "8:7 error[unknown-field] 'thn' is not known here. Did you mean 'then'?",
            "9:5 error[duplicate-task] The task name 'ask' is taken, at /do/0/ask. Names are unique in the whole document.",
            "13:19 error[bad-uri] 'https://example.com/a b' is not a URI: it is empty or has spaces. Write spaces as %20.",
            "14:29 error[wrong-type] This must be text; it is a whole number. Put it in quotes.",
            "15:13 error[unknown-task] `then` names task 'replly', which does not exist here. Did you mean 'reply'?",
            "17:13 error[bad-duration] '5 minutes' cannot be used. The text is not an ISO 8601 duration. Write { minutes: 5 } or PT5M. Years and months have no fixed length: use days.",
            "18:5 error[no-kind] The task does not say what it does. Add one of: call, do, emit, for, fork, listen, raise, run, set, switch, try, wait.",
            "19:5 error[several-kinds] A task does one thing; this has `set`, `wait`. Make a task of each.",
        ]
    )


@pytest.mark.parametrize(
    ("body", "rendered"),
    [
        ("do: { a: 1 }", snapshot(["2:5 error[wrong-type] This must be a list; it is an object."])),
        (
            "do: [ { a: { set: { x: 1 } }, b: { set: { x: 1 } } } ]",
            snapshot(
                [
                    "2:7 error[not-one-name] Each entry of this list is one named task; this has 2 names. Write `- name:` and indent the task below it."
                ]
            ),
        ),
        ("do: [ a ]", snapshot(["2:7 error[wrong-type] This must be an object; it is text."])),
        (
            "do: [ end: { set: { x: 1 } } ]",
            snapshot(["2:7 error[reserved-name] 'end' is a direction of `then`. Choose another name."]),
        ),
        (
            "do: [ a: { do: [ b: { set: { x: 1 }, then: c } ] }, c: { set: { x: 1 } } ]",
            snapshot(
                [
                    "2:44 error[unknown-task] `then` names task 'c', which does not exist here. It stands in another list, at /do/1/c. `then` leads to a task of the same list."
                ]
            ),
        ),
        (
            "do: [ f: { fork: { branches: [ a: { set: { x: 1 }, then: b }, b: { set: { x: 1 } } ] } } ]",
            snapshot(
                [
                    "2:58 error[unknown-task] `then` names the branch 'b'; branches run side by side. Use continue, exit or end, or a `do` inside the branch."
                ]
            ),
        ),
        (
            "do: [ f: { fork: { branches: [] } } ]",
            snapshot(["2:30 error[no-branches] A fork needs a branch. Add a named task."]),
        ),
        (
            "do: [ a: { cal: http } ]",
            snapshot(
                ["2:7 error[no-kind] The task does not say what it does. Did you mean 'call' where 'cal' stands?"]
            ),
        ),
        (
            "do: [ a: { if: true, set: {} } ]",
            snapshot(
                [
                    "2:16 error[wrong-type] This must be an expression; it is true or false. Write 'true' in quotes: an expression is text.",
                    "2:27 error[empty-set] `set` needs a field. Write `set: '${ {} }'` for an empty object.",
                ]
            ),
        ),
        (
            "do: [ a: { set: { x: '${ }' } } ]",
            snapshot(["2:22 error[empty-expression] The expression is empty. Write `.` for the whole input."]),
        ),
        (
            "do: [ a: { for: { in: [1, 2], each: input }, do: [] } ]",
            snapshot(
                [
                    "2:24 error[wrong-type] The items of an inline list must be objects. The standard takes objects in an inline list; write any other list as an expression: '${ [1, 2] }'.",
                    "2:27 error[wrong-type] The items of an inline list must be objects. The standard takes objects in an inline list; write any other list as an expression: '${ [1, 2] }'.",
                    "2:37 error[bad-variable] The variable 'input' has a meaning already. Choose another name.",
                ]
            ),
        ),
        (
            "do: [ a: { for: { in: .x, each: i, at: i } } ]",
            snapshot(
                [
                    "2:7 error[missing-field] `do` is missing. Add the tasks to repeat.",
                    "2:17 error[bad-variable] `each` and `at` are both 'i'. Name them apart.",
                ]
            ),
        ),
        (
            "do: [ a: { wait: PT0S } ]",
            snapshot(["2:18 error[bad-duration] The duration is zero. Give at least a millisecond."]),
        ),
        (
            "do: [ a: { wait: P1Y } ]",
            snapshot(
                [
                    "2:18 error[bad-duration] 'P1Y' cannot be used. The text is not an ISO 8601 duration. Write { minutes: 5 } or PT5M. Years and months have no fixed length: use days."
                ]
            ),
        ),
        (
            "do: [ a: { wait: { minutes: 1.5 } } ]",
            snapshot(
                [
                    "2:18 error[bad-duration] {'minutes': 1.5} cannot be used. 'minutes' takes a whole number. Write { minutes: 5 } or PT5M. Years and months have no fixed length: use days."
                ]
            ),
        ),
        (
            "do: [ a: { wait: { weeks: 1 } } ]",
            snapshot(
                [
                    "2:18 error[bad-duration] {'weeks': 1} cannot be used. 'weeks' is not a unit of time. Write { minutes: 5 } or PT5M. Years and months have no fixed length: use days."
                ]
            ),
        ),
        (
            "do: [ a: { set: { x: 1 }, timeout: PT5S } ]",
            snapshot(
                [
                    "2:36 error[unknown-timeout] The timeout 'PT5S' does not exist here. A duration stands under `after`: `timeout: { after: PT5S }`."
                ]
            ),
        ),
        (
            "do: [ a: { set: { x: 1 }, timeout: slow } ]\nuse: { timeouts: { slowly: { after: PT1S } } }",
            snapshot(["2:36 error[unknown-timeout] The timeout 'slow' does not exist here. Did you mean 'slowly'?"]),
        ),
        (
            "do: [ a: { raise: { error: broke } } ]",
            snapshot(
                ["2:28 error[unknown-error] The error 'broke' does not exist here. Define it under `use.errors`."]
            ),
        ),
        (
            "do: [ a: { raise: { error: { type: 'x y', status: '400', instance: '${ .x }' } } } ]",
            snapshot(
                [
                    "2:36 error[bad-uri] 'x y' is not a URI: it is empty or has spaces. Write spaces as %20.",
                    "2:51 error[wrong-type] This must be a whole number; it is text.",
                    "2:68 error[bad-value] `instance` must be a JSON pointer, not an expression. Leave it out: it is filled with the place of the task.",
                ]
            ),
        ),
        (
            "do: [ a: { try: [], catch: { retry: often, errors: { with: {} } } } ]",
            snapshot(
                [
                    "2:37 error[unknown-retry] The retry policy 'often' does not exist here. Define it under `use.retries`.",
                    "2:60 error[empty-filter] The filter names nothing. Name a type or a status, or remove `errors`.",
                ]
            ),
        ),
        (
            "do: [ a: { try: [] } ]",
            snapshot(["2:7 error[missing-field] `catch` is missing. Add `catch:` with what to do about an error."]),
        ),
        (
            "do: [ a: { try: [], catch: { retry: { backoff: { constant: { x: 1 } }, jitter: { from: PT2S, to: PT1S } } } } ]",
            snapshot(
                [
                    "2:50 error[unsupported-backoff] A parameter of `backoff` is not supported. Write `{}`: the delay grows from `delay` alone.",
                    "2:80 error[bad-duration] The jitter ends before it starts. Swap `from` and `to`.",
                ]
            ),
        ),
        (
            "do: [ a: { switch: [] } ]",
            snapshot(
                [
                    "2:12 warning[switch-without-default] When no case of 'a' matches, the next task runs. Add a case without `when`, or a `then` to the task.",
                    "2:20 error[no-cases] A switch needs a case. Add `- name: { when, then }`.",
                ]
            ),
        ),
        (
            "do: [ a: { switch: [ x: { when: .a } ] } ]",
            snapshot(
                [
                    "2:12 warning[switch-without-default] When no case of 'a' matches, the next task runs. Add a case without `when`, or a `then` to the task.",
                    "2:22 error[missing-field] `then` is missing. Add `then:`.",
                ]
            ),
        ),
        (
            "do: [ a: { emit: { event: { with: { time: '${ now }' } } } } ]",
            snapshot(
                [
                    "2:29 error[missing-field] `type` is missing. Name the event: `type: com.example.order.placed`.",
                    "2:43 error[bad-value] `time` must be a literal date and time such as 2030-01-31T08:00:00Z. Leave it out: it is filled with the time the event is emitted.",
                ]
            ),
        ),
        (
            "do: [ a: { call: http, with: { method: get, endpoint: { uri: /pets, authentication: { use: nobody } } } } ]",
            snapshot(
                [
                    "2:62 error[bad-uri] '/pets' is not an http address. Start it with https:// or http://.",
                    "2:92 error[unknown-authentication] The authentication policy 'nobody' does not exist here. Define it under `use.authentications`.",
                ]
            ),
        ),
        (
            "do: [ a: { call: http, with: { method: get, endpoint: { uri: 'https://a.b', authentication: { basic: { use: it } } } } } ]",
            snapshot(
                [
                    "2:109 error[unknown-secret] The secret 'it' is not listed under `use.secrets`. List it: `use: { secrets: [it] }`."
                ]
            ),
        ),
        (
            "do: [ a: { call: http, with: { method: get, endpoint: { uri: 'https://a.b', authentication: { basic: { username: a }, bearer: { token: '${ .t }' } } } } } ]",
            snapshot(
                [
                    "2:77 error[not-one-scheme] A policy has one scheme; this has 2. Write one of `basic`, `bearer`, `digest`, `oauth2`, `oidc`, or `use` with the name of a policy.",
                    "2:95 error[missing-field] `password` is missing. Add `password:`.",
                ]
            ),
        ),
        (
            'do: [ a: { call: http, with: { method: get, endpoint: "${ .a\\n}" } } ]',
            snapshot(
                [
                    "2:55 error[several-lines] The expression may not have several lines here. Write it on one line, or fold it with `>-`."
                ]
            ),
        ),
        (
            "do: [ a: { call: http } ]",
            snapshot(["2:7 error[missing-field] `with` is missing. Add `with: { method, endpoint }`."]),
        ),
        (
            "do: [ a: { call: f } ]\nuse: { functions: { f: { call: g }, g: { call: f } } }",
            snapshot(["3:48 error[recursive-function] The function 'f' calls itself: f → g → f. Use `for` to repeat."]),
        ),
        (
            "do: []\ninput: { schema: { document: { type: objekt } } }",
            snapshot(
                [
                    "3:30 error[bad-schema] This is not a JSON Schema: at '/type', the value is not valid under any of the schemas listed in the 'anyOf' keyword."
                ]
            ),
        ),
        (
            "do: []\ninput: { schema: { document: { $ref: 'https://example.com/s.json' } } }",
            snapshot(
                [
                    "3:30 error[bad-schema] The JSON Schema refers to what is not in it. Write what it refers to under its `$defs`; nothing is fetched."
                ]
            ),
        ),
        (
            "do: []\noutput: { schema: { resource: { endpoint: 'https://example.com/s.json' } } }",
            snapshot(
                [
                    "3:21 error[unsupported-schema-resource] A schema in another place (`schema.resource`) is not supported. Write the schema here, under `schema.document`."
                ]
            ),
        ),
        (
            "do: []\ninput: { schema: { format: avro, document: {} } }",
            snapshot(
                [
                    "3:20 error[unsupported-schema-format] A schema format other than json is not supported. Write a JSON Schema under `schema.document`."
                ]
            ),
        ),
        (
            "do: []\nevaluate: { language: js, mode: loose }",
            snapshot(
                [
                    "3:13 error[unsupported-language] An expression language other than jq is not supported. Write the expressions in jq and remove `evaluate.language`.",
                    "3:27 error[unsupported-mode] Loose evaluation is not supported. Wrap expressions in `${ }` and remove `evaluate.mode`.",
                ]
            ),
        ),
        (
            "do: []\nuse: { catalogs: { mine: { endpoint: 'ftp://example.com' } } }",
            snapshot(
                [
                    "3:38 error[bad-uri] 'ftp://example.com' is neither an http address nor a file of the project. Start it with https:// or http://, or write a path that starts at the project's folder."
                ]
            ),
        ),
        (
            "do: [ a: { run: { return: code, workflow: { namespace: a, name: b, version: latest } } } ]",
            snapshot(
                [
                    "2:19 error[unsupported-run-return] `run.return` for a workflow is not supported. Remove it: the output of a workflow is its output."
                ]
            ),
        ),
        (
            "do: [ a: { run: { script: { language: js, code: '1' } } } ]",
            snapshot(
                [
                    "2:19 error[unsupported-run-script] `run.script` is not supported. It is off: processes run only where an operator allows the exact command. Call a function or an http service."
                ]
            ),
        ),
    ],
)
def test_a_mistake_is_reported(body: str, rendered: list[str]) -> None:
    assert said(HEAD + body) == rendered


def test_a_timezone_must_exist() -> None:
    text = "document: { dsl: '1.0.3', namespace: a, name: b, version: '1.0.0', metadata: { timezone: ../etc } }\ndo: []"
    assert said(text) == snapshot(
        ["1:90 error[unknown-timezone] There is no time zone '../etc'. Write an IANA name such as Europe/Berlin."]
    )


def test_places_count_characters_and_every_kind_of_line_end() -> None:
    text = HEAD.replace("\n", "\r\n") + "do:\r  - 'é😀': { wait: x }\r\n"
    assert [(f.line, f.column, f.path) for f in read(text).findings] == [(3, 19, "/do/0/é😀/wait")]


def test_others_can_point_at_a_place_too() -> None:
    source = read(HEAD + "do:\n  - a:\n      set:\n        x: '${ .a | }'\n", file="w.yaml").source
    assert source is not None
    finding = finding_at(source, "/do/0/a/set/x", "bad-expression", "The program ends too early.", hint="Finish it.")
    assert str(finding) == "w.yaml:5:12 error[bad-expression] The program ends too early. Finish it."


def test_no_more_findings_than_anyone_reads() -> None:
    text = HEAD + "do:\n" + "".join(f"  - t{i}: {{ wiat: PT1S }}\n" for i in range(500))
    assert len(read(text).findings) == 100
