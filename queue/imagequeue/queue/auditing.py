"""Is every job in exactly one place? Walks all jobs of our queues and, when asked, mends what it can."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text

SCAN_COUNT = 1000
BATCH_MAX = 200


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One job that is not where its status says; audit.lua lists the kinds of `finding`."""

    id: str
    queue: str
    status: str
    finding: str
    detail: str
    repaired: bool


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One worker's lease. `seconds_left` below 0: it ran out, and its claims are about to be returned."""

    worker: str
    claims: int
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audit saw. `sound` when nothing is wrong, or all that was wrong has been mended."""

    jobs: int
    findings: tuple[Finding, ...]
    leases: tuple[Lease, ...]

    @property
    def sound(self) -> bool:
        """Whether every job is where it belongs now; jobs of stock workers are theirs."""
        return all(finding.repaired or finding.finding == "foreign" for finding in self.findings)


async def audit(scripts: Scripts, *, models: Collection[str], repair: bool = False) -> Audit:
    """Look at every job of the models' queues; jobs of other applications on the same server are left alone.

    Each batch is read in one step, so that jobs may move meanwhile; a job that moves between batches is seen in one of
    its places. Takes time in proportion to the jobs, and does not stop the queue.
    """
    findings: list[Finding] = []
    jobs = 0
    async for batch in _batches(scripts, models):
        jobs += len(batch)
        rows = await scripts.run("audit", [int(repair), *batch])
        findings += [_finding(row) for row in rows]
    return Audit(jobs=jobs, findings=tuple(findings), leases=await leases(scripts))


async def leases(scripts: Scripts) -> tuple[Lease, ...]:
    """Return every worker's lease and how many jobs it covers."""
    redis, own = scripts.redis, scripts.keys.own
    seconds, micros = await redis.time()
    now_us = int(seconds) * 1_000_000 + int(micros)
    found = []
    rows: list[tuple[bytes, float]] = await redis.zrange(f"{own}:workers", 0, -1, withscores=True)  # type: ignore[assignment]  # as asked for
    for raw_name, until_us in rows:
        name = text(raw_name)
        claims = await redis.hlen(f"{own}:claims:{name}")
        found.append(Lease(worker=name, claims=claims, seconds_left=(float(until_us) - now_us) / 1_000_000))
    return tuple(found)


async def _batches(scripts: Scripts, models: Collection[str]) -> AsyncIterator[list[str]]:
    redis, prefix = scripts.redis, scripts.keys.job_prefix
    batch: list[str] = []
    async for key in redis.scan_iter(match=f"{prefix}*", count=SCAN_COUNT):
        job_id = text(key).removeprefix(prefix)
        if ":" not in job_id:  # RQ keeps dependents and dependencies of jobs under such keys
            batch.append(job_id)
        if len(batch) >= BATCH_MAX:
            yield await _ours(scripts, batch, models)
            batch = []
    if batch:
        yield await _ours(scripts, batch, models)


async def _ours(scripts: Scripts, batch: list[str], models: Collection[str]) -> list[str]:
    pipe = scripts.redis.pipeline(transaction=False)
    for job_id in batch:
        pipe.hget(scripts.keys.job(job_id), "origin")
    origins = await pipe.execute(raise_on_error=False)
    return [
        job_id
        for job_id, origin in zip(batch, origins, strict=True)
        if isinstance(origin, bytes | str) and text(origin).rpartition(".")[0] in models
    ]


def _finding(row: list[bytes]) -> Finding:
    job_id, queue, status, finding, detail, repaired = row
    return Finding(
        id=text(job_id),
        queue=text(queue),
        status=text(status),
        finding=text(finding),
        detail=text(detail),
        repaired=bool(repaired),
    )
