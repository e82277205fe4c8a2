"""How soon a worse version is rolled back, and how often one that is no worse: betting beside other ways to decide.

Simulated rollouts, each followed until the candidate has had so many conversations; a loss is 0 or 1. "Requests" are the candidate's
conversations, and their median is that of the rollouts that were rolled back. Betting, aGRAPA and the z-test allow 5 % of false
alarms. In "shifting traffic" nothing changes but the traffic: hard conversations go from 10 % to 60 % of it while the candidate's
share goes from 10 % to 50 %. "Delivered" rollouts go through assignment and matching, at 10 % of the traffic or as above.

Run: make bench NAME=rollout [QUICK=1], or python benchmarks/rollout.py SEED. The last line is JSON:
{case: {method: {"rolled_back": share, "median_requests": number or null}}}, for `betting_promoting` with "promoted" as well.
"""

import os
import sys
from collections.abc import Iterator

import numpy as np
from rollout_parts.delivered import delivered
from rollout_parts.methods import ALPHA, NEVER, Decided, agrapa, betting, fixed_threshold, z_test
from rollout_parts.traffic import CASES, SEVERE, SHIFTING, Case, Traffic

from orchestrion.core import Json, dump
from orchestrion.oversight import Rule

QUICK = bool(os.environ.get("QUICK"))
ROLLOUTS, LENGTH = (500, 400) if QUICK else (1_000, 4_000)
DELIVERED, DELIVERED_LENGTH = (50, 100) if QUICK else (1_000, 200)
WATCHING = Rule(alpha=ALPHA, tolerance=None, most_pairs=LENGTH)
PROMOTING = Rule(alpha=ALPHA, tolerance=0.05, most_pairs=LENGTH)


def decide(case: Case, rng: np.random.Generator) -> Iterator[tuple[str, Decided]]:
    traffic = Traffic.of(case, rollouts=ROLLOUTS, length=LENGTH, rng=rng)
    yield "betting", betting(traffic, WATCHING)
    yield "betting_promoting", betting(traffic, PROMOTING)
    yield "agrapa", agrapa(traffic)
    yield "z_test", z_test(traffic)
    yield "fixed_threshold", fixed_threshold(traffic, case)


def decide_delivered(case: Case, rng: np.random.Generator) -> Iterator[tuple[str, Decided]]:
    yield "betting", delivered(case, WATCHING, rollouts=DELIVERED, length=DELIVERED_LENGTH, rng=rng)


def report(name: str, method: str, decided: Decided) -> dict[str, Json]:
    median = decided.median
    figures: dict[str, Json] = {"rolled_back": round(decided.share, 4), "median_requests": median}
    shown = "" if median is None else f"{median:,.0f}"
    line = f"{name:40}{method:20}{decided.share:>11.1%}{shown:>17}"
    if method == "betting_promoting" and decided.promoted is not None:
        promoted = decided.promoted[decided.promoted != NEVER]
        figures["promoted"] = round(len(promoted) / len(decided.promoted), 4)
        if len(promoted):
            line += f"    promoted {figures['promoted']:.1%}, median {np.median(promoted):,.0f}"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    return figures


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    sys.stdout.write(
        f"{ROLLOUTS:,} rollouts of {LENGTH:,} requests each; delivered: {DELIVERED:,} of {DELIVERED_LENGTH:,}\n"
    )
    sys.stdout.write(f"{'case':40}{'method':20}{'rolled back':>11}{'median requests':>17}\n")
    found: dict[str, Json] = {}
    for number, case in enumerate(CASES):
        deciding = decide(case, np.random.default_rng([seed, number]))
        found[case.name] = {method: report(case.name, method, decided) for method, decided in deciding}
    for number, case in enumerate((SHIFTING, SEVERE), len(CASES)):
        name = f"{case.name}, delivered"
        deciding = decide_delivered(case, np.random.default_rng([seed, number]))
        found[name] = {method: report(name, method, decided) for method, decided in deciding}
    sys.stdout.write(dump(found) + "\n")


main()
