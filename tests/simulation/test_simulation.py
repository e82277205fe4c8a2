"""Random workflows under random schedules and faults, against the model of what they mean."""

import os
import subprocess
import sys

import pytest

from orchestrion.testing.simulation import simulate, told

IN_EVERY_TEST = range(2_000)
SOAK = range(2_000, 102_000)
SHARDS = 8


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
