"""How the status looks in a terminal. Pure: sections of plain cells."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from imagequeue.producer.commands.words import duration, figure, moment
from imagequeue.queue.status import CacheStatus, PoolStatus, QueueStatus, Status, WorkerStatus

Cell = str | Text


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table: its columns, those of them that hold figures, and its rows."""

    columns: tuple[str, ...]
    right: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]


def headline(status: Status) -> str:
    """Return the totals on one line."""
    totals = status.totals
    joined = f"   joined {totals.joined:,}" if totals.joined else ""
    why = f": {status.suspended_reason}" if status.suspended_reason else ""
    off = f"   ALL QUEUES SUSPENDED{why} (`imagequeue resume --all` ends it)" if status.suspended else ""
    return (
        f"{moment(status.at)}   queued {totals.queued:,}   running {totals.running:,}   "
        f"waiting {totals.waiting:,}   parked {totals.parked:,}   failed {totals.failed:,}{joined}{off}"
    )


def sections(status: Status) -> list[Section]:
    """Return the tables that have rows."""
    in_use = {queue.model for queue in status.queues}
    pools = [pool for pool in status.pools if _concerns(pool, in_use)]
    tables = [
        Section(
            columns=("QUEUE", "QUEUED", "RUNNING", "WAITING", "PARKED", "FAILED", "OLDEST", ""),
            right=("QUEUED", "RUNNING", "WAITING", "PARKED", "FAILED", "OLDEST"),
            rows=[_queue(queue) for queue in status.queues],
        ),
        Section(
            columns=("POOL", "CEILING/MIN", "PACE/MIN", "WITH CACHE/MIN", "USED", "STARTED", "REFUSED", "STATE"),
            right=("CEILING/MIN", "PACE/MIN", "WITH CACHE/MIN", "USED", "STARTED", "REFUSED"),
            rows=[_pool(pool) for pool in pools],
        ),
        Section(
            columns=("IMAGES, LAST 24 H", "MADE", "STORED BEFORE", "JOINED", "HIT RATE"),
            right=("MADE", "STORED BEFORE", "JOINED", "HIT RATE"),
            rows=[_cache(status.cache)] if status.cache.stored or status.cache.joined else [],
        ),
        Section(
            columns=("WORKER", "STATE", "IN FLIGHT", "NOTE"),
            right=("IN FLIGHT",),
            rows=[_worker(worker) for worker in status.workers],
        ),
        Section(
            columns=("HELD TENANT", "REASON", "UNTIL", "DETAIL"),
            right=(),
            rows=[
                (hold.tenant, hold.reason, moment(hold.until) if hold.until else "a person acts", hold.detail)
                for hold in status.held_tenants
            ],
        ),
    ]
    return [table for table in tables if table.rows]


def notes(status: Status) -> list[str]:
    """Return what else a person should see."""
    found = [status.server] if status.server else []
    if not status.living:
        found.append("no worker is running: `imagequeue worker` starts one")
    unserved = sorted({queue.model for queue in status.queues if not queue.served and queue.queued})
    if unserved:
        found.append(f"no organization configured here serves {', '.join(unserved)}")
    return found


def _concerns(pool: PoolStatus, models: set[str]) -> bool:
    return bool(models & set(pool.models)) or pool.images_started > 0 or bool(pool.suspended or pool.unserved)


def _queue(queue: QueueStatus) -> tuple[Cell, ...]:
    return (
        queue.name,
        _count(queue.queued, "cyan"),
        _count(queue.running, "blue"),
        _count(queue.waiting, "yellow"),
        _count(queue.parked, "yellow"),
        _count(queue.failed, "red"),
        "-" if queue.oldest_s is None else duration(queue.oldest_s),
        _queue_state(queue),
    )


def _cache(cache: CacheStatus) -> tuple[Cell, ...]:
    rate = "-" if cache.hit_rate is None else f"{cache.hit_rate:.1%}"
    return "", figure(cache.made), figure(cache.stored), figure(cache.joined), rate


def _queue_state(queue: QueueStatus) -> Cell:
    if queue.suspended:
        return Text(f"suspended: {queue.suspended}", style="red")
    return "" if queue.served or not queue.queued else Text("not served here", style="red")


def _count(amount: int, style: str) -> Cell:
    return Text(f"{amount:,}", style=style if amount else "bright_black")


def _pool(pool: PoolStatus) -> tuple[Cell, ...]:
    ceiling = figure(pool.images_per_minute)
    if pool.tokens_per_minute is not None:
        ceiling += f", {figure(pool.tokens_per_minute)} tokens"
    used = "-" if pool.used_share is None else f"{pool.used_share:.0%}"
    return (
        pool.name,
        ceiling,
        figure(pool.pace_images_per_minute),
        figure(pool.effective_images_per_minute),
        used,
        figure(pool.images_started),
        _count(pool.calls_refused, "yellow"),
        _pool_state(pool),
    )


def _pool_state(pool: PoolStatus) -> Cell:
    if pool.suspended:
        until = f" until {moment(pool.suspended_until)}" if pool.suspended_until else ""
        return Text(f"suspended{until}: {pool.suspended}", style="red")
    if pool.paused_until:
        return Text(f"paused until {moment(pool.paused_until)}: {pool.pause_reason}", style="yellow")
    if pool.unserved:
        return Text(f"open, without {pool.unserved}" if pool.models else f"not served: {pool.unserved}", style="red")
    if pool.trouble:
        return Text(f"open, a call failed: {pool.trouble}", style="yellow")
    if pool.lowered:
        return Text(f"open, lowered: {pool.lowered}", style="yellow")
    return Text("open", style="green")


def _worker(worker: WorkerStatus) -> tuple[Cell, ...]:
    return worker.name, worker.state, figure(worker.in_flight), Text(worker.note, style="yellow")
