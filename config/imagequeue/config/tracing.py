"""Traces of what happens to a job, from the door to the provider: OpenTelemetry where it is in use, else nothing.

This module imports nothing of OpenTelemetry. A process traces when its program set OpenTelemetry up (an app that uses
the client), or when `start_tracing` did for one of our commands: where the environment names an exporter by the
standard variables, e.g. OTEL_EXPORTER_OTLP_ENDPOINT. Otherwise `spans()` gives an object that does nothing.
"""

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Literal, Protocol

EXPORTER: Final = "OTEL_TRACES_EXPORTER"
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
DISABLED: Final = "OTEL_SDK_DISABLED"
SWITCHED_ON_BY: Final = "opentelemetry.trace"
UNSET: Final = "ProxyTracerProvider"
"""What OpenTelemetry has for a provider as long as nobody set one."""
CARRIED: Final = "traceparent"
"""The field of a job's metadata in which the trace goes from the door to the worker, as W3C Trace Context writes it."""
CARRIED_CHARACTERS_MAX: Final = 64

Kind = Literal["internal", "server", "producer", "consumer", "client"]
Value = str | int | float | bool


class Span(Protocol):
    """One step that is under way."""

    def note(self, name: str, value: Value | None) -> None:
        """Add what was learned; None is left out."""
        ...

    def failed(self, why: str) -> None:
        """Say that it did not succeed."""
        ...


class Spans(Protocol):
    """What makes spans. `on` False: everything here does nothing."""

    @property
    def on(self) -> bool:
        """Whether anything is traced."""
        ...

    def span(
        self, name: str, *, kind: Kind = "internal", parent: str | None = None, **notes: Value
    ) -> AbstractContextManager[Span]:
        """Return a span for the length of a block, inside the present one unless `parent` names another."""
        ...

    def past(self, name: str, start_us: int, end_us: int, **notes: Value) -> None:
        """Record a span of the past inside the present one; times in Unix microseconds."""
        ...

    def carried(self) -> str | None:
        """Return the present span as text, to be carried to another process; None when there is none."""
        ...


class NoSpan:
    """A step that nobody looks at."""

    def note(self, name: str, value: Value | None) -> None:
        """Do nothing."""

    def failed(self, why: str) -> None:
        """Do nothing."""


class NoSpans:
    """Nothing is traced."""

    on = False

    def __init__(self) -> None:
        self._nothing: AbstractContextManager[Span] = nullcontext(NoSpan())

    def span(
        self, name: str, *, kind: Kind = "internal", parent: str | None = None, **notes: Value
    ) -> AbstractContextManager[Span]:
        """Return a block in which nothing happens."""
        return self._nothing

    def past(self, name: str, start_us: int, end_us: int, **notes: Value) -> None:
        """Do nothing."""

    def carried(self) -> str | None:
        """Return None."""
        return None


def spans() -> Spans:
    """Return what this process traces with: OpenTelemetry's global provider if somebody set one, else nothing.

    That OpenTelemetry was imported says nothing: redis-py does so wherever it is installed.
    """
    api = sys.modules.get(SWITCHED_ON_BY)
    if api is None or type(api.get_tracer_provider()).__name__ == UNSET:
        return NoSpans()
    from imagequeue.config.tracing_otel import OtelSpans

    return OtelSpans()


def wanted(environ: Mapping[str, str]) -> bool:
    """Return whether an environment asks for traces by OpenTelemetry's own variables."""
    if environ.get(DISABLED, "").lower() == "true" or environ.get(EXPORTER) == "none":
        return False
    return bool(environ.get(EXPORTER)) or any(environ.get(name) for name in ENDPOINTS)


def start_tracing(service: str, environ: Mapping[str, str]) -> str:
    """Set OpenTelemetry up for this process if its environment asks for it; says why not where it cannot be."""
    if not wanted(environ):
        return ""
    try:
        from imagequeue.config.tracing_otel import start
    except ImportError as error:
        return f"no traces: {error.name} is missing; pip install 'imagequeue[tracing]'"
    return start(service, environ)


def carried_by(metadata: Mapping[str, object]) -> str | None:
    """Return the trace that a job's metadata carries; None for none, or for what can be none."""
    value = metadata.get(CARRIED)
    return value if isinstance(value, str) and len(value) <= CARRIED_CHARACTERS_MAX else None
