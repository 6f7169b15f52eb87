"""What a job hash says, read once into a frozen value. Anybody with access to Redis may have written it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from imagequeue.config.errors import JobRefused
from imagequeue.config.job import JOB_ID_PATTERN, Job
from imagequeue.queue.payload import decode
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text, whole

FIELDS: Final = (
    "status", "origin", "data", "created_at", "enqueued_at", "started_at", "ended_at",
    "iq_tenant", "iq_n", "iq_tokens", "iq_wait", "iq_error",
)  # fmt: skip
RECORDS_PER_PIPELINE_MAX: Final = 500


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """One job as Redis has it. `status` is RQ's word; `tokens` is the estimate that one call is charged with."""

    id: str
    status: str
    queue: str
    tenant: str = "default"
    n: int = 1
    tokens: int = 0
    data: bytes = b""
    enqueued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    wait: Mapping[str, object] | None = None
    error: Mapping[str, object] | None = None

    @property
    def model(self) -> str:
        """The model of the queue it stands on."""
        return self.queue.rpartition(".")[0]

    @property
    def priority(self) -> str:
        """The priority of the queue it stands on."""
        return self.queue.rpartition(".")[2]

    def job(self) -> Job | None:
        """Return what was asked for; None when that cannot be read."""
        try:
            return decode(self.data)
        except JobRefused:
            return None


def check_id(job_id: str) -> str:
    """Return a job id; JobRefused when it can be none."""
    if not JOB_ID_PATTERN.fullmatch(job_id):
        raise JobRefused("id", "1 to 64 letters, digits, _ and - are accepted")
    return job_id


async def read_records(scripts: Scripts, ids: Sequence[str]) -> dict[str, JobRecord]:
    """Return those of the jobs that Redis has."""
    found: dict[str, JobRecord] = {}
    for start in range(0, len(ids), RECORDS_PER_PIPELINE_MAX):
        some = ids[start : start + RECORDS_PER_PIPELINE_MAX]
        pipe = scripts.redis.pipeline(transaction=False)
        for job_id in some:
            pipe.hmget(scripts.keys.job(job_id), FIELDS)
        for job_id, row in zip(some, await pipe.execute(raise_on_error=False), strict=True):
            if isinstance(row, list) and row[0] is not None:
                found[job_id] = record_of(job_id, row)
    return found


def record_of(job_id: str, values: Sequence[bytes | None]) -> JobRecord:
    """Return the record of a job hash's FIELDS."""
    row = {name: value or b"" for name, value in zip(FIELDS, values, strict=True)}
    return JobRecord(
        id=job_id,
        status=text(row["status"]),
        queue=text(row["origin"]),
        tenant=text(row["iq_tenant"]) or "default",
        n=whole(row["iq_n"], 1),
        tokens=whole(row["iq_tokens"], 0),
        data=row["data"],
        enqueued_at=_moment(row["enqueued_at"]) or _moment(row["created_at"]),
        started_at=_moment(row["started_at"]),
        ended_at=_moment(row["ended_at"]),
        wait=_object(row["iq_wait"]),
        error=_object(row["iq_error"]),
    )


def parse_moment(written: object) -> datetime | None:
    """Return an ISO 8601 time as aware UTC; None for anything else."""
    if not isinstance(written, str):
        return None
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _moment(value: bytes) -> datetime | None:
    return parse_moment(text(value))


def _object(value: bytes) -> Mapping[str, object] | None:
    try:
        found = json.loads(value) if value else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
