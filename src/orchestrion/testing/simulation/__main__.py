"""Replay a simulation, or look for one that goes wrong: python -m orchestrion.testing.simulation --seed N."""

import argparse
import sys

from ._simulation import simulate
from ._telling import told


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m orchestrion.testing.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="the seed to replay, or the first of --count")
    parser.add_argument("--count", type=int, default=1, help="how many seeds to try, from --seed on (default 1)")
    parser.add_argument("--size", type=int, help="about how many tasks, where a smaller document shows the same")
    parser.add_argument("--verbose", action="store_true", help="the document and everything that happened")
    asked = parser.parse_args()
    failed = 0
    for seed in range(asked.seed, asked.seed + asked.count):
        report = simulate(seed, size=asked.size, verbose=asked.verbose)
        if report.wrong:
            failed += 1
        if report.wrong or asked.verbose or asked.count == 1:
            sys.stdout.write(told(report))
    sys.stdout.write(f"{asked.count} simulations, {failed} of them wrong\n" if asked.count > 1 else "")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
