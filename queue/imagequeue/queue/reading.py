"""Reads job views: from Redis while it has the job, else from the ledger, and both in batches."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from imagequeue.config.catalog import Catalog
from imagequeue.config.errors import NotFound, QueueUnavailable
from imagequeue.config.settings import Settings
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.links import links
from imagequeue.queue.listing import JobQuery, list_records
from imagequeue.queue.places import read_places
from imagequeue.queue.pools import server_now_us
from imagequeue.queue.record import JobRecord, check_id, read_records
from imagequeue.queue.scene import read_scene
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.views import JobView, Waiting, view_of_ledger, view_of_record
from imagequeue.queue.waits import why_queued


@dataclass(frozen=True, kw_only=True)
class ViewPage:
    """A page of job views, and the cursor of the next one; None when there is none."""

    jobs: tuple[JobView, ...]
    next: str | None

    def as_json(self) -> dict[str, object]:
        """Return the page as JSON values."""
        return {"jobs": [view.as_json() for view in self.jobs], "next": self.next}


class JobReader:
    """Shows jobs as they are now. QueueUnavailable and LedgerUnavailable when either does not answer."""

    def __init__(self, scripts: Scripts, ledger: Ledger, settings: Settings, catalog: Catalog) -> None:
        self._scripts = scripts
        self._ledger = ledger
        self._settings = settings
        self._catalog = catalog
        self._link = links(settings)

    async def view(self, job_id: str) -> JobView:
        """Return one job; NotFound when neither Redis nor the ledger has it."""
        found = await self.views([job_id])
        if job_id not in found:
            raise NotFound(f"job {job_id}: there is none of this id")
        return found[job_id]

    async def views(self, ids: Sequence[str]) -> dict[str, JobView]:
        """Return those of the jobs that are known."""
        for job_id in ids:
            check_id(job_id)
        try:
            return await self._views(ids, await read_records(self._scripts, ids))
        except RedisError as error:
            raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error

    async def page(self, query: JobQuery) -> ViewPage:
        """Return a page of jobs that Redis has."""
        try:
            now_seconds = await server_now_us(self._scripts) / 1_000_000
            page = await list_records(self._scripts, query, now_seconds=now_seconds)
            records = {record.id: record for record in page.records}
            views = await self._views(list(records), records)
        except RedisError as error:
            raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error
        return ViewPage(jobs=tuple(views.values()), next=page.next)

    async def _views(self, ids: Sequence[str], records: Mapping[str, JobRecord]) -> dict[str, JobView]:
        outcomes, attempts = await asyncio.gather(self._ledger.outcomes(ids), self._ledger.attempts(ids))
        waits = await self._waits([record for record in records.values() if record.status == "queued"])
        views: dict[str, JobView] = {}
        for job_id in ids:
            record, outcome, tries = records.get(job_id), outcomes.get(job_id), attempts.get(job_id, ())
            if record is not None:
                views[job_id] = view_of_record(
                    record,
                    outcome,
                    tries,
                    waiting=waits.get(job_id),
                    link=self._link,
                    joins_others=self._settings.cache_scope == "shared",
                )
            elif outcome is not None:
                views[job_id] = view_of_ledger(job_id, outcome, tries, link=self._link)
        return views

    async def _waits(self, queued: Sequence[JobRecord]) -> dict[str, Waiting]:
        if not queued:
            return {}
        scene = await read_scene(self._scripts, self._settings, self._catalog)
        places = await read_places(self._scripts, queued, scene)
        return {record.id: why_queued(record, places.get(record.id), scene) for record in queued}
