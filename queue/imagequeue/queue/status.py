"""The state of everything at one moment, as `imagequeue status` and the status page show it. Values only."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from imagequeue.config.clock import iso

SILENT: Final = "silent"
"""The state of a worker whose lease has run out and that nobody has given up yet: it may be dead."""


@dataclass(frozen=True, kw_only=True)
class QueueStatus:
    """One RQ queue. `waiting` for a time, `parked` for a person or a batch.

    `joined`: for the call of another job or its result. `oldest_s`: seconds the first in line has waited.
    `suspended` is why a person stopped this queue, else empty.
    """

    name: str
    model: str
    priority: str
    queued: int
    running: int
    waiting: int
    parked: int
    failed: int
    oldest_s: float | None
    served: bool
    joined: int = 0
    suspended: str = ""


@dataclass(frozen=True, kw_only=True)
class PoolStatus:
    """One organization's limit group. Ceilings and pace are per minute, None for no limit or none known here.

    `pace` is what is used of the images' ceiling at present: the configured share, lowered by `factor` after refusals.
    `used_share` is the part of the images' ceiling that was used lately, None when that is not known.
    `effective_images_per_minute` is what the ceiling comes to with the share of images that the cache answers:
    the ceiling divided by the share that it does not answer, of the pool's models; None without a ceiling or images.
    `lowered` says why the ceilings are below the known ones, or why the pace is; empty when neither is. `source` says
    whence the ceilings are, with that. `trouble` is what the latest call that brought no images came to, of the last
    minute; empty when there was none. `unserved`: models of the pool that the provider said it does not serve, until
    when that counts, and its words; empty when there is none.
    """

    name: str
    org: str
    models: tuple[str, ...]
    images_per_minute: float | None
    tokens_per_minute: float | None
    source: str
    pace_images_per_minute: float | None
    factor: float
    used_share: float | None
    paused_until: datetime | None
    pause_reason: str
    suspended: str
    suspended_until: datetime | None
    images_started: int
    calls_refused: int
    effective_images_per_minute: float | None = None
    lowered: str = ""
    trouble: str = ""
    unserved: str = ""


@dataclass(frozen=True, kw_only=True)
class WorkerStatus:
    """One worker process. `note` is what keeps it from claiming."""

    name: str
    host: str
    pid: int
    state: str
    note: str
    in_flight: int
    lease_until: datetime


@dataclass(frozen=True, kw_only=True)
class HoldStatus:
    """A tenant whose jobs are held back."""

    tenant: str
    reason: str
    detail: str
    until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Jobs in all queues."""

    queued: int
    running: int
    waiting: int
    parked: int
    failed: int
    joined: int = 0


@dataclass(frozen=True, kw_only=True)
class CacheStatus:
    """Images of the last `window_s` seconds by where they came from; `hit_rate` None when there were none.

    `made` by calls, `stored` before, `joined`: of a call that was under way for another job. `hit_rate` is the share
    of the last two in all, of every job, whether it asked for the cache or not.
    """

    window_s: int
    made: int
    stored: int
    joined: int
    hit_rate: float | None


@dataclass(frozen=True, kw_only=True)
class Status:
    """Everything. `suspended` is RQ's own switch for all queues (`rq suspend`), `suspended_reason` why.

    `server`: what keeps the Redis server from taking new jobs; empty when it takes them.
    """

    at: datetime
    suspended: bool
    totals: Totals
    queues: tuple[QueueStatus, ...]
    pools: tuple[PoolStatus, ...]
    workers: tuple[WorkerStatus, ...]
    held_tenants: tuple[HoldStatus, ...]
    cache: CacheStatus = CacheStatus(window_s=0, made=0, stored=0, joined=0, hit_rate=None)
    suspended_reason: str = ""
    server: str = ""

    @property
    def living(self) -> tuple[WorkerStatus, ...]:
        """The workers whose lease holds."""
        return tuple(worker for worker in self.workers if worker.state != SILENT)

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values, times ISO 8601 in UTC."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def totals_of(queues: tuple[QueueStatus, ...]) -> Totals:
    """Return the sums over queues."""
    return Totals(
        queued=sum(queue.queued for queue in queues),
        running=sum(queue.running for queue in queues),
        waiting=sum(queue.waiting for queue in queues),
        parked=sum(queue.parked for queue in queues),
        failed=sum(queue.failed for queue in queues),
        joined=sum(queue.joined for queue in queues),
    )


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
