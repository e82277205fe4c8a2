"""A tally: the same whoever tells it, in which order and in how many pieces."""

import random

from hypothesis import given
from hypothesis import strategies as st

from orchestrion.oversight import Happening, RollBack, Rule, Side, Tally, Undecided

SIDES: tuple[Side, Side] = ("candidate", "control")


def happenings(count: int, seed: int, *, violated: bool = False) -> list[Happening]:
    draw, found = random.Random(seed), list[Happening]()
    for number in range(count):
        name, side, began = f"c{number}", draw.choice(SIDES), draw.uniform(0, 100)
        stratum = draw.choice("ab")
        found.append(Happening(at=began, settled=False, conversation=name, side=side, stratum=stratum))
        found.append(
            Happening(
                at=began + draw.uniform(0, 50),
                settled=True,
                conversation=name,
                side=side,
                loss=float(draw.random() < 0.3),
                violation="it paid nobody's money" if violated and number == count - 1 else None,
            )
        )
    return found


@given(st.integers(0, 40), st.integers(0, 10_000), st.integers(1, 7), st.randoms(use_true_random=False))
def test_neither_order_nor_pieces_matter(count: int, seed: int, size: int, order: random.Random) -> None:
    told = happenings(count, seed)
    whole = Tally(Rule())
    whole.tell(sorted(told))
    order.shuffle(told)
    pieces = Tally(Rule())
    for at in range(0, len(told), size):
        pieces.tell(told[at : at + size])
    assert pieces.comparison == whole.comparison


def test_a_violation_counts_for_the_candidate_only() -> None:
    for seed in range(20):
        told = happenings(5, seed, violated=True)
        tally = Tally(Rule())
        tally.tell(told)
        expected = RollBack if told[-1].side == "candidate" else Undecided
        assert isinstance(tally.comparison.verdict, expected)
