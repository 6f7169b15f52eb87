"""What tests about money need: a worker's clock that can be moved, job views, a minute that passes."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from worker_site import WorkerSite

from imagequeue.config.catalog import load_catalog
from imagequeue.config.settings import Settings, load_settings
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.connection import connect
from imagequeue.queue.reading import JobReader
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.views import JobView
from imagequeue.worker import ground, main

Answer = TypeVar("Answer")
WAIT_SECONDS_MAX = 30.0


class ShiftedClock:
    """The system's clock, `ahead` of the true time."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        """Return the moment."""
        return datetime.now(UTC) + self.ahead


def shift_clocks(patch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    """Let workers and ledgers that are made from now on live so far in the future."""
    patch.setattr(ShiftedClock, "ahead", ahead)
    patch.setattr(ground, "SystemClock", ShiftedClock)
    patch.setattr("imagequeue.ledger.ledger.SystemClock", ShiftedClock)


def a_minute_passes(site: WorkerSite) -> None:
    """Let the time come at which jobs that wait for money are tried again."""
    own = site.settings.keys.own
    for name in site.redis.smembers(f"{own}:pools"):
        if site.redis.hget(f"{own}:pool:{name.decode()}", "suspended_until") not in (None, b"0"):
            site.redis.hset(f"{own}:pool:{name.decode()}", "suspended_until", 1)
    for tenant, why in site.redis.hgetall(f"{own}:held").items():
        site.redis.hset(f"{own}:held", tenant, json.dumps({**json.loads(why), "recheck_at": 0}))


def configure(site: WorkerSite, **org: Any) -> None:
    """Restart the site's configuration with other words for its first organization."""
    first, *others = json.loads(site.environ["IMAGEQUEUE_ORGS"])
    reset(site, IMAGEQUEUE_ORGS=json.dumps([{**first, **org}, *others]))


def reset(site: WorkerSite, **environ: str) -> None:
    """Restart the site's configuration with other variables."""
    site.environ.update(environ)
    known = {name: value for name, value in site.environ.items() if name.startswith(("IMAGEQUEUE_", "RQ_"))}
    site.settings = load_settings(known)


def with_ledger(site: WorkerSite, act: Callable[[Ledger], Awaitable[Answer]]) -> Answer:
    """Return what `act` does with the site's ledger."""

    async def story() -> Answer:
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
        try:
            return await act(ledger)
        finally:
            await ledger.aclose()

    return asyncio.run(story())


def view(site: WorkerSite, job_id: str) -> JobView:
    """Return the job as `jobs show` shows it while a worker runs."""

    async def story() -> JobView:
        client = connect(site.environ["IMAGEQUEUE_REDIS_URL"])
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
        settings: Settings = site.settings
        scripts = Scripts(client, settings.keys)
        found = await JobReader(scripts, ledger, settings, load_catalog(settings.catalog)).view(job_id)
        await ledger.aclose()
        await client.aclose()
        return found

    return asyncio.run(story())


def work_until(site: WorkerSite, status: str, job_id: str) -> None:
    """Run a worker until the job has that status in RQ's words."""

    async def story() -> None:
        worker = asyncio.create_task(main._work(site.settings, main.WorkerOptions()))
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while site.status(job_id) != status:  # noqa: ASYNC110 - what changes is in another process
                await asyncio.sleep(0.02)
        signal.raise_signal(signal.SIGTERM)  # which the worker listens to
        await worker

    asyncio.run(story())
