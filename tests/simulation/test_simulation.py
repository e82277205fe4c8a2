"""Random workflows under random schedules and faults, against the model of what they mean."""

import os
import subprocess
import sys

import pytest

from orchestrion.testing.simulation import simulate, told

IN_EVERY_TEST = range(1_000)
SOAK = range(1_000, 102_000)
SHARDS = 8


SLEPT_WHEN_WOKEN = (12_948, 16_011)
"""News was being read when the run began to rest, and woke it: one in ten thousand."""


def shard(seeds: range, number: int) -> range:
    return seeds[number::SHARDS]


def none_goes_wrong(seeds: range) -> None:
    for seed in seeds:
        report = simulate(seed)
        if report.wrong:
            pytest.fail(told(simulate(seed, verbose=True)), pytrace=False)


@pytest.mark.parametrize("number", range(SHARDS))
def test_simulations_agree_with_the_model(number: int) -> None:
    none_goes_wrong(shard(IN_EVERY_TEST, number))


@pytest.mark.parametrize("seed", SLEPT_WHEN_WOKEN)
def test_a_run_that_news_wakes_is_not_put_to_rest(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    none_goes_wrong(range(seed, seed + 1))

    def never(_: object, *, resting: bool) -> bool:
        return False

    monkeypatch.setattr("orchestrion.engine._walk.Walk._must_wait", never)
    assert simulate(seed).wrong == ["stuck: root"]


@pytest.mark.soak
@pytest.mark.parametrize("number", range(SHARDS))
def test_a_hundred_thousand_simulations_agree_with_the_model(number: int) -> None:
    none_goes_wrong(shard(SOAK, number))


def test_a_seed_tells_the_same_story_in_every_process() -> None:
    command = [sys.executable, "-m", "orchestrion.testing.simulation", "--seed", "77", "--verbose"]
    stories = {
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": salt}, capture_output=True, check=True).stdout
        for salt in ("1", "2")
    }
    (story,) = stories
    assert b"process 1 starts" in story
