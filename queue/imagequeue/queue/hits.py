"""Ends jobs that a stored result answers: checks that the images are there, books the outcome, tells the queue.

The enqueuer does so at once (`HitDelivery`); what it leaves undone, and all followers of a call, a worker does.
"""

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from imagequeue.config.errors import Unavailable
from imagequeue.config.money import format_usd
from imagequeue.ledger.api import JobFacts
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.announcing import Announcer
from imagequeue.queue.entries import Entry
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.stored import Stored, decode, facts_of_hit, return_value
from imagequeue.store.store import ImageStore

LOOKS_AT_ONCE_MAX: Final = 32
DELIVER_FIELDS: Final = 3
FREE: Final = format_usd(0)

log = structlog.get_logger("imagequeue.queue")


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A job that was just queued, and the text of the stored result that answers it."""

    entry: Entry
    text: str


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What answers a job: the text of the stored result of its form, '' for none, and whether it joined that call."""

    form: str
    text: str
    kind: Literal["cache", "coalesced"]


class HitDelivery:
    """Ends hits on behalf of whoever queued them."""

    def __init__(
        self, scripts: Scripts, ledger: Ledger, store: ImageStore, announcer: Announcer, *, ttl_seconds: int
    ) -> None:
        self._scripts = scripts
        self._ledger = ledger
        self._store = store
        self._announcer = announcer
        self._ttl_seconds = ttl_seconds

    async def deliver(self, hits: Sequence[Hit]) -> set[str]:
        """Return which of the jobs have ended. The others are queued all the same, and a worker sees to them."""
        looking = asyncio.Semaphore(LOOKS_AT_ONCE_MAX)

        async def book(hit: Hit) -> str | None:
            async with looking:
                return await self._book(hit)

        try:
            booked = [job_id for job_id in await asyncio.gather(*map(book, hits)) if job_id is not None]
            return await self._end(booked, {hit.entry.id: hit for hit in hits}) if booked else set()
        except Unavailable as error:
            log.warning("a worker has to deliver what the cache has", jobs=len(hits), error=str(error))
            return set()

    async def _book(self, hit: Hit) -> str | None:
        """The job's id once the ledger has its outcome; None when the images are gone."""
        stored, job_id = decode(hit.text), hit.entry.id
        if stored is None or not await is_whole(self._store, stored):
            await evict(self._scripts, hit.entry.flight.form if hit.entry.flight else "", hit.text, job_id)
            return None
        job = hit.entry.job
        facts = JobFacts(tenant=job.tenant, priority=job.priority, tags=job.tags, intent=job.intent)
        told = await self._announcer.cache_hit(job_id, job, stored.hit())
        await self._ledger.record_outcome(job_id, told, facts_of_hit(stored, facts))
        return job_id

    async def _end(self, ids: Sequence[str], hits: dict[str, Hit]) -> set[str]:
        arguments: list[str | int] = [DELIVER_FIELDS]
        for job_id in ids:
            stored = decode(hits[job_id].text)
            value = return_value(stored.images if stored else (), FREE)
            arguments += [job_id, self._ttl_seconds, base64.b64encode(json.dumps(value).encode()).decode()]
        answers = await self._scripts.run("deliver", arguments)
        return {job_id for job_id, ended in zip(ids, answers, strict=True) if ended}


async def is_whole(store: ImageStore, stored: Stored) -> bool:
    """Return whether every image of a stored result is in the store."""
    for image in stored.images:
        if not await store.exists(image.sha256):
            return False
    return True


async def evict(scripts: Scripts, form: str, text: str, job_id: str = "") -> None:
    """Forget a stored result whose images are gone; the job that waits for it, if one is named, takes another way."""
    await scripts.run("evict", [form, text, job_id])
    log.warning("a stored result was forgotten: not all of its images are in the store", form=form)


async def stored_for(scripts: Scripts, job_id: str) -> Answered:
    """Return what answers a job."""
    form, text, follows = await scripts.run("stored", [job_id])
    joined = follows not in (b"", b"-")
    return Answered(form=form.decode(), text=text.decode(errors="replace"), kind="coalesced" if joined else "cache")


async def has_stored(scripts: Scripts, form: str) -> bool:
    """Return whether there is a stored result of a form. Its images are not looked at."""
    return bool(await scripts.redis.exists(f"{scripts.keys.own}:cache:{form}"))
