"""Figures for Prometheus, in its text format."""

from collections.abc import Iterator, Mapping

from orchestrion import __version__
from orchestrion.app import App
from orchestrion.core import RunStatus

from ._guard import Guard

TEXT = "text/plain; version=0.0.4"


async def metrics(app: App, guard: Guard) -> str:
    """Counts of what is open, and of requests. It takes no longer as the store grows."""
    counted = await app.journal.count(ended=False)
    open_ = {status.value: counted.get(status, 0) for status in RunStatus if not status.ended}
    lines = [
        *_metric("orchestrion_info", "gauge", "What runs here.", {f'version="{__version__}"': 1}),
        *_metric("orchestrion_open_runs", "gauge", "Runs that have not ended.", _labelled("status", open_)),
        *_metric(
            "orchestrion_engine_up", "gauge", "Whether the engine advances runs.", {"": int(not app.engine.broken)}
        ),
        *_metric(
            "orchestrion_http_requests_total",
            "counter",
            "Requests that were answered.",
            _labelled("status", {str(status): number for status, number in sorted(guard.answered.items())}),
        ),
        *_metric("orchestrion_http_under_way", "gauge", "Requests under way, streams included.", {"": guard.under_way}),
    ]
    return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, said: str, values: Mapping[str, int]) -> Iterator[str]:
    yield f"# HELP {name} {said}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"


def _labelled(label: str, values: Mapping[str, int]) -> dict[str, int]:
    return {f'{label}="{name}"': value for name, value in values.items()}
