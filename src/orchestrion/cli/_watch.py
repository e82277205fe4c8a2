"""`orchestrion watch`: what was counted of agents, models, tools, routers and workflows."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.table import Table

from orchestrion.app import Watch, watched_json
from orchestrion.core import SystemClock, UserError, iso
from orchestrion.journal import DurableJournal
from orchestrion.oversight import KINDS, NOTEWORTHY, Measures, Signal, Subject, SubjectKind, change_in_words

from ._runs import journal_of
from ._terminal import COMPLETED, err, execute, out, print_json

DRIFT_S = 7 * 86_400.0
"""A change is told of for so long."""
PAGES = 50
"""Of runs that nobody has counted yet, so many hundreds are before the answer."""
SHARES = ("errors", "denied", "asked", "approved", "rejected", "abstained", "corrected", "good", "bad")
_LENGTH = re.compile(r"(\d{1,5})\s*([mhd])")
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
Found = Mapping[SubjectKind, Mapping[str, Measures]]
Signals = Mapping[tuple[Subject, str], Signal]


def tell_watch(by: str | None, since: str, *, runs: bool, project: Path, as_json: bool) -> None:
    async def work() -> int:
        kinds = _kinds(by)
        now = SystemClock().now()
        found: Found = {}
        signals: Signals = {}
        async with AsyncExitStack() as stack:
            journal = await journal_of(stack, project)
            if isinstance(journal, DurableJournal):
                watch = Watch(journal, SystemClock())
                if await watch.catch_up(PAGES):
                    err.print("Earlier runs are still being counted: the same command tells of more.")
                found = {kind: await watch.sums(kind, now - _seconds(since)) for kind in kinds}
                signals = {each: seen for each, seen in (await watch.signals()).items() if each[0].kind in kinds}
        if as_json:
            print_json(watched_json(found, signals))
        elif not any(found.values()):
            err.print(
                f"Nothing has run in {since}. `orchestrion run WORKFLOW` starts something, --since looks further back."
            )
        else:
            for kind in kinds:
                if found[kind]:
                    out.print(_table(kind, found[kind]))
            _tell_drift(signals, now)
            if runs:
                _tell_runs(found)
        return COMPLETED

    execute(work, as_json=as_json)


def _kinds(by: str | None) -> Sequence[SubjectKind]:
    """Raises: UserError `unknown-subject`."""
    found: list[SubjectKind] = [kind for kind in KINDS if by is None or kind == by]
    if not found:
        raise UserError("unknown-subject", f"Nothing is counted by {by!r}.", hint=f"By: {', '.join(KINDS)}.")
    return found


def _seconds(text: str) -> float:
    """Raises: UserError `bad-window`."""
    found = _LENGTH.fullmatch(text.strip())
    if found is None:
        raise UserError("bad-window", f"{text!r} is no length of time.", hint="Write 30m, 24h or 7d.")
    return float(found[1]) * _UNITS[found[2]]


def _table(kind: SubjectKind, found: Mapping[str, Measures]) -> Table:
    """Columns of which nothing is counted are left out."""
    shares = [name for name in SHARES if any(sums.value(name) for sums in found.values())]
    mixed = any(sums.mix for sums in found.values())
    dear = any(sums.usd_micros for sums in found.values())
    table = Table(box=None, pad_edge=False)
    table.add_column(kind, overflow="fold")
    for name in ("turns" if kind == "agent" else "count", *shares, "p50 s", "p95 s", *(["USD"] if dear else [])):
        table.add_column(name, justify="right", no_wrap=True)
    if mixed:
        table.add_column("tools" if kind == "agent" else "labels", overflow="fold")
    for name, sums in sorted(found.items(), key=lambda each: (-each[1].count, each[0])):
        cells = [f"{sums.count:,}", *(_share(sums, share) for share in shares)]
        cells += [_seconds_cell(sums.percentile(share)) for share in (0.5, 0.95)]
        cells += [f"{sums.usd_micros / 1_000_000:,.4f}"] if dear else []
        table.add_row(name, *cells, *([_mix(sums)] if mixed else []))
    return table


def _share(sums: Measures, name: str) -> str:
    value = sums.value(name) or 0.0
    rate = sums.value(f"{name}_rate")
    if not value:
        return ""
    return f"{value:,.0f}" + (f" ({rate:.0%})" if rate is not None and rate <= 1 else "")


def _seconds_cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _mix(sums: Measures) -> str:
    whole = sum(sums.mix.values())
    parts = sorted(sums.mix.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{name} {times / whole:.0%}" for name, times in parts[:4]) + (" …" if len(parts) > 4 else "")


def _tell_drift(signals: Signals, now: float) -> None:
    for (subject, signal), seen in signals.items():
        for change in seen.changes:
            if change.at >= now - DRIFT_S:
                out.print("[yellow]≠[/]", end=" ")
                out.print(f"{change_in_words(subject, signal, change)}, {iso(change.at)[:16]}", markup=False)


def _tell_runs(found: Found) -> None:
    for kind, subjects in found.items():
        for name, sums in subjects.items():
            for measure in NOTEWORTHY:
                if behind := sums.behind(measure):
                    out.print(f"{kind} {name}, {measure}:", markup=False)
                    for run in reversed(behind):
                        out.print(f"  {run}", markup=False)
