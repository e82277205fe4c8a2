"""Sums of what subjects do: they add up whichever way time is cut, and say what share of it was how."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrion.core import Entry, EntryKind, EntryStatus, Json
from orchestrion.oversight import MEASURES, Bound, Measures, Record, Subject, measured
from orchestrion.project import AlertRule

TURN = "/do/0/desk#1/turn/0"


def call(key: str, function: str, *, ended: float | None = 2.0, denied: bool = False, **more: Json) -> Entry:
    failed = more.pop("failed", False) or denied
    status = EntryStatus.INTENT if ended is None else EntryStatus.FAILED if failed else EntryStatus.COMPLETED
    return Entry(
        key=key,
        kind=EntryKind.LEAF,
        status=status,
        function=function,
        subject=str(more.pop("subject", "Agent::desk")),
        decision={"verdict": "deny"} if denied else None,
        started_at=1.0,
        ended_at=ended,
        model=str(more.pop("model")) if "model" in more else None,
        output=more.pop("output", None),
        input=more.pop("input", None),
        cost=more.pop("cost", None),
        why=more.pop("why", None),
    )


ANSWER: Json = {
    "parts": [
        {"part_kind": "text", "content": "Let me see."},
        {"part_kind": "tool-call", "tool_name": "find"},
        {"part_kind": "tool-call", "tool_name": "refund"},
    ]
}
ENTRIES = [
    call(f"{TURN}/model/0", "model:1.0.0", model="m", output=ANSWER, cost={"usd_micros": 30}),
    call(f"{TURN}/model/0/tool/0", "query:1.0.0"),
    call(f"{TURN}/model/0/tool/1", "query:1.0.0", denied=True),
    call("/do/1/say#1", "http:1.0.0", subject="Workflow::shop/greet", failed=True),
    call("/do/2/open#1", "http:1.0.0", subject="Workflow::shop/greet", ended=None),
]


def counted(record: Record) -> dict[Subject, Measures]:
    found: dict[Subject, Measures] = {}
    for seen in measured(record):
        found.setdefault(seen.subject, Measures()).add(seen.measures)
    return found


def record(entries: list[Entry], **more: object) -> Record:
    given: dict[str, object] = {"news": [each.key for each in entries], **more}
    return Record(run="R", workflow="shop/greet", entries=entries, **given)  # pyright: ignore[reportArgumentType] - a test's shorthand


def test_each_call_counts_for_who_made_it_and_what_was_called() -> None:
    found = counted(record(ENTRIES, ended_at=9.0, seconds=8.0))
    assert {(str(each.kind), each.name) for each in found} == {
        ("agent", "desk"),
        ("model", "m"),
        ("tool", "find"),
        ("tool", "refund"),
        ("tool", "http"),
        ("workflow", "shop/greet"),
    }
    desk, whole = found[Subject("agent", "desk")], found[Subject("workflow", "shop/greet")]
    assert (desk.count, desk.denied, desk.errors, desk.usd_micros) == (1, 1, 0, 30)
    assert desk.mix == {"find": 1, "refund": 1}
    assert (whole.count, whole.denied, whole.errors, whole.usd_micros) == (1, 1, 0, 30)
    assert found[Subject("tool", "refund")].behind("denied_rate") == ["R"]
    assert (found[Subject("tool", "http")].count, found[Subject("tool", "http")].errors) == (1, 1)


def test_what_goes_on_after_a_person_answered_is_no_second_turn() -> None:
    later = call(f"{TURN}/model/1", "model:1.0.0", model="m", output={"parts": []})
    found = counted(record([*ENTRIES, later], news=[later.key]))
    assert found[Subject("agent", "desk")].count == 0
    assert found[Subject("model", "m")].count == 1


def test_a_question_is_counted_when_asked_and_its_answer_when_given() -> None:
    key = f"{TURN}/model/0/tool/1/approval/1"
    question = Entry(key=key, kind=EntryKind.REQUEST, status=EntryStatus.INTENT, function="approval", started_at=1.0)
    asked = counted(record([*ENTRIES, question], news=[key]))[Subject("agent", "desk")]
    assert (asked.asked, asked.rejected) == (1, 0)
    said: Json = {"verdict": "rejected"}
    answer = Entry(
        key=key, kind=EntryKind.REQUEST, status=EntryStatus.COMPLETED, function="approval", output=said, ended_at=5.0
    )
    again = counted(record([*ENTRIES, answer], news=[key], known=[key]))[Subject("agent", "desk")]
    assert (again.asked, again.rejected) == (0, 1)
    at_once = counted(record([*ENTRIES, answer], news=[key]))[Subject("agent", "desk")]
    assert (at_once.asked, at_once.rejected) == (1, 1)


def test_a_router_counts_labels_and_abstentions() -> None:
    asked: Json = {"router": "intents", "input": "hello"}
    entries = [
        call("/do/0/a#1", "route:1.0.0", input=asked, output={"label": "x", "confidence": 0.9, "abstained": False}),
        call("/do/1/b#1", "route:1.0.0", input=asked, output={"label": "y", "confidence": 0.4, "abstained": True}),
    ]
    router = counted(record(entries))[Subject("router", "intents")]
    assert (router.count, router.abstained, router.mix) == (2, 1, {"x": 1, "(not sure)": 1})
    signals = [seen.signals for seen in measured(record(entries)) if seen.subject.kind == "router"]
    assert [each["confidence"] for each in signals] == [0.9, 0.4]


def _sums(counts: tuple[int, ...], seconds: list[float], runs: list[str]) -> Measures:
    found = Measures(count=counts[0], usd_micros=counts[1], abstained=counts[2])
    for each in seconds:
        found.lasted(each)
    for run in runs:
        found.tell("errors", run)
        found.mix[run] = found.mix.get(run, 0) + 1
    return found


sums = st.builds(
    _sums,
    st.tuples(*[st.integers(0, 5)] * 3),
    st.lists(st.floats(0.001, 1000.0), max_size=5),
    st.lists(st.sampled_from("abcdef"), max_size=5),
)


@given(sums, sums, sums)
def test_windows_add_up_whichever_way_time_is_cut(a: Measures, b: Measures, c: Measures) -> None:
    left, right, late = Measures(), Measures(), Measures()
    for each in (a, b, c):
        left.add(each)
    late.add(b)
    late.add(c)
    right.add(a)
    right.add(Measures.from_json(late.to_json()))
    assert left == right
    assert Measures.from_json(left.to_json()) == left


@given(st.lists(st.floats(0.001, 1000.0), min_size=1), st.sampled_from([0.5, 0.95]))
def test_percentiles_are_as_near_as_is_said(seconds: list[float], share: float) -> None:
    found = Measures()
    for each in seconds:
        found.lasted(each)
    ordered = sorted(seconds)
    exact = next(each for rank, each in enumerate(ordered, 1) if rank >= share * len(ordered) - 1e-9)
    said = found.percentile(share)
    assert said is not None
    assert 1 / 1.046 <= said / exact <= 1.046


@pytest.mark.parametrize(
    ("count", "errors", "broken"), [(9, 9, None), (10, 3, True), (10, 2, False), (10, 0, False), (0, 0, None)]
)
def test_a_bound_is_broken_by_enough(count: int, errors: int, broken: bool | None) -> None:
    bound = Bound(measure="errors_rate", above=0.2, at_least=10)
    assert bound.broken(Measures(count=count, errors=errors)) is broken


def test_a_bound_says_what_is_out_of_it() -> None:
    found = Measures(count=10, errors=3)
    words = Bound(measure="errors_rate", above=0.2).in_words(Subject("tool", "find"), found, 3600.0)
    assert words == "tool find: errors 30.0% of 10, above 20.0%, over 1 hour"


def test_settings_know_every_measure() -> None:
    for name in MEASURES:
        AlertRule.model_validate({"of": "tool", "measure": name, "above": 1, "run": "tell"})
    schema = AlertRule.model_json_schema()
    assert set(schema["properties"]["measure"]["anyOf"][0]["enum"]) == set(MEASURES)
