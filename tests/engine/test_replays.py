"""What a recording answers, and what it does not."""

import pytest

from orchestrion.core import Acting, Datum, Entry, EntryKind, EntryStatus, Invocation, Json, Nature, Question
from orchestrion.engine import Recording, differing, only_wording
from orchestrion.testing import new_run

READ = Nature(effect="read", idempotent=True, resource=("Host", "shop"))
WRITE = Nature(effect="write", idempotent=False, resource=("Host", "shop"))


def call(arguments: Json, *, by: str | None = None, function: str = "http:1.0.0") -> Invocation:
    acting = Acting(principal=("Agent", by), action="look", arguments={}) if by else None
    return Invocation(
        key="/elsewhere", task="/do/9/other", function=function, arguments=Datum(arguments), acting=acting
    )


def entry(number: int, arguments: Json, output: Json = None, **more: object) -> Entry:
    said = call(arguments)
    fields = {
        "key": f"/do/{number}/a#1",
        "kind": EntryKind.LEAF,
        "status": EntryStatus.COMPLETED,
        "function": said.function,
        "digest": said.digest(),
        "input": arguments,
        "output": output,
    }
    return Entry(**{**fields, **more})  # pyright: ignore[reportArgumentType] the fields of an entry


def recording(*entries: Entry) -> Recording:
    return Recording([(new_run("r"), entries)])


def outputs(found: Recording, invocation: Invocation, nature: Nature, times: int) -> list[Json]:
    answers = [found.call(invocation, nature) for _ in range(times)]
    return [answer.output if answer else "none" for answer in answers]


def test_equal_calls_are_answered_in_their_order_and_only_reads_again() -> None:
    both = entry(1, {"n": 1}, "first"), entry(2, {"n": 1}, "second")

    assert outputs(recording(*both), call({"n": 1}), READ, 3) == ["first", "second", "second"]
    assert outputs(recording(*both), call({"n": 1}), WRITE, 3) == ["first", "second", "none"]
    assert outputs(recording(*both), call({"n": 2}), WRITE, 1) == ["none"]
    assert outputs(recording(*both), call({"n": 1}, function="query:1.0.0"), READ, 1) == ["none"]


def test_it_does_not_matter_who_calls_and_where() -> None:
    assert outputs(recording(entry(1, {"n": 1}, "it")), call({"n": 1}, by="billing"), READ, 1) == ["it"]


def test_a_refused_call_has_no_answer() -> None:
    refused = entry(1, {"n": 1}, status=EntryStatus.FAILED, decision={"verdict": "deny"})

    assert outputs(recording(refused), call({"n": 1}), WRITE, 1) == ["none"]


def test_what_writes_the_same_in_other_words_has_the_same_answer_and_what_reads_has_none() -> None:
    said = entry(1, {"text": "Dear customer", "to": "C-1"}, "sent")
    other = call({"text": "Good day", "to": "C-1"})

    assert outputs(recording(said), other, WRITE, 2) == ["sent", "none"]
    assert outputs(recording(said), other, READ, 1) == ["none"]
    assert outputs(recording(said), call({"text": "Good day", "to": "C-2"}), WRITE, 1) == ["none"]


def approval(amount: int, role: str = "lead") -> Question:
    show: Json = {"action": "refund", "arguments": {"cents": amount}, "why": "It is much."}
    return Question(kind="approval", title="billing asks to refund", role=role, show=Datum(show))


def test_an_approval_counts_for_the_same_people_and_arguments_a_question_whatever_is_shown() -> None:
    person = Question(kind="human", title="Well?", role="lead", show=Datum("one"))
    asked = [
        Entry(key=f"/{n}", kind=EntryKind.REQUEST, status=EntryStatus.COMPLETED, input=each.to_json(), output=n)
        for n, each in enumerate((approval(100), person, Question(kind="human", title="Well?", role="lead")))
    ]
    found = recording(*asked)

    assert found.question(approval(200)) is None
    assert found.question(approval(100, role="boss")) is None
    assert found.question(approval(100)) is asked[0]
    assert found.question(approval(100)) is None, "once"
    assert found.question(Question(kind="human", title="Well?", role="lead", show=Datum(None))) is asked[2]
    assert found.question(Question(kind="human", title="Well?", role="lead", show=Datum("new"))) is asked[1]


@pytest.mark.parametrize(
    ("before", "after", "places", "wording"),
    [
        ({"a": 1}, {"a": 1}, [], True),
        ({"a": "two words"}, {"a": "others"}, ["/a"], True),
        ({"a": "billing"}, {"a": "technical"}, ["/a"], False),
        ({"a": "two words"}, {"a": ""}, ["/a"], False),
        ({"a": "two words"}, {}, ["/a"], False),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["/a/1"], False),
        ({"a": [1, 2]}, {"a": [1]}, ["/a"], False),
        ({"a": 1}, {"a": True}, ["/a"], False),
        ({"statement": "select 1"}, {"statement": "select 2"}, ["/statement"], False),
        ({"a/b": {"c": 1}}, {"a/b": {"c": 2}}, ["/a~1b/c"], False),
    ],
)
def test_where_values_differ_and_whether_only_in_words(
    before: Json, after: Json, places: list[str], wording: bool
) -> None:
    assert [each.pointer for each in differing(before, after)] == places
    assert only_wording(before, after) is wording
