"""A comparison: fair when nothing changed, final once decided, and kept as JSON."""

import itertools
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from orchestrion.core import BugError, Json, UserError, dump, parse
from orchestrion.oversight import Comparison, Pair, Promote, RollBack, Rule, Undecided, Wealth, in_words

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "rollouts.md"
LOSSES = st.floats(0, 1)
START = cast("dict[str, Json]", Comparison(rule=Rule()).to_json())
PAIRS = st.builds(Pair, candidate=LOSSES, control=LOSSES)


def compared(*pairs: tuple[float, float], rule: Rule | None = None) -> Comparison:
    comparison = Comparison(rule=rule or Rule())
    for candidate, control in pairs:
        comparison = comparison.after(Pair(candidate=candidate, control=control))
    return comparison


def exact(wealth: Wealth) -> Fraction:
    return sum((Fraction(each) for each in wealth.amounts), Fraction(0))


def expected(wealth: Wealth, law: dict[Fraction, Fraction], rounds: int) -> Fraction:
    """The mean over all sequences of gains; law: gain → probability. The sums are exact; gains are such that floats are, too."""
    total = Fraction(0)
    for gains in itertools.product(law, repeat=rounds):
        probability, after = Fraction(1), wealth
        for gain in gains:
            probability *= law[gain]
            after = after.after(float(gain))
        total += probability * exact(after)
    return total


@pytest.mark.parametrize("lost", [Fraction(1, 20), Fraction(1, 2), Fraction(2, 3)])
def test_without_a_difference_the_mean_wealth_is_exactly_what_it_was(lost: Fraction) -> None:
    law = {Fraction(1): lost * (1 - lost), Fraction(-1): lost * (1 - lost)}
    law[Fraction(0)] = 1 - 2 * lost * (1 - lost)

    assert [expected(Wealth(), law, rounds) for rounds in range(6)] == [1] * 6


def test_a_better_candidate_loses_the_bets_that_it_is_worse() -> None:
    law = {Fraction(1): Fraction(1, 10), Fraction(-1): Fraction(1, 5), Fraction(0): Fraction(7, 10)}
    means = [expected(Wealth(), law, rounds) for rounds in range(6)]

    assert all(after < before for before, after in itertools.pairwise(means))


@pytest.mark.parametrize("side", ["against", "in_favour"])
def test_at_its_null_hypothesis_each_side_is_fair_with_margins_and_whatever_the_traffic_consists_of(side: str) -> None:
    """The mix changes with what happened before: after a loss of the candidate only hard conversations come."""
    rule = Rule(margin=0.25, tolerance=0.25, alpha=1e-9)
    easy = {(0.0, 0.0): Fraction(3, 4), (1.0, 0.0): Fraction(1, 4)}
    hard = {(1.0, 0.0): Fraction(1, 2), (0.0, 1.0): Fraction(1, 4), (1.0, 1.0): Fraction(1, 4)}
    at_the_bound = [sum(p * Fraction(x - c) for (x, c), p in law.items()) for law in (easy, hard)]
    assert at_the_bound == [Fraction(1, 4)] * 2

    total = 0.0
    for path in itertools.product({*easy, *hard}, repeat=5):
        probability, comparison, law = Fraction(1), Comparison(rule=rule), easy
        for candidate, control in path:
            probability *= law.get((candidate, control), 0)
            comparison = comparison.after(Pair(candidate=candidate, control=control))
            law = hard if candidate else easy
        total += float(probability) * getattr(comparison.standing, side)

    assert total == pytest.approx(1, abs=1e-12)


def test_a_verdict_at_any_time_is_wrong_no_more_often_than_stated() -> None:
    """All sequences of ten pairs without a difference, stopped as soon as there is a verdict: exact, not simulated."""
    rule = Rule(alpha=0.4, tolerance=None, most_pairs=10)
    open_ones: dict[Comparison, Fraction] = {Comparison(rule=rule): Fraction(1)}
    wrong = Fraction(0)
    for _ in range(10):
        following: dict[Comparison, Fraction] = {}
        for comparison, probability in open_ones.items():
            for pair in (Pair(candidate=1, control=0), Pair(candidate=0, control=1)):
                after = comparison.after(pair)
                if isinstance(after.verdict, RollBack):
                    wrong += probability / 2
                else:
                    following[after] = following.get(after, Fraction(0)) + probability / 2
        open_ones = following

    assert 0 < wrong <= Fraction(4, 10)


@given(st.lists(PAIRS, max_size=30), st.sampled_from([Rule(), Rule(margin=0.1, tolerance=0.1), Rule(tolerance=None)]))
@settings(deadline=None)
def test_a_comparison_survives_json_at_every_step(pairs: list[Pair], rule: Rule) -> None:
    comparison = kept = Comparison(rule=rule)
    for pair in pairs:
        comparison = comparison.after(pair)
        kept = Comparison.from_json(parse(dump(kept.after(pair).to_json())))

    assert kept == comparison
    assert min(comparison.against.total, comparison.in_favour.total) >= 0


@given(st.lists(PAIRS, max_size=20), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_pairs_decides_when_a_bound_is_reached_and_not_what_is_owned(
    pairs: list[Pair], random: Random
) -> None:
    rule = Rule(alpha=1e-300, tolerance=0.5)
    shuffled = list(pairs)
    random.shuffle(shuffled)
    one = compared(*((pair.candidate, pair.control) for pair in pairs), rule=rule).standing
    other = compared(*((pair.candidate, pair.control) for pair in shuffled), rule=rule).standing

    assert one.against == pytest.approx(other.against)
    assert one.in_favour == pytest.approx(other.in_favour)


def test_an_early_bound_stays_reached() -> None:
    bad, good = [(1.0, 0.0)] * 8, [(0.0, 1.0)] * 8

    assert isinstance(compared(*bad, *good).verdict, RollBack)
    assert isinstance(compared(*good, *bad, rule=Rule(tolerance=None)).verdict, Undecided)


@given(st.lists(PAIRS, min_size=1, max_size=60))
@settings(deadline=None, max_examples=200)
def test_once_decided_no_pair_changes_anything(pairs: list[Pair]) -> None:
    comparison = Comparison(rule=Rule(alpha=0.3, tolerance=0.3, most_pairs=40))
    for pair in pairs:
        after = comparison.after(pair)
        assert (after == comparison) == comparison.is_closed
        match comparison.verdict:
            case Undecided(ended=ended):
                assert comparison.is_closed == ended == (comparison.pairs == 40)
            case RollBack() | Promote():
                assert comparison.is_closed
        comparison = after


def test_comparing_ends_with_the_most_pairs() -> None:
    comparison = compared(*[(1.0, 1.0)] * 3, rule=Rule(most_pairs=2))

    assert (comparison.pairs, comparison.verdict) == (
        2,
        Undecided(standing=comparison.standing, ended=True, pairs_expected=None),
    )


def test_the_verdict_carries_its_evidence() -> None:
    verdict = compared(*[(1.0, 0.0)] * 8).verdict

    assert isinstance(verdict, RollBack)
    assert verdict.standing.pairs == 8
    assert (verdict.standing.candidate_loss, verdict.standing.control_loss) == (1.0, 0.0)
    assert verdict.standing.against >= 1 / verdict.standing.rule.alpha > 1 > verdict.standing.in_favour


def test_a_violation_rolls_back_at_once_and_whatever_else_is_known() -> None:
    promoted = compared(*[(0.0, 0.0)] * 400)
    assert isinstance(promoted.verdict, Promote)

    for comparison in (compared(), promoted):
        violated = comparison.violated("it tried to refund 900 EUR, which policy denies").violated("something later")
        verdict = violated.after(Pair(candidate=0, control=1)).verdict
        assert isinstance(verdict, RollBack)
        assert verdict.violation == "it tried to refund 900 EUR, which policy denies"
        assert Comparison.from_json(violated.to_json()) == violated


def test_verdicts_in_words() -> None:
    lost = "of its replies were corrected"
    story = [
        in_words(compared(*pairs, rule=rule).verdict, lost=lost)
        for pairs, rule in (
            ([], Rule()),
            ([(1.0, 0.0)], Rule()),
            ([(1.0, 0.0), (0.0, 0.0)] * 9, Rule()),
            ([(0.0, 0.0), (0.0, 1.0)] * 4, Rule(tolerance=None)),
            ([(0.0, 0.0)] * 100, Rule()),
            ([(0.0, 0.0)] * 10, Rule(most_pairs=10)),
        )
    ]
    story.append(in_words(compared((0.0, 0.0)).violated("an effect was refused").verdict, lost=lost))

    assert story == snapshot(
        [
            "not decided: nothing was compared yet",
            "not decided after 1 conversation: 100 % of its replies were corrected, 0 % with the present version; about 7 more if it goes on so",
            "taken back after 15 conversations: 53 % of its replies were corrected, 0 % with the present version; chance of a false alarm at most 5 %",
            "not decided after 8 conversations: 0 % of its replies were corrected, 50 % with the present version; no verdict is in sight",
            "not decided after 100 conversations: 0 % of its replies were corrected, 0 % with the present version; about 14 more if it goes on so",
            "not decided after 10 conversations, the most that are compared: 0 % of its replies were corrected, 0 % with the present version; a person decides",
            "taken back at once: an effect was refused",
        ]
    )


def evenly(percent: int, count: int) -> list[float]:
    """So many of a hundred are lost, at even distances."""
    return [float((number + 1) * percent // 100 > number * percent // 100) for number in range(count)]


@pytest.mark.parametrize(("candidate", "control", "count"), [(48, 6, 500), (5, 6, 500), (8, 5, 200)])
def test_the_sentences_in_the_documentation_are_what_is_said(candidate: int, control: int, count: int) -> None:
    pairs = zip(evenly(candidate, count), evenly(control, count), strict=True)
    sentence = in_words(compared(*pairs).verdict, lost="of its replies were corrected")

    assert sentence in PAGE.read_text().splitlines()


@pytest.mark.parametrize("loss", [-0.01, 1.01, float("nan"), float("inf")])
def test_losses_out_of_range_are_refused(loss: float) -> None:
    with pytest.raises(UserError, match="The control's loss is") as caught:
        Pair(candidate=0, control=loss)
    assert caught.value.code == "loss-out-of-range"


def test_a_rule_that_cannot_be_is_refused_with_everything_that_is_wrong() -> None:
    with pytest.raises(UserError) as caught:
        Rule(alpha=0, margin=1, tolerance=float("nan"), most_pairs=0)
    with pytest.raises(UserError, match=r"tolerance 0\.1 is below margin 0\.2"):
        Rule(margin=0.2, tolerance=0.1)

    assert caught.value.message == snapshot(
        "A rollout cannot be decided so: alpha is 0, not between 0 and 1; margin is 1, not from 0 to below 1; tolerance is nan, not between 0 and 1; most_pairs is 0, not at least 1."
    )


@pytest.mark.parametrize(
    "kept",
    [None, {}, {"rule": {}}, {**START, "pairs": "3"}, {**START, "more": 1}],
)
def test_what_is_not_a_comparison_is_not_taken_for_one(kept: Json) -> None:
    with pytest.raises(BugError) as caught:
        Comparison.from_json(kept)
    assert caught.value.code == "rollout-state-unreadable"
