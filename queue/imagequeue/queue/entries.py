"""Putting jobs on their queues: many in one step, each at most once, also when a reply is lost."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from imagequeue.config.errors import IdempotencyConflict, JobRefused, QueueUnavailable
from imagequeue.config.job import Job, encode_data, queue_name
from imagequeue.queue.flights import Flight
from imagequeue.queue.scripts import Argument, Scripts

FIELDS = 17
BATCH_MAX = 500
SEND_TRIES_MAX = 3
IDEMPOTENCY_TTL_SECONDS = 30 * 24 * 3600
"""How long an idempotency key is known after its job's end, unless told otherwise."""
ID_BYTES = 16
RANDOM: Final = "4"
OF_KEY: Final = "8"
"""The thirteenth digit of an id says how it was made, as in a UUID (RFC 9562, section 4.2)."""
OF_KEY_PATTERN: Final = re.compile(r"[0-9a-f]{12}8[0-9a-f]{19}")
STORED = "="
"""What an answer begins with that is a stored result."""
DESCRIPTION_CHARACTERS_MAX = 60


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A checked job on its way to a queue. `tokens` is the estimate that is charged to the pool's token pace.

    `flight` is its part in the cache, None when it takes none. `print` is the fingerprint of what was asked for, when
    the job differs from that: a model or another default was decided since. `overflow` says which other models may
    serve it while it is queued (ways_out).
    """

    id: str
    job: Job
    tokens: int = 0
    flight: Flight | None = None
    print: str = ""
    overflow: str = ""

    @property
    def fingerprint(self) -> str:
        """What tells whether the same was asked for before."""
        return self.print or fingerprint(self.job)

    @property
    def queue(self) -> str:
        """The RQ queue it belongs on."""
        if self.job.model is None:
            raise JobRefused("model", "a model has to be chosen before a job is queued")
        return queue_name(self.job.model, self.job.priority)


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What became of an entry: `created` is False when the same job was there before.

    `stored` is the text of the stored result that answers it; None when none does.
    """

    id: str
    created: bool
    stored: str | None = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """How long a job stays in Redis after its end, a call may take, and an idempotency key is known after the end."""

    result_seconds: int
    call_seconds: int
    key_seconds: int


def new_job_id(job: Job) -> str:
    """Return an id for a new job: of the tenant and idempotency key when it has one, else a random one."""
    if job.idempotency_key is None:
        return _marked(secrets.token_hex(ID_BYTES), RANDOM)
    name = f"{job.tenant}\0{job.idempotency_key}"
    return _marked(hashlib.sha256(name.encode()).hexdigest(), OF_KEY)


def may_be_computed(job_id: str) -> bool:
    """Return whether an id may be one of a tenant and an idempotency key, which others may guess; no random one is."""
    return OF_KEY_PATTERN.fullmatch(job_id) is not None


def _marked(digits: str, kind: str) -> str:
    return f"{digits[:12]}{kind}{digits[13:32]}"


def fingerprint(job: Job) -> str:
    """Return a hash of all that the job asks for; equal bodies have equal fingerprints."""
    return hashlib.sha256(job.model_dump_json(exclude={"idempotency_key"}).encode()).hexdigest()[:32]


def microseconds(moment: datetime | None) -> str:
    """Return a time as Unix microseconds, or nothing for None."""
    return "" if moment is None else str(int(moment.timestamp() * 1_000_000))


async def enqueue(
    scripts: Scripts,
    entries: Sequence[Entry],
    *,
    result_ttl_seconds: int,
    timeout_seconds: int,
    key_ttl_seconds: int = IDEMPOTENCY_TTL_SECONDS,
) -> list[Accepted]:
    """Put entries on their queues and return what became of each, in order.

    A lost reply is asked again under the same ids, which finds the jobs there instead of adding them twice.
    IdempotencyConflict when a job of that id but another body is there, or was there and its idempotency key is still
    known (`key_ttl_seconds` after its end); the entries of earlier batches stay queued.
    """
    kept = Kept(result_seconds=result_ttl_seconds, call_seconds=timeout_seconds, key_seconds=key_ttl_seconds)
    accepted: list[Accepted] = []
    for start in range(0, len(entries), BATCH_MAX):
        batch = entries[start : start + BATCH_MAX]
        accepted += await _send(scripts, batch, kept)
    return accepted


async def _send(scripts: Scripts, batch: Sequence[Entry], kept: Kept) -> list[Accepted]:
    prints = [entry.fingerprint for entry in batch]
    arguments: list[Argument] = [FIELDS]
    for rank, (entry, print_) in enumerate(zip(batch, prints, strict=True)):
        arguments += _fields(entry, print_, kept, rank)
    answers = await _ask(scripts, arguments)
    return [_verdict(entry, print_, answer) for entry, print_, answer in zip(batch, prints, answers, strict=True)]


async def _ask(scripts: Scripts, arguments: Sequence[Argument]) -> list[bytes]:
    for attempt in range(1, SEND_TRIES_MAX + 1):
        try:
            answers: list[bytes] = await scripts.run("enqueue", arguments)
        except QueueUnavailable:
            if attempt == SEND_TRIES_MAX:
                raise
        else:
            return answers
    raise AssertionError("unreachable")


def _fields(entry: Entry, print_: str, kept: Kept, rank: int) -> list[Argument]:
    job = entry.job
    description = job.prompt[:DESCRIPTION_CHARACTERS_MAX]
    times = (microseconds(job.not_before), microseconds(job.deadline))
    flight = (entry.flight.form, entry.flight.mode) if entry.flight else ("", "")
    return [
        entry.id, entry.queue, job.tenant, job.n, entry.tokens, print_, *times, kept.result_seconds, description,
        kept.call_seconds, rank, *flight, "" if job.idempotency_key is None else kept.key_seconds, entry.overflow,
        encode_data(job),
    ]  # fmt: skip


def _verdict(entry: Entry, print_: str, answer: bytes) -> Accepted:
    before = answer.decode()
    if before.startswith(STORED):
        return Accepted(id=entry.id, created=True, stored=before.removeprefix(STORED))
    if before not in ("", print_):
        raise IdempotencyConflict(f"idempotency_key: job {entry.id} was enqueued before with another body")
    return Accepted(id=entry.id, created=before == "")
