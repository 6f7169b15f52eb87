"""One job's trace from the door to the provider, by OpenTelemetry; and nothing of it where nobody asks for it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from observed_site import Site, on_site, settings_of
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from imagequeue.config.job import METADATA_BYTES_MAX, Job
from imagequeue.config.tracing import NoSpans, carried_by, start_tracing, wanted
from imagequeue.producer.client import AsyncImageQueue
from imagequeue.queue.carrying import carrying
from imagequeue.queue.entries import Entry
from imagequeue.simulator.process import RunningSimulator

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CANARY = "canary-of-a-prompt"


@pytest.fixture(scope="module")
def exporter() -> Iterator[InMemorySpanExporter]:
    """Yield what keeps the spans of this process.

    OpenTelemetry takes one provider in a process's life; afterwards there is none again, as the tests of other modules
    that run in this process expect.
    """
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    before = trace._TRACER_PROVIDER
    trace._TRACER_PROVIDER = provider
    yield kept
    trace._TRACER_PROVIDER = before


def by_name(spans: tuple[ReadableSpan, ...], trace_id: int) -> dict[str, ReadableSpan]:
    """Return one trace's spans."""
    return {span.name: span for span in spans if span.context is not None and span.context.trace_id == trace_id}


def parent_of(span: ReadableSpan) -> int | None:
    """Return the id of the span that a span is in."""
    return None if span.parent is None else span.parent.span_id


def test_a_jobs_trace_goes_from_the_callers_request_to_the_provider(
    server_url: str, simulator: RunningSimulator, tmp_path: Path, exporter: InMemorySpanExporter
) -> None:
    """Over two processes' parts that share nothing but Redis; no prompt and no key is in it."""

    async def story(site: Site) -> None:
        exporter.clear()
        job_id = await site.submit(prompt=CANARY, headers={"traceparent": CALLER})
        await site.burst()
        spans = exporter.get_finished_spans()
        found = by_name(spans, int(CALLER.split("-")[1], 16))
        steps = {"queue wait", "claim", "hold", "call", "store", "settle"}
        assert found.keys() == {"POST", "enqueue", "job"} | steps
        ids = {name: span.context.span_id for name, span in found.items() if span.context is not None}
        assert parent_of(found["POST"]) == int(CALLER.split("-")[2], 16)
        assert parent_of(found["enqueue"]) == ids["POST"]
        assert parent_of(found["job"]) == ids["enqueue"]
        assert {parent_of(found[name]) for name in steps} == {ids["job"]}
        call = found["call"].attributes or {}
        (row,) = [row for row in simulator.control.bill() if str(row["client_request_id"]).startswith(job_id)]
        assert call["provider.client_request_id"] == f"{job_id}-1"
        assert call["provider.request_id"] == row["request_id"]
        assert call["http.response.status_code"] == 200
        assert all((span.start_time or 0) <= (span.end_time or 0) for span in found.values())
        assert (found["queue wait"].end_time or 0) <= (found["call"].start_time or 0)
        written = "".join(span.to_json() for span in spans)
        assert CANARY not in written
        assert simulator.api_key not in written

    on_site(settings_of(server_url, simulator, tmp_path), story)


def test_the_python_clients_job_belongs_to_the_apps_trace(
    server_url: str, simulator: RunningSimulator, tmp_path: Path, exporter: InMemorySpanExporter
) -> None:
    settings = settings_of(server_url, simulator, tmp_path)

    async def story(site: Site) -> None:
        exporter.clear()
        async with AsyncImageQueue(settings) as queue:
            with trace.get_tracer("app").start_as_current_span("checkout") as span:
                await queue.submit("a lighthouse", model="dall-e-3")
        await site.burst()
        found = by_name(exporter.get_finished_spans(), span.get_span_context().trace_id)
        assert {"checkout", "enqueue", "job", "call"} <= found.keys()

    on_site(settings, story)


def test_what_is_asked_for_stays_what_a_job_is_known_by() -> None:
    """A trace in the metadata makes no other request of it, never takes the place of the user's, and stays bounded."""
    plain = Entry(id="a", job=Job(prompt="a cat", model="dall-e-3", metadata={"order": 7}))
    (carried,) = carrying([plain], CALLER)
    assert carried.fingerprint == plain.fingerprint
    assert carried.job.metadata == {"order": 7, "traceparent": CALLER}
    own = Entry(id="b", job=Job(prompt="a cat", metadata={"traceparent": "mine"}))
    full = Entry(id="c", job=Job(prompt="a cat", metadata={"x": "y" * (METADATA_BYTES_MAX - 20)}))
    assert carrying([own, full], CALLER) == [own, full]
    assert carrying([plain], None) == [plain]
    assert carrying([plain], "x" * 65) == [plain]
    assert carried_by({"traceparent": "x" * 65}) is None
    assert carried_by({"traceparent": 5}) is None


@pytest.mark.parametrize(
    ("environ", "asks"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_the_standard_variables_switch_it_on(environ: dict[str, str], asks: bool) -> None:  # noqa: FBT001 - a case's value
    assert wanted(environ) is asks
    if not asks:
        assert start_tracing("test", environ) == ""


def test_an_exporter_that_nobody_knows_is_named_and_nothing_stops() -> None:
    said = start_tracing("test", {"OTEL_TRACES_EXPORTER": "zipkin"})
    assert "zipkin" in said
    assert "otlp, console and none" in said


@pytest.mark.parametrize("first", ["sys.modules['opentelemetry'] = None", "import opentelemetry.trace"])
def test_nothing_of_opentelemetry_is_needed_where_nobody_asks(first: str) -> None:
    """Neither by the door nor the worker nor the client: where it is missing, and where it is there for others."""
    program = (
        f"import sys; {first};"
        "import imagequeue.worker.main, imagequeue.producer.door.main, imagequeue.producer.client;"
        "from imagequeue.config.tracing import spans, start_tracing;"
        "print(start_tracing('x', {}), spans().on, 'imagequeue.config.tracing_otel' in sys.modules)"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, env=kept
    )
    assert done.stdout == " False False\n"


def test_a_missing_extra_is_named_and_nothing_stops() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None; from imagequeue.config.tracing import start_tracing;"
        "print(start_tracing('x', {'OTEL_TRACES_EXPORTER': 'otlp'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install 'imagequeue[tracing]'" in done.stdout


def test_without_tracing_a_span_is_an_empty_block() -> None:
    nothing = NoSpans()
    assert nothing.span("a") is nothing.span("b", kind="client", model="x")
    with nothing.span("a") as span:
        span.note("x", 1)
        span.failed("y")
    nothing.past("z", 1, 2)
    assert nothing.carried() is None
