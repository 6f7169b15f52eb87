"""What watching costs: a scrape of /metrics, and a log line, the measures and the spans of one job.

    python benchmarks/metrics.py

Prints JSON: milliseconds of a scrape with 20 organizations, microseconds of one job's spans without and with tracing,
of its measures and its log line. CPU time of this process, so that other load on the machine counts little.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from prometheus_client import generate_latest

from imagequeue.config.embedded import ensure_server, stop_server
from imagequeue.config.settings import load_settings
from imagequeue.config.tracing import NoSpans, Spans
from imagequeue.producer.door.main import opened_door
from imagequeue.producer.door.metrics import figures
from imagequeue.queue.measures import ATTEMPTS, CALLS
from imagequeue.worker.meter import Meter

SCRAPES = 40
JOBS = 20_000
POOLS = 20


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            scrape = asyncio.run(scrapes(Path(folder)))
        finally:
            stop_server(Path(folder))
    off = per_job(NoSpans())
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    from imagequeue.config.tracing_otel import OtelSpans

    trace.set_tracer_provider(TracerProvider())
    on = per_job(OtelSpans())
    shown = {
        "scrape_ms_median": scrape[0],
        "scrape_ms_worst": scrape[1],
        "spans_of_a_job_us_off": off,
        "spans_of_a_job_us_on": on,
        "measures_of_a_job_us": cpu_us(measure_one()),
        "log_line_us": cpu_us(log_one()),
    }
    print(json.dumps(shown, indent=1))


async def scrapes(folder: Path) -> tuple[float, float]:
    """Return the median and the worst CPU milliseconds of a scrape with many pools."""
    orgs = [
        {"name": f"org{at}", "api_key": "sk-x", "base_url": "http://127.0.0.1:9/v1", "tier": "5"} for at in range(POOLS)
    ]
    environ = {"IMAGEQUEUE_DATA_DIR": str(folder), "IMAGEQUEUE_ORGS": json.dumps(orgs)}
    environ["IMAGEQUEUE_REDIS_URL"] = await asyncio.to_thread(ensure_server, folder)
    taken = []
    async with opened_door(load_settings(environ), may_be_open=True) as door:
        fields = {
            f"{CALLS.name}\torg{at}|dall-e-3\timages\t{place}": 5 for at in range(POOLS) for place in (*range(15), "us")
        }
        await door.scripts.redis.hset(f"{door.settings.keys.own}:measured", mapping=fields)  # type: ignore[misc]  # redis types both clients at once
        for _ in range(SCRAPES):
            began = time.process_time()
            generate_latest(await figures(door, by_tenant=False))
            taken.append((time.process_time() - began) * 1000)
    return round(statistics.median(taken), 2), round(max(taken[1:]), 2)


def per_job(spans: Spans) -> float:
    """Return the CPU microseconds of the spans of one job."""

    def one() -> None:
        with spans.span("job", kind="consumer", job="x", queue="q"):
            for name in ("hold", "call", "store", "settle"):
                with spans.span(name):
                    pass

    return cpu_us(one)


def measure_one() -> Callable[[], None]:
    """Return what a worker counts for one job."""
    meter = Meter()

    def one() -> None:
        meter.observe(CALLS, 1.2, "main|dall-e-3", "images")
        meter.count(ATTEMPTS, "main|dall-e-3", "dall-e-3", "images")

    return one


def log_one() -> Callable[[], None]:
    """Return what a worker writes for one job, into nothing."""
    nowhere = Path("/dev/null").open("w")  # noqa: SIM115 - open as long as the process
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=nowhere),
    )
    log = structlog.get_logger()

    def one() -> None:
        log.info("attempt", job="x" * 32, attempt=1, org="main", model="dall-e-3", outcome="images", code=None,
                 status=200, request_id="req_" + "x" * 24, client_request_id="x" * 34, ms=1200)  # fmt: skip

    return one


def cpu_us(one: Callable[[], None]) -> float:
    """Return the CPU microseconds of one call."""
    began = time.process_time()
    for _ in range(JOBS):
        one()
    return round((time.process_time() - began) / JOBS * 1_000_000, 2)


if __name__ == "__main__":
    sys.exit(main())
