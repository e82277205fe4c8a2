"""What runs have written, as OpenTelemetry spans: the journal is the trace, and this is its copy for other tools."""

from ._export import Telemetry

__all__ = ["Telemetry"]
