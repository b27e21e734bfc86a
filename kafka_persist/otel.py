"""Spans for OpenTelemetry (extra ``otel``, of which only the API is needed at run time)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .tracing import TRACE_KEYS, Attributes, Tracing

try:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as _missing:
    raise ImportError("tracing needs OpenTelemetry's API: pip install 'kafka-persist[otel]'") from _missing

__all__ = ["OpenTelemetryTracing"]

_PROPAGATOR = TraceContextTextMapPropagator()


class OpenTelemetryTracing(Tracing):
    """Spans of OpenTelemetry; give it to `open_persistence` and `open_projection` as ``tracing``.

    Args:
        tracer_provider: makes the tracer; by default the global one. Without an SDK nothing is recorded.
    """

    def __init__(self, tracer_provider: trace.TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("kafka_persist", tracer_provider=tracer_provider)

    def __repr__(self) -> str:
        return f"<OpenTelemetryTracing {type(self._tracer).__name__}>"

    @contextmanager
    def span(self, name: str, attributes: Attributes, *, events: Iterable[Any] = ()) -> Iterator[None]:
        """See `Tracing.span`."""
        with self._tracer.start_as_current_span(name, attributes=attributes, links=_links(events)):
            yield

    def begin(self, name: str, attributes: Attributes, *, events: Iterable[Any]) -> Callable[[str], None]:
        """See `Tracing.begin`."""
        # An empty context: a callback runs in that of whoever polled the client, which has nothing to do with it.
        span = self._tracer.start_span(name, context=Context(), attributes=attributes, links=_links(events))

        def end(reason: str) -> None:
            if reason:
                span.set_status(trace.StatusCode.ERROR, reason)
            span.end()

        return end

    def current(self) -> Mapping[str, str]:
        """See `Tracing.current`."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier


def _links(events: Iterable[Any]) -> list[trace.Link]:
    """Links to the spans that wrote events; events of one write have the same one, which counts once."""
    found = {context: None for metadata in events if (context := _context_in(metadata)) is not None}
    return [trace.Link(trace.SpanContext(*each)) for each in found]


def _context_in(metadata: Any) -> tuple[Any, ...] | None:
    """The span's context in an event's metadata, which anybody may have written; None if there is none."""
    if not isinstance(metadata, Mapping):
        return None
    carrier = {key: metadata[key] for key in TRACE_KEYS if isinstance(metadata.get(key), str)}
    if "traceparent" not in carrier:
        return None
    found = trace.get_current_span(_PROPAGATOR.extract(carrier, context=Context())).get_span_context()
    if not found.is_valid:
        return None
    return found.trace_id, found.span_id, found.is_remote, found.trace_flags
