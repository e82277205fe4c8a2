"""Rollouts whose conversations arrive one by one, are assigned, matched and settled later, in another order."""

import numpy as np

from orchestrion.oversight import Comparison, Matching, RollBack, Rule, assign

from .methods import NEVER, Decided
from .traffic import Case


def delivered(case: Case, rule: Rule, *, rollouts: int, length: int, rng: np.random.Generator) -> Decided:
    """Each rollout until the candidate has had `length` conversations."""
    numbers = [_rolled_back(case, rule, name=f"rollout-{number}", length=length, rng=rng) for number in range(rollouts)]
    return Decided(rolled_back=np.array(numbers))


def _rolled_back(case: Case, rule: Rule, *, name: str, length: int, rng: np.random.Generator) -> int:
    matching, comparison = Matching(), Comparison(rule=rule)
    hard, share = case.hard_at(length), case.share_at(length)
    under_way: list[tuple[str, float]] = []
    had = 0
    number = 0
    while had < length and not comparison.is_closed:
        number += 1
        conversation = f"{name}/{number}"
        side = assign(conversation, share=float(share[had]), salt=name)
        is_hard = rng.random() < hard[had]
        kind = case.hard if is_hard else case.easy
        loss = float(rng.random() < (kind.candidate if side == "candidate" else kind.control))
        matching = matching.begun(conversation, side=side, stratum="hard" if is_hard else "easy")
        had += side == "candidate"
        under_way.append((conversation, loss))
        if len(under_way) > 5:  # so many go on at a time; what was lost is known sooner
            ended = next((each for each in under_way if each[1] == 1), under_way[0])
            under_way.remove(ended)
            matching, pairs = matching.settled(*ended)
            for pair in pairs:
                comparison = comparison.after(pair)
    return had if isinstance(comparison.verdict, RollBack) else NEVER
