"""Edits change what they say and nothing else."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from orchestrion.core import Json, UserError, canonical
from orchestrion.spec import Edit, Insert, Reading, Remove, Rename, SetValue, Source, edit, read

WORKFLOW = """\
# the desk
document: { dsl: '1.0.3', namespace: desk, name: triage, version: '1.0.0' }   # head
use:
  secrets: [bank, mail]

do:
  # first
  - ask:
      set:
        text: hello   # greeting
        lines: |
          one
          two
      then: send  # go on
  - choose:
      switch:
        - yes: { when: .ok, then: send }
        - no:
            then: end

  # last
  - send:
      set: { a: 1, "b": [x, y] }
# the end
"""


def changed(text: str, *edits: Edit) -> str:
    source = read(text).source
    assert source is not None
    return edit(source, edits)


def plain(text: str | bytes) -> Json:
    return json_of(read(text))


def json_of(reading: Reading) -> Json:
    assert reading.source is not None
    return reading.source.json


def difference(before: str, after: str) -> tuple[str, str]:
    """What was taken out and what was put in between the common beginning and end."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return before[start : len(before) - end], after[start : len(after) - end]


def test_a_scalar_is_replaced_in_place() -> None:
    after = changed(WORKFLOW, SetValue("/do/0/ask/set/text", "good day"))
    assert difference(WORKFLOW, after) == snapshot(("hello", "good day"))


def test_text_with_lines_becomes_a_literal_block() -> None:
    after = changed(WORKFLOW, SetValue("/do/0/ask/set/lines", "a\n\nb: c\n"))
    assert difference(WORKFLOW, after) == snapshot(
        (
            """\
one
          two\
""",
            """\
a

          b: c\
""",
        )
    )


def test_a_block_takes_the_place_of_a_scalar() -> None:
    after = changed(
        WORKFLOW, SetValue("/do/0/ask/then", "exit"), SetValue("/do/0/ask/set/lines", {"a": [1, {"b": []}]})
    )
    assert after.splitlines()[6:17] == snapshot(
        [
            "  # first",
            "  - ask:",
            "      set:",
            "        text: hello   # greeting",
            "        lines:",
            "          a:",
            "            - 1",
            "            - b: []",
            "      then: exit  # go on",
            "  - choose:",
            "      switch:",
        ]
    )


def test_a_field_is_added_after_the_others() -> None:
    after = changed(WORKFLOW, SetValue("/do/0/ask/metadata", {"owner": "desk team", "on": True}))
    assert difference(WORKFLOW, after) == snapshot(
        (
            "",
            """\
    metadata:
        owner: desk team
        'on': true
  \
""",
        )
    )


def test_fields_and_items_in_brackets_stay_in_brackets() -> None:
    after = changed(
        WORKFLOW,
        SetValue("/do/2/send/set/c", {"d e": "it's"}),
        Insert("/do/2/send/set/b/0", "w"),
        Insert("/use/secrets/-", "third"),
        Remove("/use/secrets/0"),
    )
    assert [line for line in after.splitlines() if line not in WORKFLOW.splitlines()] == snapshot(
        ["  secrets: [mail, third]", "      set: { a: 1, \"b\": [w, x, y], c: { d e: 'it''s' } }"]
    )


def test_a_task_is_inserted_before_another() -> None:
    after = changed(WORKFLOW, Insert("/do/1", {"pause": {"wait": {"seconds": 5}}}))
    assert difference(WORKFLOW, after) == snapshot(
        (
            "",
            """\
pause:
      wait:
        seconds: 5
  - \
""",
        )
    )


def test_a_task_is_appended() -> None:
    after = changed(WORKFLOW, Insert("/do/-", {"stop": {"set": {"when": "${ now }"}, "then": "end"}}))
    assert after.splitlines()[-6:] == snapshot(
        [
            '      set: { a: 1, "b": [x, y] }',
            "  - stop:",
            "      set:",
            "        when: '${ now }'",
            "      then: end",
            "# the end",
        ]
    )


def test_a_task_is_removed_with_its_lines_and_no_others() -> None:
    after = changed(WORKFLOW, Remove("/do/1"))
    assert difference(WORKFLOW, after) == snapshot(
        (
            """\
  - choose:
      switch:
        - yes: { when: .ok, then: send }
        - no:
            then: end
""",
            "",
        )
    )


def test_the_last_field_leaves_empty_brackets() -> None:
    assert changed("a:\n  b: 1 # x\nc: 2\n", Remove("/a/b")) == snapshot("""\
a: {} # x
c: 2
""")
    assert changed("a:\n  - 1\n", Remove("/a/0"), Insert("/a/-", {"b": 1})) == snapshot("""\
a:
  - b: 1
""")


def test_a_field_on_the_line_of_its_dash_is_removed_without_the_dash() -> None:
    assert changed("- a: 1 # x\n  b: 2\n- c\n", Remove("/0/a")) == "- b: 2\n- c\n"
    assert changed("- - a\n  - b\n", Remove("/0/0")) == "- - b\n"


def test_renaming_a_task_follows_every_then_of_its_list() -> None:
    after = changed(WORKFLOW, Rename("send", "reply: now"))
    assert [line for line in after.splitlines() if line not in WORKFLOW.splitlines()] == snapshot(
        ["      then: 'reply: now'  # go on", "        - yes: { when: .ok, then: 'reply: now' }", "  - 'reply: now':"]
    )


def test_json_stays_json() -> None:
    text = '{\n\t"a": {"b": [1, 2]},\n\t"c": "x"\n}\n'
    after = changed(text, SetValue("/d", {"e": "f\u2028"}), Insert("/a/b/0", None), SetValue("/c", "y"))
    assert after == snapshot("""\
{
	"a": {"b": [null, 1, 2]},
	"c": "y",
	"d": {"e": "f\\u2028"}
}
""")


def test_line_ends_stay_what_they_are() -> None:
    text = WORKFLOW.replace("\n", "\r\n")
    after = changed(text, Insert("/do/0", {"x": {"set": {"a": "1\n2"}}}), Remove("/do/1/ask/then"))
    assert "\n" not in after.replace("\r\n", "")
    assert plain(after) == plain(after.replace("\r\n", "\n"))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (SetValue("/nowhere/at/all", 1), "no-such-place"),
        (Remove("/do/9"), "no-such-place"),
        (Remove(""), "no-such-place"),
        (Insert("/do/99", {}), "no-such-place"),
        (Insert("/document/-", {}), "no-such-place"),
        (Rename("nobody", "x"), "no-such-place"),
        (Rename("ask", "send"), "task-exists"),
    ],
)
def test_an_edit_that_cannot_be_is_refused(change: Edit, code: str) -> None:
    with pytest.raises(UserError) as refused:
        changed(WORKFLOW, change)
    assert refused.value.code == code


def test_what_anchors_share_is_not_edited_in_place() -> None:
    text = "a: &x { b: 1 }\nc: *x\nd: 1\n"
    for change in (SetValue("/c/b", 2), SetValue("/a/b", 2), Remove("/a")):
        with pytest.raises(UserError, match="in place"):
            changed(text, change)
    assert changed(text, SetValue("/d", 2), SetValue("/c", 3)) == "a: &x { b: 1 }\nc: 3\nd: 2\n"


def test_a_literal_block_is_not_put_before_a_comment() -> None:
    after = changed("a: 1 # why\n", SetValue("/a", "b\nc"))
    assert after == snapshot('a: "b\\nc" # why\n')


NAMES = st.text(st.sampled_from("abcXYZ019 _-.#:/~'\"{}[]é中😀"), min_size=1, max_size=8)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", " ", "yes", "null", "1", "1e3", "a: b", "- a", "# no", "${ .a }", "a\nb", "a\n\n", " a\nb", "x\t", "'"]
    ),
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXTS,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)


def corpus(folder: Path) -> list[str]:
    files = sorted((folder / "open-workflow/examples").glob("*.yaml"))
    texts = [file.read_bytes().decode() for file in files]
    for feature in sorted((folder / "open-workflow/ctk").glob("*.feature")):
        texts += re.findall(r'definition:\n\s*"""yaml\n(.*?)\n\s*"""', feature.read_text(), re.DOTALL)
    return [*texts, WORKFLOW, WORKFLOW.replace("\n", "\r\n")]


def pointers(value: Json, at: str = "") -> Iterator[str]:
    yield at
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from pointers(inner, f"{at}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for i, inner in enumerate(value):
            yield from pointers(inner, f"{at}/{i}")


def lines_of(source: Source, pointer: str) -> tuple[int, int]:
    """Where the lines of an entry start and end, those of its key or dash included."""
    node = source.node(pointer)
    assert node is not None
    text = source.text
    opening = source.key(pointer)
    at = node.start if opening is None else opening.start
    if opening is None and not text[text.rfind("\n", 0, at) + 1 : at].strip():
        at = text.rindex("-", 0, at) if "-" in text[:at] else at
    end = text.find("\n", node.end)
    return text.rfind("\n", 0, at) + 1, len(text) if end < 0 else end + 1


@pytest.fixture(scope="module")
def texts(test_data: Path) -> list[str]:
    return corpus(test_data)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), value=VALUES)
def test_any_edit_gives_the_wanted_document_and_leaves_the_rest(
    data: st.DataObject, value: Json, texts: list[str]
) -> None:
    source = read(data.draw(st.sampled_from(texts))).source
    assert source is not None
    pointer = data.draw(st.sampled_from([p for p in pointers(source.json) if p]))
    kind = data.draw(st.sampled_from(["set", "add", "remove", "insert"]))
    before = source.text
    start, end = lines_of(source, pointer)
    siblings = source.at(pointer.rpartition("/")[0])
    match kind:
        case "set":
            after = edit(source, [SetValue(pointer, value)])
            assert after.startswith(before[:start])
            assert after.endswith(before[end:])
            assert json_at(after, pointer) == canonical(value)
        case "remove":
            after = edit(source, [Remove(pointer)])
            if isinstance(siblings, Sequence | Mapping) and len(siblings) > 1:
                assert difference(before, after)[1] == ""
                assert len(before) - len(after) <= end - start + 1
        case _:
            step = pointer.rpartition("/")[2]
            after = edit(source, [Insert(pointer, value) if step.isdigit() else SetValue(pointer + "x", value)])
            assert difference(before, after)[0] == ""
            assert json_at(after, pointer if step.isdigit() else pointer + "x") == canonical(value)


def json_at(text: str, pointer: str) -> str:
    source = read(text).source
    assert source is not None
    return canonical(source.at(pointer))
