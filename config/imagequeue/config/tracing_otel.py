"""Spans by OpenTelemetry. Imported only where it is in use; `tracing` says when that is."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from imagequeue.config.tracing import CARRIED, EXPORTER, Kind, Span, Value

KINDS: Final = {kind: SpanKind[kind.upper()] for kind in ("internal", "server", "producer", "consumer", "client")}
NS_PER_US: Final = 1_000
SERVICE_VARIABLE: Final = "OTEL_SERVICE_NAME"
WHY_CHARACTERS_MAX: Final = 200

_W3C: Final = TraceContextTextMapPropagator()


class OtelSpan:
    """A span of OpenTelemetry's."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, name: str, value: Value | None) -> None:
        """Add an attribute."""
        if value is not None:
            self._span.set_attribute(name, value)

    def failed(self, why: str) -> None:
        """Set the status to an error."""
        self._span.set_status(StatusCode.ERROR, why[:WHY_CHARACTERS_MAX])


class OtelSpans:
    """Makes spans with the process's own provider."""

    on = True

    def __init__(self) -> None:
        self._tracer = trace.get_tracer("imagequeue")

    def span(
        self, name: str, *, kind: Kind = "internal", parent: str | None = None, **notes: Value
    ) -> AbstractContextManager[Span]:
        """Return a span for the length of a block."""
        return self._span(name, kind, parent, notes)

    @contextmanager
    def _span(self, name: str, kind: Kind, parent: str | None, notes: Mapping[str, Value]) -> Iterator[Span]:
        context = None if parent is None else _context(parent)
        with self._tracer.start_as_current_span(name, context=context, kind=KINDS[kind], attributes=notes) as span:
            yield OtelSpan(span)

    def past(self, name: str, start_us: int, end_us: int, **notes: Value) -> None:
        """Record a span of the past."""
        span = self._tracer.start_span(name, start_time=start_us * NS_PER_US, attributes=notes)
        span.end(end_time=max(start_us, end_us) * NS_PER_US)

    def carried(self) -> str | None:
        """Return the present span as W3C Trace Context writes it."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier.get(CARRIED)


def _context(parent: str) -> Context:
    return _W3C.extract({CARRIED: parent})


def start(service: str, environ: Mapping[str, str]) -> str:
    """Set up a provider that exports in the background; returns why not where that cannot be."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

    exporter: SpanExporter
    match environ.get(EXPORTER) or "otlp":
        case "otlp":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter()
        case "console":
            exporter = ConsoleSpanExporter()
        case other:
            return f"no traces: {EXPORTER}={other[:WHY_CHARACTERS_MAX]} is unknown; otlp, console and none are accepted"
    given = {} if environ.get(SERVICE_VARIABLE) else {"service.name": service}
    provider = TracerProvider(resource=Resource.create(given))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return ""
