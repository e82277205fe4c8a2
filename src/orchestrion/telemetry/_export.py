"""Sends spans to a collector, beside the runs and never in their way."""

from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from orchestrion import __version__
from orchestrion.core import Run, Write

from ._spans import spans_of


class Telemetry:
    """Exports by OTLP over HTTP, in batches, on a thread of its own. When the collector is away spans are dropped; runs go on."""

    def __init__(self, endpoint: str, *, service: str, headers: Mapping[str, str], timeout_s: float) -> None:
        """`endpoint` is the collector's base address, such as `http://127.0.0.1:4318`."""
        self._resource = Resource.create({"service.name": service, "service.version": __version__})
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", headers=dict(headers), timeout=timeout_s)
        self._processor = BatchSpanProcessor(exporter)

    def observe(self, run: Run, writes: Sequence[Write]) -> None:
        """Queue the spans that these durable writes complete."""
        for span in spans_of(run, writes, self._resource):
            self._processor.on_end(span)

    def close(self) -> None:
        """Send what is queued, waiting a moment for it."""
        self._processor.shutdown()
