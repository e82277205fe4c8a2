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
        ({"tools": {"never": ["refund"]}}, {}, 0),
        ({"tools": {"arguments": {"refund": {"cents": 1250}}}}, {}, 1),
        ({"tools": {"arguments": {"refund": {"cents": 1}}}}, {}, 0),
        ({"policy": {"verdicts": {"refund": "deny", "letter": "none"}}}, {}, 1),
        ({"policy": {"verdicts": {"refund": ["allow", "none"]}}}, {}, 0),
        ({"ended": "completed"}, {}, 1),
        ({"cost": {}}, {}, 0.002),
        ({"cost": {"most_usd": 0.001}}, {}, 0),
        ({"latency": {"most_s": 2}}, {}, 1),
    ],
)
def test_a_scorer(scorer: Json, truth: Json, value: float | None) -> None:
    found = score(Scorer.model_validate(scorer), Case(name="1", input={}, truth=truth), SEEN)
    assert found.value == value, found.why


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
