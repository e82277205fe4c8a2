"""Matching: each conversation once, of the same kind, near in time, in an order that says nothing about how they go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from orchestrion.core import BugError, Json, UserError, dump, parse
from orchestrion.oversight import Matching, Pair, Side


@dataclass(frozen=True, kw_only=True)
class Begin:
    id: str
    side: Side
    stratum: str


def story(*words: str, matching: Matching | None = None) -> Matching:
    """Conversations that begin, each as "x:a" or "c:a": the candidate's or the control's, and its stratum."""
    matching = matching or Matching()
    for number, word in enumerate(words, matching.begun_count + 1):
        side, stratum = word.split(":")
        name: Side = "candidate" if side == "x" else "control"
        matching = matching.begun(str(number), side=name, stratum=stratum)
    return matching


def matched(matching: Matching) -> list[tuple[str, str]]:
    return [(each.candidate, each.control) for each in matching.matched]


def settle(matching: Matching, losses: Mapping[str, float]) -> tuple[Matching, list[Pair]]:
    found: list[Pair] = []
    for conversation, loss in losses.items():
        matching, pairs = matching.settled(conversation, loss)
        found += pairs
    return matching, found


def test_a_candidate_is_matched_with_the_latest_control_of_its_kind() -> None:
    assert matched(story("c:a", "c:b", "c:a", "c:b", "x:a", "x:b", "x:b", "x:a")) == [
        ("5", "3"),
        ("6", "4"),
        ("7", "2"),
        ("8", "1"),
    ]


def test_a_candidate_without_a_control_waits_for_the_next_one() -> None:
    assert matched(story("x:a", "x:b", "c:b", "c:a")) == [("2", "3"), ("1", "4")]


def test_conversations_far_apart_are_not_matched() -> None:
    near = story("c:a", "c:b", "c:b", "x:a", matching=Matching(reach=4))
    far = story("c:a", "c:b", "c:b", "c:b", "x:a", matching=Matching(reach=4))

    assert (matched(near), matched(far)) == ([("4", "1")], [])


def test_pairs_come_in_the_order_in_which_they_were_made_whatever_is_known_first() -> None:
    matching = story("c:a", "x:a", "c:a", "x:a", "c:a", "x:a")
    matching, early = settle(matching, {"6": 1.0, "5": 0.0, "4": 0.5, "3": 0.25, "2": 0.0})
    assert early == []
    matching, pairs = settle(matching, {"1": 1.0})

    assert pairs == [
        Pair(candidate=0.0, control=1.0),
        Pair(candidate=0.5, control=0.25),
        Pair(candidate=1.0, control=0.0),
    ]
    assert matching.matched == ()


@pytest.mark.parametrize(("first", "second"), [("c:a", "x:a"), ("x:a", "c:a")])
def test_what_was_known_before_it_was_matched_counts(first: str, second: str) -> None:
    matching, _ = settle(story(first), {"1": 0.75})
    matching, pairs = settle(story(second, matching=matching), {"2": 0.25})

    assert [{pair.candidate, pair.control} for pair in pairs] == [{0.25, 0.75}]
    assert pairs[0].candidate == (0.75 if first == "x:a" else 0.25)


def test_a_conversation_told_twice_counts_once() -> None:
    waiting = story("c:a")
    together = story("x:a", matching=waiting)

    assert waiting.begun("1", side="control", stratum="a") == waiting
    assert together.begun("1", side="control", stratum="a") == together


@pytest.mark.parametrize("sides", [("c:a", "x:a"), ("x:a", "c:a")])
def test_the_first_loss_that_is_told_stays(sides: tuple[str, str]) -> None:
    alone = story(sides[0]).settled("1", 0.0)[0].settled("1", 1.0)[0]
    together = story(sides[1], matching=alone).settled("1", 1.0)[0].settled("unknown", 1.0)[0]
    later = story(*sides).settled("1", 0.0)[0].settled("1", 1.0)[0]

    for matching in (together, later):
        _, pairs = matching.settled("2", 0.0)
        assert pairs == (Pair(candidate=0.0, control=0.0),)


def test_while_too_many_pairs_wait_no_more_are_made() -> None:
    full = story("c:a", "c:a", "x:a", "x:a", matching=Matching(most_open=1))
    assert matched(full) == [("3", "2")]
    emptied, _ = settle(full, {"2": 0.0, "3": 0.0})

    assert matched(story("x:a", matching=emptied)) == [("5", "1")]


def test_only_the_latest_are_kept() -> None:
    matching = story(*["c:a"] * 6, "c:b", matching=Matching(spare=2))

    assert [each.id for each in matching.unmatched] == ["5", "6", "7"]


BEGINNINGS = st.lists(st.tuples(st.sampled_from(["candidate", "control"]), st.sampled_from("abc")), max_size=60)


@given(BEGINNINGS, st.data())
@settings(deadline=None, max_examples=150)
def test_whatever_happens_memory_is_bounded_and_matches_are_alike_near_and_blind(
    beginnings: list[tuple[Side, str]], data: st.DataObject
) -> None:
    """Losses and the order in which they are known are chosen freely; who is matched with whom does not depend on them."""
    conversations = [
        Begin(id=str(number), side=side, stratum=stratum) for number, (side, stratum) in enumerate(beginnings)
    ]
    watched = blind = Matching(reach=10, spare=2)
    made: list[tuple[str, str]] = []
    for each in conversations:
        blind = blind.begun(each.id, side=each.side, stratum=each.stratum)
        watched = watched.begun(each.id, side=each.side, stratum=each.stratum)
        made += [pair for pair in matched(watched)[-1:] if each.id in pair]
        for told in data.draw(st.lists(st.sampled_from(conversations), max_size=3)):
            watched, _ = watched.settled(told.id, data.draw(st.sampled_from([0.0, 1.0])))
        assert Matching.from_json(parse(dump(watched.to_json()))) == watched
        assert len(watched.unmatched) <= 6

    assert made == matched(blind)
    _are_fair(conversations, made)


def _are_fair(conversations: Sequence[Begin], pairs: list[tuple[str, str]]) -> None:
    by_id = {each.id: each for each in conversations}
    assert len({name for pair in pairs for name in pair}) == 2 * len(pairs)
    for candidate, control in pairs:
        assert (by_id[candidate].side, by_id[control].side) == ("candidate", "control")
        assert by_id[candidate].stratum == by_id[control].stratum
        assert abs(int(candidate) - int(control)) < 10


def test_a_state_is_small_and_readable() -> None:
    matching, _ = settle(story("c:a", "c:a", "x:a"), {"3": 1.0})

    assert matching.to_json() == snapshot(
        {
            "reach": 200,
            "spare": 4,
            "most_open": 500,
            "begun_count": 3,
            "unmatched": [{"id": "1", "side": "control", "stratum": "a", "number": 1, "loss": None}],
            "matched": [{"candidate": "3", "control": "2", "candidate_loss": 1.0, "control_loss": None}],
        }
    )


def test_losses_out_of_range_are_refused() -> None:
    with pytest.raises(UserError) as caught:
        story("c:a").settled("1", 2.0)
    assert caught.value.code == "loss-out-of-range"


@pytest.mark.parametrize("kept", [None, {}, {"reach": "far"}])
def test_what_is_not_a_matching_is_not_taken_for_one(kept: Json) -> None:
    with pytest.raises(BugError) as caught:
        Matching.from_json(kept)
    assert caught.value.code == "rollout-state-unreadable"
