"""`schedule`, and what `document.metadata` adds to it."""

from collections.abc import Mapping

from orchestrion.core import Json, UserError

from ._calendar import MISSED, After, Cron, Every, Missed, Schedule, cron_of
from ._context import Context
from ._duration import duration_of
from ._model import Input
from ._report import Object, shown

_KINDS = ("cron", "every", "after", "on")
_METADATA = "/document/metadata/schedule"
LEAST_S = 1.0
"""Shorter intervals are refused: a workflow is no metronome."""


def schedule(c: Context, value: Json, metadata: Object, taken: Input) -> Schedule | None:
    """The document's schedule; None where it has none, starts by events, or is wrong, which is reported."""
    found = c.report.fields(value, "/schedule", known=(*_KINDS, "read"))
    named = [kind for kind in _KINDS if kind in found]
    if "read" in found and "on" not in named:
        message = "`read` says how the events of `on` are read."
        c.report.error("/schedule/read", "missing-field", message, "Add `on:`, or remove it.", key=True)
    if len(named) != 1 and isinstance(value, Mapping):
        said = " and ".join(f"`{kind}`" for kind in named) or "nothing"
        hint = "Name one of `cron`, `every`, `after`, `on`; make a workflow of each where several are meant."
        c.report.error(
            "/schedule", "bad-schedule", f"A schedule names one kind of start; this has {said}.", hint, key=True
        )
    timing = _timing(c, named[0], found[named[0]]) if len(named) == 1 else None
    missed, given = _settings(c, metadata)
    if timing is None:
        return None
    timezone = metadata.get("timezone", "UTC")
    planned = Schedule(
        timing=timing, timezone=timezone if isinstance(timezone, str) else "UTC", missed=missed, input=given
    )
    if not c.report.findings:
        _fits(c, planned, taken)
    return planned


def _timing(c: Context, kind: str, value: Json) -> Cron | Every | After | None:
    at = f"/schedule/{kind}"
    if kind == "on":
        return None
    if kind == "cron":
        text = c.report.text(value, at)
        try:
            return cron_of(text) if text else None
        except UserError as error:
            c.report.error(at, error.code, error.message, error.hint)
            return None
    try:
        seconds = duration_of(value).seconds
    except UserError as error:
        c.report.error(at, error.code, f"{shown(value)} cannot be used. {error.message}", error.hint)
        return None
    if seconds < LEAST_S:
        c.report.error(at, "bad-schedule", f"{shown(value)} is shorter than a second.", "Give at least a second.")
        return None
    return Every(seconds) if kind == "every" else After(seconds)


def _settings(c: Context, metadata: Object) -> tuple[Missed, Object]:
    """`document.metadata.schedule`: what to do about missed firings, and the input of scheduled runs."""
    if "schedule" not in metadata:
        return "once", {}
    found = c.report.fields(metadata["schedule"], _METADATA, known=("missed", "input"))
    text = c.report.choice(found.get("missed", "once"), f"{_METADATA}/missed", MISSED)
    missed: Missed = text if text in MISSED else "once"
    return missed, c.report.object(found.get("input", {}), f"{_METADATA}/input")


def _fits(c: Context, planned: Schedule, taken: Input) -> None:
    """Nobody is there to correct the input of a scheduled run, so it is checked now."""
    sample = planned.input_at(0.0)
    if taken.schema is None or taken.schema.accepts(sample):
        return
    wrong = "; ".join(f"{v.pointer or 'the input'}: {v.message}" for v in taken.schema.violations(sample, limit=5))
    c.report.error(
        "/schedule",
        "bad-schedule-input",
        f"The input of scheduled runs does not fit the workflow's input schema: {wrong}.",
        "Give the input under `document.metadata.schedule.input`; the schema must also allow `scheduledAt`, which is added.",
        key=True,
    )
