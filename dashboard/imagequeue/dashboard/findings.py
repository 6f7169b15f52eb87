"""Whether it is fine, in the words of the person on call: what is wrong now, the worst first. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from imagequeue.config.money import format_usd
from imagequeue.dashboard.shown import plural, share, span, usd
from imagequeue.dashboard.values import Json, count_at, moment_at, number_at, rows_at, text_at, usd_at

OLDEST_SECONDS: Final = 3_600
"""A job that waits longer than this is worth a look."""
CAP_SHARE: Final = 0.8

Level = Literal["bad", "warn", "good"]
ORDER: Final[Sequence[Level]] = ("bad", "warn", "good")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to know."""

    level: Level
    text: str


@dataclass(frozen=True, kw_only=True)
class CapUse:
    """How much of a cap is used; settled, held and in doubt together, in nano-dollars."""

    name: str
    used_nano: int
    cap_nano: int

    @property
    def share(self) -> float:
        """The used part; a cap of nothing is always full."""
        return self.used_nano / self.cap_nano if self.cap_nano else 1.0


def findings(status: Json, month: Json, caps: Sequence[CapUse], now: datetime) -> list[Finding]:
    """Return what is wrong, or that nothing is."""
    found = [*_about_queues(status), *_about_pools(status, now), *_about_money(month, caps)]
    if not found:
        return [Finding(level="good", text="All is well: nothing is stuck, paused, in doubt or near a cap.")]
    return sorted(found, key=lambda finding: ORDER.index(finding.level))


def _about_queues(status: Json) -> Iterable[Finding]:
    totals = status.get("totals")
    open_jobs = count_at(totals, "queued") + count_at(totals, "waiting")
    if status.get("suspended"):
        yield Finding(level="bad", text="All queues are suspended (rq suspend); rq resume ends it.")
    if not rows_at(status, "workers"):
        level: Level = "bad" if open_jobs else "warn"
        yield Finding(level=level, text="No worker is running. Start one with: imagequeue worker")
    for worker in rows_at(status, "workers"):
        if text_at(worker, "note"):
            yield Finding(level="warn", text=f"Worker {text_at(worker, 'name')}: {text_at(worker, 'note')}")
    for queue in rows_at(status, "queues"):
        yield from _about_queue(queue)
    for hold in rows_at(status, "held_tenants"):
        why = text_at(hold, "detail") or text_at(hold, "reason")
        yield Finding(level="warn", text=f"Jobs of tenant {text_at(hold, 'tenant')} are held: {why}")
    if count_at(totals, "parked"):
        waits = plural(count_at(totals, "parked"), "job waits", "jobs wait")
        yield Finding(level="warn", text=f"{waits} for a person to decide.")


def _about_queue(queue: Json) -> Iterable[Finding]:
    name, oldest = text_at(queue, "name"), number_at(queue, "oldest_s")
    if queue.get("served") is False and count_at(queue, "queued"):
        yield Finding(level="bad", text=f"No organization serves {name}; its jobs wait for ever.")
    elif oldest is not None and oldest > OLDEST_SECONDS:
        yield Finding(level="warn", text=f"The oldest job in {name} has waited for {span(oldest)}.")


def _about_pools(status: Json, now: datetime) -> Iterable[Finding]:
    for pool in rows_at(status, "pools"):
        name, until = text_at(pool, "name"), moment_at(pool, "paused_until")
        if text_at(pool, "suspended"):
            yield Finding(level="bad", text=f"{name} is suspended: {text_at(pool, 'suspended')}")
        elif until is not None and until > now:
            left = span((until - now).total_seconds())
            yield Finding(level="warn", text=f"{name} is paused for {left}: {text_at(pool, 'pause_reason')}")


def _about_money(month: Json, caps: Sequence[CapUse]) -> Iterable[Finding]:
    for cap in caps:
        if cap.share >= CAP_SHARE:
            level: Level = "bad" if cap.share >= 1 else "warn"
            yield Finding(level=level, text=f"{cap.name} has used {share(cap.share)} of its cap this month.")
    doubtful = count_at(month, "attempts", "in_doubt")
    if doubtful:
        amount = usd(usd_at(month, "in_doubt_usd"))
        calls = plural(doubtful, "call is", "calls are")
        remedy = "settle it with: imagequeue ledger reconcile"
        yield Finding(level="warn", text=f"{calls} in doubt, up to {amount}; {remedy}")


def nano(amount: object) -> int:
    """Return nano-dollars of an amount in an answer, 0 for none."""
    found = usd_at({"usd": amount}, "usd")
    return 0 if found is None else int(found * 10**9)


def dollars(amount_nano: int) -> str:
    """Return nano-dollars as a page shows them."""
    return usd(usd_at({"usd": format_usd(amount_nano)}, "usd"))
