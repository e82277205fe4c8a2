"""Drift: a change is found soon, nothing is found where nothing changed, and a restart forgets nothing."""

import random

from orchestrion.oversight import Signal, detect


def stream(seed: int, *parts: tuple[float, int]) -> list[float]:
    draw = random.Random(seed)
    return [float(draw.random() < rate) for rate, length in parts for _ in range(length)]


def test_a_change_is_found_and_told() -> None:
    found = detect(Signal().seen(stream(1, (0.05, 300), (0.5, 60))), at=7.0)
    (change,) = found.changes
    assert change.at == 7.0
    assert change.before < 0.1
    assert change.after > 0.3
    assert len(found.values) < 100


def test_where_nothing_changes_hardly_anything_is_found() -> None:
    wrong = sum(len(detect(Signal().seen(stream(seed, (0.1, 1_000))), at=0.0).changes) for seed in range(100))
    assert wrong <= 10  # 0.25 in 10,000 values were measured: 2.5 are expected of these 100,000


def test_a_value_that_is_no_yes_or_no_is_watched_too() -> None:
    draw = random.Random(3)
    sure = [0.95 + draw.uniform(-0.04, 0.04) for _ in range(200)]
    unsure = [0.7 + draw.uniform(-0.2, 0.2) for _ in range(60)]
    assert len(detect(Signal().seen(sure + unsure), at=0.0).changes) == 1


def test_what_is_known_does_not_depend_on_when_it_was_looked_at_or_kept() -> None:
    values = stream(2, (0.05, 1_500), (0.4, 1_000), (0.05, 800))
    whole = detect(Signal().seen(values), at=0.0)
    bit = Signal()
    for start in range(0, len(values), 37):
        bit = Signal.from_json(detect(bit.seen(values[start : start + 37]), at=0.0).to_json())
    assert bit == whole
    assert len(whole.changes) >= 2


def test_a_long_calm_is_not_kept_for_good() -> None:
    found = detect(Signal().seen([0.0] * 5_000), at=0.0)
    assert found.changes == ()
    assert len(found.values) <= 2_000
