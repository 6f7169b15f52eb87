"""Jobs in: whose they become, what they may cost, and onto their queues through the one client."""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from redis.exceptions import RedisError

from imagequeue.config.errors import IdempotencyConflict, JobRefused, LedgerUnavailable, QueueUnavailable
from imagequeue.config.job import Job, parse_job
from imagequeue.config.tracing import spans
from imagequeue.producer.client import DEFAULT_TENANT, JobHandle
from imagequeue.producer.door.access import Caller
from imagequeue.producer.door.parts import Door
from imagequeue.producer.inputs import needs_keeping
from imagequeue.queue.asked import fingerprints
from imagequeue.queue.carrying import carrying
from imagequeue.queue.entries import BATCH_MAX, Entry
from imagequeue.queue.record import JobRecord, read_records

TENANT: Final = "tenant"

log = structlog.get_logger("imagequeue.door")


def entry_of(door: Door, caller: Caller, value: object) -> Entry:
    """Return the checked entry of a decoded job object; JobRefused names the field, Problem 403 another's tenant.

    A key that is bound to a tenant makes jobs of that tenant; it need not say so.
    """
    if isinstance(value, Mapping) and caller.tenant is not None and value.get(TENANT) is None:
        value = {**value, TENANT: caller.tenant}
    return entry_of_job(door, caller, parse_job(value))


def entry_of_job(door: Door, caller: Caller, job: Job) -> Entry:
    """Return the checked entry of a job; Problem 403 when it is another tenant's.

    A key may have a default of its own for whether the cache is used.
    """
    caller.check_owns(job.tenant)
    if job.cache is None and caller.key is not None and caller.key.cache is not None:
        job = job.model_copy(update={"cache": caller.key.cache})
    return door.queue.entry(job)


def entries_of(door: Door, caller: Caller, values: Sequence[object]) -> list[Entry]:
    """Return the entries of many decoded jobs; JobRefused names the place in the list and the field."""
    entries = []
    for place, value in enumerate(values):
        try:
            entries.append(entry_of(door, caller, value))
        except JobRefused as error:
            raise JobRefused(f"{place}.{error.field}", error.message) from error
    return entries


async def submit(door: Door, caller: Caller, entries: Sequence[Entry]) -> list[JobHandle]:
    """Queue entries within the key's budget and return their handles in order.

    What was taken from the budget for jobs that were there before, or that stored results answered, is given back; for
    jobs of which nobody knows whether they were queued, it is not.
    """
    await _check_inputs(door, entries)
    await _check_old_keys(door, entries)
    taken = await door.budgets.take(caller, [entry.job for entry in entries])
    try:
        handles = await _send_traced(door, entries)
    except IdempotencyConflict:
        if len(entries) == 1:  # of more, some are queued
            await door.budgets.give_back(caller, taken)
        raise
    _tell(handles)
    free = [entry.job for entry, handle in zip(entries, handles, strict=True) if handle.cached or not handle.created]
    await door.budgets.give_back(caller, sum(door.budgets.bound(caller, job) for job in free))
    return handles


async def taken_in(door: Door, caller: Caller, value: object) -> object:
    """Return a decoded job object with references where its images stood as data URLs; these are kept."""
    if not isinstance(value, Mapping) or not needs_keeping(value):
        return value
    tenant = str(value.get(TENANT) or caller.tenant or DEFAULT_TENANT)
    caller.check_owns(tenant)
    return await door.inputs.taken_in(value, tenant)


async def _check_inputs(door: Door, entries: Sequence[Entry]) -> None:
    """JobRefused names the first image that a job may not use, and the job's place when there are many."""
    for place, entry in enumerate(entries):
        if not entry.job.images:
            continue
        try:
            await door.inputs.check(entry.job)
        except JobRefused as error:
            raise JobRefused(error.field if len(entries) == 1 else f"{place}.{error.field}", error.message) from error


async def _check_old_keys(door: Door, entries: Sequence[Entry]) -> None:
    """IdempotencyConflict for a key whose job ended so long ago that Redis knows its request no more.

    The ledger keeps the outcome for ever, Redis the request's fingerprint for `idempotency_ttl_seconds`. Without that
    nobody can tell whether the same is asked for, and another request must not be given the first one's images.
    """
    keyed = [entry.id for entry in entries if entry.job.idempotency_key is not None]
    if not keyed:
        return
    try:
        ended = await door.ledger.outcomes(keyed)
    except LedgerUnavailable as error:  # jobs are taken in all the same; a key so old is a rare thing
        log.warning("keys of ended jobs cannot be looked up", error=str(error))
        return
    known = await fingerprints(door.scripts, list(ended)) if ended else {}
    for job_id in ended:
        if job_id not in known:
            raise IdempotencyConflict(
                f"idempotency_key: it was used for job {job_id}, which ended so long ago that its request is no longer "
                f"kept; /v1/jobs/{job_id} shows its result, another request needs another key"
            )


async def records_of(door: Door, ids: Sequence[str]) -> dict[str, JobRecord]:
    """Return those of the jobs that Redis has; QueueUnavailable when it does not answer."""
    try:
        return await read_records(door.scripts, ids)
    except RedisError as error:
        raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error


def _tell(handles: Sequence[JobHandle]) -> None:
    """Let the log tell which jobs a request queued: one in the request's own line, many in a line of theirs."""
    if len(handles) == 1:
        structlog.contextvars.bind_contextvars(job=handles[0].id)
    else:
        log.info("jobs queued", jobs=[handle.id for handle in handles])


async def _send_traced(door: Door, entries: Sequence[Entry]) -> list[JobHandle]:
    tracing = spans()
    if not tracing.on:
        return await _send(door, entries)
    with tracing.span("enqueue", kind="producer", jobs=len(entries)) as span:
        handles = await _send(door, carrying(entries, tracing.carried()))
        span.note("job", handles[0].id if len(handles) == 1 else None)
        return handles


async def _send(door: Door, entries: Sequence[Entry]) -> list[JobHandle]:
    if len(entries) == 1:
        return [await door.gathering.submit(entries[0])]
    if len(entries) <= BATCH_MAX:
        return await door.queue.submit_batch(entries)
    return [handle async for batch in door.queue.submit_entries(entries) for handle in batch]
