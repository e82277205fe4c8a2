"""Draws the JSON line of a comparison as two rows of bars, and prints it as a table in Markdown.

Run: .venv/bin/python benchmarks/peer_measuring/plot.py .peers/result.json docs/reference/peers.svg
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

ROW, BAR, LABELS, PANEL, GAP, TOP = 26, 15, 210, 330, 70, 64
OURS, PEERS, INK, GRID = "#b4512d", "#7b8794", "#1f2933", "#d9dee3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One figure of everybody, on a logarithmic scale."""

    title: str
    figure: str
    left: float
    low: float
    high: float

    def x(self, value: float) -> float:
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.left + PANEL * share

    def ticks(self) -> list[float]:
        exponents = range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)
        return [10.0**exponent for exponent in exponents]


def rows_of(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Everybody with figures: first who writes to files, then who writes to PostgreSQL, the fastest first."""
    named = {f"orchestrion-{store}".replace("_", "-"): found for store, found in result["ours"].items()} | result[
        "peers"
    ]
    measured = [(name, found) for name, found in named.items() if "steps_per_s" in found]
    return sorted(measured, key=lambda each: (each[0].endswith("postgres"), -each[1]["steps_per_s"]))


def panel(title: str, figure: str, left: float, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Panel:
    lowest = min(found[f"{figure}_spread"][0] for _, found in rows)
    highest = max(found[f"{figure}_spread"][1] for _, found in rows)
    low, high = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
    return Panel(title=title, figure=figure, left=left, low=10.0**low, high=10.0**high)


def draw(result: Mapping[str, Any]) -> str:
    """The picture as SVG."""
    rows = rows_of(result)
    panels = [
        panel("steps a second (more is better)", "steps_per_s", LABELS, rows),
        panel("CPU milliseconds a step (less is better)", "cpu_ms_per_step", LABELS + PANEL + GAP, rows),
    ]
    height = TOP + ROW * len(rows) + 44
    width = LABELS + 2 * PANEL + GAP + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *(line for each in panels for line in _axis(each, len(rows))),
        *(line for place, row in enumerate(rows) for line in _row(panels, place, *row)),
        _text(14, height - 12, _conditions(result["conditions"]), "start", 11),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _axis(each: Panel, rows: int) -> list[str]:
    bottom = TOP + ROW * rows
    lines = [_text(each.left, 24, each.title, "start", 14)]
    for tick in each.ticks():
        x = each.x(tick)
        lines.append(f'<path d="M{x:.1f} {TOP - 8}V{bottom}" stroke="{GRID}"/>')
        lines.append(_text(x, TOP - 14, f"{tick:,g}", "middle", 11))
    return lines


def _row(panels: Sequence[Panel], place: int, name: str, found: Mapping[str, Any]) -> list[str]:
    y = TOP + ROW * place
    middle = y + ROW / 2
    colour = OURS if name.startswith("orchestrion") else PEERS
    label = name if found["records_each_step"] else f"{name} *"
    lines = [_text(LABELS - 10, middle + 4, label, "end", 12)]
    for each in panels:
        value, (least, most) = found[each.figure], found[f"{each.figure}_spread"]
        end = each.x(value)
        lines.append(
            f'<rect x="{each.left}" y="{y + (ROW - BAR) / 2}" width="{end - each.left:.1f}" height="{BAR}" fill="{colour}"/>'
        )
        lines.append(f'<path d="M{each.x(least):.1f} {middle}H{each.x(most):.1f}" stroke="{INK}" stroke-width="1.5"/>')
        lines.append(
            _text(
                max(end, each.x(most)) + 6, middle + 4, f"{value:,.0f}" if value >= 10 else f"{value:.3g}", "start", 12
            )
        )
    return lines


def _conditions(conditions: Mapping[str, Any]) -> str:
    loads = conditions["load"]
    return (
        f"Medians of {conditions['rounds']} rounds; lines from least to most; {conditions['processor']};"
        f" load average {min(loads)} to {max(loads)}; * fewer records than steps"
    )


def _text(x: float, y: float, text: str, anchor: str, size: int) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{INK}">{escape(text)}</text>'


def table(result: Mapping[str, Any]) -> str:
    """Everybody with figures, and those without with the reason."""
    lines = [
        "| | steps/s | least - most | CPU ms a step | one step alone, p50 and p99 ms | MB |",
        "| --- " + "| ---: " * 5 + "|",
    ]
    for name, found in rows_of(result):
        least, most = found["steps_per_s_spread"]
        lines.append(
            f"| {name}{'' if found['records_each_step'] else ' *'} | {found['steps_per_s']:,} | {least:,} - {most:,} |"
            f" {found['cpu_ms_per_step']:.3g} | {found['step_p50_ms']:.2f}, {found['step_p99_ms']:.1f} | {found['rss_mb']:.0f} |"
        )
    failed = {
        name: found["failed"] for name, found in {**result["ours"], **result["peers"]}.items() if "failed" in found
    }
    return "\n".join([*lines, *(f"{name}: {reason}" for name, reason in failed.items())]) + "\n"


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    shown = json.loads(source.read_text())
    target.write_text(draw(shown))
    sys.stdout.write(table(shown))
