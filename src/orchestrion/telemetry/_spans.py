"""Entries and runs as spans. Pure: ids, names and times all come from what was written."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from orchestrion.core import Entry, EntryKind, EntryStatus, Put, Run, RunStatus, SetRun, Write, span_id, trace_id

_SHOWN = frozenset({EntryKind.LEAF, EntryKind.CHILD, EntryKind.REQUEST, EntryKind.TIMER})
"""What takes time. Choices, values and traces are explained by the run's page, not by spans."""

Attributes = Mapping[str, str | int | float]


def spans_of(run: Run, writes: Sequence[Write], resource: Resource) -> Iterator[ReadableSpan]:
    """The spans that these durable writes complete. Values never stand in them: data stays where the journal is."""
    for write in writes:
        match write:
            case Put(entry) if entry.kind in _SHOWN and entry.ended_at is not None and entry.started_at is not None:
                yield _entry_span(run, entry, entry.started_at, entry.ended_at, resource)
            case SetRun(ended_at=ended_at, status=status) if ended_at is not None and status is not None:
                yield _run_span(run, status, write, ended_at, resource)
            case _:
                pass


def _run_span(run: Run, status: RunStatus, end: SetRun, ended_at: float, resource: Resource) -> ReadableSpan:
    parent = None
    if run.parent_id is not None and run.parent_key is not None:
        parent = _context(run, span_id(run.parent_id, run.parent_key))
    attributes: dict[str, str | int | float] = {
        "orchestrion.run.id": run.id,
        "orchestrion.run.status": status.value,
        "orchestrion.workflow": f"{run.namespace}/{run.workflow}",
        "orchestrion.workflow.version": run.version,
        **_cost(end.cost),
    }
    return _span(
        f"run {run.namespace}/{run.workflow}",
        _context(run, span_id(run.id)),
        parent,
        (run.started_at or run.created_at, ended_at),
        attributes,
        None if status is RunStatus.COMPLETED else _problem(end.problem, status.value),
        resource,
    )


def _entry_span(run: Run, entry: Entry, started_at: float, ended_at: float, resource: Resource) -> ReadableSpan:
    failed = entry.status is not EntryStatus.COMPLETED
    return _span(
        _name(entry),
        _context(run, span_id(run.id, entry.key)),
        _context(run, span_id(run.id)),
        (started_at, ended_at),
        _attributes(run, entry),
        _problem(entry.problem, entry.status.value) if failed else None,
        resource,
        kind=SpanKind.CLIENT if entry.kind is EntryKind.LEAF else SpanKind.INTERNAL,
    )


def _name(entry: Entry) -> str:
    """Source: OpenTelemetry semantic conventions for generative AI, where a model was asked."""
    function = entry.function.partition(":")[0] or entry.kind.value
    return f"chat {entry.model}" if entry.model else function


def _attributes(run: Run, entry: Entry) -> Attributes:
    decision = cast("Mapping[str, object]", entry.decision or {})
    found: dict[str, str | int | float | None] = {
        "orchestrion.run.id": run.id,
        "orchestrion.key": entry.key,
        "orchestrion.task": entry.task,
        "orchestrion.function": entry.function,
        "orchestrion.subject": entry.subject,
        "orchestrion.decision": cast("str | None", decision.get("verdict")),
        "gen_ai.operation.name": "chat" if entry.model else None,
        "gen_ai.request.model": entry.model,
        **_cost(entry.cost),
    }
    return {name: value for name, value in found.items() if value not in {None, ""}}  # pyright: ignore[reportReturnType] None is gone


def _cost(cost: object) -> dict[str, int]:
    amounts = cast("Mapping[str, int]", cost or {})
    names = {
        "input_tokens": "gen_ai.usage.input_tokens",
        "output_tokens": "gen_ai.usage.output_tokens",
        "usd_micros": "orchestrion.cost.usd_micros",
    }
    return {names[name]: amount for name, amount in amounts.items() if name in names and amount}


def _problem(problem: object, otherwise: str) -> str:
    """The problem's code: its detail may speak of data."""
    body = cast("Mapping[str, object]", problem or {})
    return str(body.get("code") or body.get("type") or otherwise)


def _context(run: Run, span: int) -> SpanContext:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(trace_id(run.root_id or run.id), span, is_remote=False, trace_flags=sampled)


def _span(
    name: str,
    context: SpanContext,
    parent: SpanContext | None,
    times: tuple[float, float],
    attributes: Attributes,
    error: str | None,
    resource: Resource,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
) -> ReadableSpan:
    return ReadableSpan(
        name=name,
        context=context,
        parent=parent,
        resource=resource,
        attributes={**attributes, "error.type": error} if error else attributes,
        kind=kind,
        status=Status(StatusCode.ERROR, error) if error else Status(StatusCode.OK),
        start_time=round(times[0] * 1e9),
        end_time=round(times[1] * 1e9),
    )
