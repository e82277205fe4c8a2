"""How often drift is seen where there is none, and how soon where there is: ADWIN as used here, beside other detectors of river.

Streams of 0 and 1 without any change, and streams whose rate changes after 300 values. False alarms are given per 10,000 values; delays
are the median number of values after the change, and "found" is the share of streams in which it was seen within 1,000 of them.

Run: make bench NAME=drift [QUICK=1], or python benchmarks/drift.py SEED. The last line is JSON:
{"false_alarms_per_10000": {detector: {rate: number}}, "delay": {detector: {change: {"median": number or null, "found": share}}}}.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from river import drift

from orchestrion.core import Json, dump
from orchestrion.oversight import DRIFT_CLOCK, DRIFT_DELTA, DRIFT_LEAST

QUICK = bool(os.environ.get("QUICK"))
STREAMS, LENGTH = (100, 1_000) if QUICK else (1_000, 1_000)
SLOW_STREAMS = 50 if QUICK else 100
CHANGED, BEFORE, AFTER = 50 if QUICK else 200, 300, 1_000
RATES = (0.02, 0.05, 0.1, 0.3)
CHANGES = ((0.05, 0.1), (0.05, 0.2), (0.05, 0.5), (0.3, 0.6))
OURS = "ADWIN (used)"
Detector = Any  # river has no types


def adwin(delta: float) -> Callable[[], Detector]:
    return lambda: drift.ADWIN(delta=delta, clock=DRIFT_CLOCK, grace_period=DRIFT_LEAST)


DETECTORS: Mapping[str, Callable[[], Detector]] = {
    OURS: adwin(DRIFT_DELTA),
    "ADWIN, its default": drift.ADWIN,
    "ADWIN, delta 1": adwin(0.99),
    "Page-Hinkley": lambda: drift.PageHinkley(min_instances=30, delta=0.02, threshold=10),
    "DDM": drift.binary.DDM,
    "HDDM_A": drift.binary.HDDMA,
}


def alarms(make: Callable[[], Detector], rate: float, streams: int, rng: np.random.Generator) -> float:
    found = 0
    for _ in range(streams):
        detector = make()
        for value in rng.random(LENGTH) < rate:
            detector.update(float(value))
            found += bool(detector.drift_detected)
    return found / (streams * LENGTH) * 10_000


def delay(make: Callable[[], Detector], before: float, after: float, rng: np.random.Generator) -> dict[str, Json]:
    delays: list[int] = []
    for _ in range(CHANGED):
        detector = make()
        for value in rng.random(BEFORE) < before:
            detector.update(float(value))
        for number, value in enumerate(rng.random(AFTER) < after, 1):
            detector.update(float(value))
            if detector.drift_detected:
                delays.append(number)
                break
    median = float(np.median(delays)) if 2 * len(delays) > CHANGED else None
    return {"median": median, "found": round(len(delays) / CHANGED, 3)}


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    wrong: dict[str, Json] = {}
    late: dict[str, Json] = {}
    for number, (name, make) in enumerate(DETECTORS.items()):
        rng = np.random.default_rng([seed, number])
        began = time.perf_counter()
        streams = STREAMS if name == OURS else SLOW_STREAMS
        figures: dict[str, Json] = {f"{rate}": round(alarms(make, rate, streams, rng), 2) for rate in RATES}
        delays: dict[str, Json] = {f"{a} to {b}": delay(make, a, b, rng) for a, b in CHANGES}
        wrong[name], late[name] = figures, delays
        sys.stdout.write(f"{name} ({streams} streams, {time.perf_counter() - began:.0f} s)\n")
        sys.stdout.write(f"  false alarms per 10,000 values: {figures}\n  after a change: {delays}\n")
        sys.stdout.flush()
    sys.stdout.write(dump({"false_alarms_per_10000": wrong, "delay": late}) + "\n")


main()
