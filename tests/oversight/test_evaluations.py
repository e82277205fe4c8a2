"""Evaluation files, scorers, intervals and the gate."""

import pytest

from orchestrion.core import Json
from orchestrion.oversight import (
    Called,
    Case,
    Observation,
    Scorer,
    agreement,
    mean,
    read_evaluation,
    score,
    share,
    share_difference,
    summarise,
)

SEEN = Observation(
    status="completed",
    output={"desk": "billing", "reply": "We have paid 12.50 euros.", "refunded_cents": 1250},
    tasks=("chooseDesk", "billingDesk", "askPerson"),
    calls=(
        Called(name="find", by="Agent::billing", task="billingDesk", arguments={"id": "C-1"}, verdict="allow"),
        Called(name="refund", by="Agent::billing", task="billingDesk", arguments={"cents": 1250}, verdict="deny"),
    ),
    usd_micros=2_000,
    seconds=1.5,
)
CASE = Case(name="1", input={})
WAYS: Json = {"billing": "billingDesk", "person": "askPerson"}


@pytest.mark.parametrize(
    ("scorer", "truth", "value"),
    [
        ({"exact": {"at": "/desk", "truth": "desk"}}, {"desk": "billing"}, 1),
        ({"exact": {"at": "/refunded_cents", "truth": "n"}}, {"n": "1250"}, 1),
        ({"exact": {"at": "/letter", "truth": "letter"}}, {"letter": ""}, 1),
        ({"exact": {"at": "/letter", "truth": "letter"}}, {"letter": "new_pin"}, 0),
        ({"exact": {"truth": "elsewhere"}}, {}, None),
        ({"contains": {"at": "/reply", "value": ["PAID", "12.50"]}}, {}, 1),
        ({"contains": {"at": "/reply", "value": "13"}}, {}, 0),
        ({"numeric": {"at": "/refunded_cents", "value": 1240, "tolerance": 10}}, {}, 1),
        ({"numeric": {"at": "/refunded_cents", "value": 1240, "relative": 0.001}}, {}, 0),
        ({"schema": {"at": "/desk", "document": {"enum": ["billing"]}}}, {}, 1),
        ({"schema": {"document": {"type": "array"}}}, {}, 0),
        ({"routing": {"ways": WAYS, "value": "billing"}}, {}, 1),
        ({"routing": {"ways": WAYS, "take": "last", "value": "billing"}}, {}, 0),
        ({"tools": {"used": ["find", "refund"], "in_order": True}}, {}, 1),
        ({"tools": {"used": ["refund", "find"], "in_order": True}}, {}, 0),
        ({"tools": {"used": ["find", "find"], "in_order": True}}, {}, 0),
        ({"tools": {"used": "letter"}}, {}, 0),
        ({"tools": {"truth": "tools", "in_order": True}}, {"tools": "find, refund"}, 1),
        ({"tools": {"truth": "tools", "in_order": True}}, {"tools": ["refund", "find"]}, 0),
        ({"tools": {"truth": "tools"}}, {"tools": ""}, 1),
        ({"tools": {"truth": "tools"}}, {}, None),
        ({"tools": {"never": ["refund"]}}, {}, 0),
        ({"tools": {"never": "letter"}}, {}, 1),
        ({"tools": {"arguments": {"refund": {"cents": 1250}}}}, {}, 1),
        ({"tools": {"arguments": {"refund": {"cents": 1}}}}, {}, 0),
        ({"tools": {"arguments": {"refund": {"cents": 1250, "to": "C-1"}}}}, {}, 0),
        ({"tools": {"arguments": {"letter": {"to": "C-1"}}}}, {}, 1),
        ({"policy": {"verdicts": {"refund": "deny", "letter": "none"}}}, {}, 1),
        ({"policy": {"verdicts": {"refund": ["allow", "none"]}}}, {}, 0),
        ({"ended": "completed"}, {}, 1),
        ({"cost": {}}, {}, 0.002),
        ({"cost": {"most_usd": 0.001}}, {}, 0),
        ({"cost": {"most_usd": 0.002}}, {}, 1),
        ({"latency": {}}, {}, 1.5),
        ({"latency": {"most_s": 1.5}}, {}, 1),
        ({"latency": {"most_s": 1.4}}, {}, 0),
    ],
)
def test_a_scorer(scorer: Json, truth: Json, value: float | None) -> None:
    found = score(Scorer.model_validate(scorer), Case(name="1", input={}, truth=truth), SEEN)
    assert found.value == value, found.why


def test_one_of_several_calls_must_have_the_arguments() -> None:
    scorer = Scorer.model_validate({"tools": {"arguments": {"find": {"id": "C-2"}}}})
    calls = [Called(name="find", by="Agent::a", task="a", arguments={"id": each, "n": 1}) for each in ("C-1", "C-2")]
    assert score(scorer, CASE, Observation(status="completed", calls=tuple(calls))).value == 1
    wrong = score(scorer, CASE, Observation(status="completed", calls=tuple(calls[:1])))
    assert (wrong.value, wrong.why) == (0, 'find was called with {"id":"C-1","n":1}')


def test_other_tools_may_come_between_those_in_order() -> None:
    scorer = Scorer.model_validate({"tools": {"used": ["find", "refund", "find"], "in_order": True}})
    calls = [Called(name=each, by="Agent::a", task="a", arguments={}) for each in ("find", "look", "refund", "find")]
    assert score(scorer, CASE, Observation(status="completed", calls=tuple(calls))).value == 1
    wrong = score(scorer, CASE, Observation(status="completed", calls=tuple(calls[:3])))
    assert (wrong.value, wrong.why) == (0, "find was not called in its turn: find, look, refund")


def test_without_a_price_a_cost_is_not_known() -> None:
    seen = Observation(status="completed", usd_micros=2_000, unpriced=1)
    for cost in ({}, {"most_usd": 1}):
        found = score(Scorer.model_validate({"cost": cost}), CASE, seen)
        assert (found.value, found.why) == (None, "a model has no known price")


@pytest.mark.parametrize(("scorer", "is_share"), [({"cost": {}}, False), ({"cost": {"most_usd": 0}}, True)])
def test_costs_are_a_mean_of_which_less_is_better_or_a_share_within_a_limit(scorer: Json, is_share: bool) -> None:
    scorer_ = Scorer.model_validate(scorer)
    dear = score(scorer_, CASE, Observation(status="completed", usd_micros=3_000))
    free = score(scorer_, CASE, Observation(status="completed"))
    (row,) = summarise({"cost": scorer_}, {"cost": [free, free]}, {"cost": [dear, free]})
    assert (row.is_share, row.less_is_better, row.gained, row.lost) == (is_share, not is_share, 1, 0)
    assert row.estimate is not None
    assert row.estimate.value == (1.0 if is_share else 0.0)


def test_an_observation_survives_the_store() -> None:
    assert Observation.from_json(SEEN.to_json()) == SEEN


def test_intervals_are_those_of_the_papers() -> None:
    """Newcombe 1998: table II of "two-sided intervals", 81 of 263; method 10 of the paired paper, its example of 36, 12, 2, 0."""
    wilson = share(81, 263)
    assert (round(wilson.low, 4), round(wilson.high, 4)) == (0.2553, 0.3662)
    pairs = [(True, True)] * 36 + [(True, False)] * 12 + [(False, True)] * 2
    paired = share_difference(pairs)
    assert (round(paired.low, 4), round(paired.high, 4)) == (0.0569, 0.3404)
    assert mean([2.0, 2.0, 2.0]).low == 2.0
    assert mean([1.0, 2.0, 9.0]) == mean([1.0, 2.0, 9.0])


def test_agreement_beyond_chance() -> None:
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    found = agreement(pairs)
    assert found.kappa is not None
    assert (found.same.value, round(found.kappa.value, 6)) == (0.7, 0.4)
    assert agreement([("yes", "yes")]).kappa is None


def test_the_gate_may_ask_for_the_whole_interval() -> None:
    scorer = Scorer.model_validate({"ended": "completed", "gate": {"at_least": 0.9, "surely_at_least": 0.9}})
    ours = [score(scorer, Case(name="1", input={}), SEEN)] * 10
    (row,) = summarise({"ended": scorer}, {"ended": ours})
    assert row.failures == ("surely_at_least 0.9: it is 0.7225",)


def test_a_version_that_is_not_known_to_be_as_good_is_below_the_gate() -> None:
    scorer = Scorer.model_validate({"ended": "completed", "gate": {"worse_by_at_most": 0.1}})
    good = score(scorer, Case(name="1", input={}), SEEN)
    bad = score(scorer, Case(name="1", input={}), Observation(status="faulted"))
    (row,) = summarise({"ended": scorer}, {"ended": [good] * 8 + [bad] * 2}, {"ended": [good] * 10})
    assert (row.gained, row.lost, len(row.failures)) == (0, 2, 1)


def test_findings_have_places() -> None:
    text = """workflow: ask
cases: { file: a.csv }
scorers:
  way:
    exact: { at: /desk }
  two: { cost: {}, latency: {} }
  other: { cots: {} }
"""
    _, findings = read_evaluation(text, file="evaluations/a.yaml", name="a")
    assert [(each.line, each.column) for each in findings] == [(5, 12), (6, 8), (7, 12)]
    assert {each.code for each in findings} == {"bad-evaluation"}


WRONG = {
    "{ exact: { at: desk, value: 1 } }": "4:21 'desk' is no JSON pointer. It begins with a slash: '/desk'.",
    "{ exact: { truth: a, value: 1 } }": "4:15 Say what is right, with either `truth` or `value`.",
    "{ contains: { at: /a } }": "4:18 Say what is right, with either `truth` or `value`.",
    "{ numeric: { value: 1, tolerance: -1 } }": "4:40 Input should be greater than or equal to 0.",
    "{ numeric: { value: many } }": "4:26 'many' is no number. Texts have `exact`.",
    "{ routing: { ways: { a: b }, value: c } }": "4:42 'c' is none of the ways. There are: a.",
    "{ routing: { ways: { a: b }, value: [a] } }": "4:42 ['a'] is none of the ways. There are: a.",
    "{ tools: {} }": "4:15 It asks for nothing, so every run would be right. Say `used`, `never` or `arguments`.",
    "{ tools: { never: a, in_order: true } }": "4:37 An order of nothing. Say which tools with `used` or `truth`.",
    "{ tools: { used: [a], truth: b } }": "4:35 `used` says already which tools. Remove one of them.",
    "{ tools: { arguments: { find: 1 } } }": "4:36 Input should be a valid dictionary.",
    "{ policy: { verdicts: { a: denied } } }": "4:33 Input should be 'allow', 'deny', 'needs-approval' or 'none'.",
    "{ ended: done }": "4:15 Input should be 'completed', 'waiting', 'faulted' or 'cancelled'.",
    "{ ended: [] }": "4:15 Value should have at least 1 item after validation, not 0.",
    "{ cost: { most_usd: -1 } }": "4:26 Input should be greater than or equal to 0.",
    "{ latency: { most_s: 0 } }": "4:27 Input should be greater than 0.",
    "{ latency: { at_most: 1 } }": "4:19 'at_most' is not known here.",
    "{ python: {} }": "4:16 'name' is missing.",
    "{ judge: { model: m, rubric: r, good: fine } }": "4:44 'fine' is none of the labels. There are: good, bad.",
    "{ cost: {}, gate: { atleast: 1 } }": "4:26 'atleast' is not known here.",
}
WRONG_CASES = {
    "{ runs: { status: [done] } }": "2:27 Input should be 'completed', 'waiting', 'faulted', 'cancelled', ",
    "{ runs: { days: 0 } }": "2:24 Input should be greater than 0.",
    "[{ runs: { days: 0 } }]": "2:25 Input should be greater than 0.",
    "{ people: { tsk: a } }": "2:20 'tsk' is not known here.",
    "{ people: null }": "2:8 Cases come from one of `file`, `input`, `runs`, `people` and `corrections`.",
    "{ people: {}, runs: {} }": "2:8 Cases come from one of `file`, `input`, `runs`, `people` and `corrections`.",
    "{ corrections: { limit: many } }": "2:32 Input should be a valid integer",
    "{ input: {}, approve: maybe }": "2:30 Input should be a valid boolean",
}


@pytest.mark.parametrize(
    ("cases", "scorer", "said"),
    [
        *(("{ input: {} }", scorer, said) for scorer, said in WRONG.items()),
        *((cases, "{ cost: {} }", said) for cases, said in WRONG_CASES.items()),
    ],
)
def test_what_is_wrong_has_its_place_and_a_way_out(cases: str, scorer: str, said: str) -> None:
    text = f"workflow: ask\ncases: {cases}\nscorers:\n  s: {scorer}\n"
    file, findings = read_evaluation(text, file="a.yaml", name="a")
    assert file is None
    (found,) = (f"{each.line}:{each.column} {each.message} {each.hint or ''}".rstrip() for each in findings)
    assert found.startswith(said)


@pytest.mark.parametrize("value", ["null", "''", "12", "'12.5'"])
def test_a_number_that_is_right_may_be_text_or_nothing(value: str) -> None:
    text = (
        f"workflow: ask\ncases: {{ runs: {{ status: faulted }} }}\nscorers:\n  s: {{ numeric: {{ value: {value} }} }}\n"
    )
    assert read_evaluation(text, file="a.yaml", name="a")[1] == []
