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
ERROR_SHARE: Final = 0.1
CALLS_MIN: Final = 10
"""Fewer calls than this say nothing about a share of errors."""
OVERDUE_SECONDS: Final = 300.0
"""A message that is so late is more than a message under way."""
PERIODS: Final = {"tenant_day": "today", "tenant_total": "for ever", "org_month": "this month"}

Level = Literal["bad", "warn", "good"]
ORDER: Final[Sequence[Level]] = ("bad", "warn", "good")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to know."""

    level: Level
    text: str


@dataclass(frozen=True, kw_only=True)
class CapUse:
    """How much of a cap is used; settled, held and in doubt together, in nano-dollars. `period` is in words."""

    name: str
    used_nano: int
    cap_nano: int
    period: str = "this month"

    @property
    def share(self) -> float:
        """The used part; a cap of nothing is always full."""
        return self.used_nano / self.cap_nano if self.cap_nano else 1.0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What findings are made of. `ledger_problem`: why there are no figures of money; empty when there are."""

    status: Json
    month: Json
    caps: Sequence[CapUse]
    calls: Json
    webhooks: Json
    ledger_problem: str = ""


def findings(seen: Seen, now: datetime) -> list[Finding]:
    """Return what is wrong, or that nothing is."""
    found = [
        *_about_server(seen),
        *_about_queues(seen.status),
        *_about_pools(seen.status, now),
        *_about_calls(seen.calls),
        *_about_money(seen.month, seen.caps),
        *_about_webhooks(seen.webhooks),
    ]
    if not found:
        return [Finding(level="good", text="All is well: nothing is stuck, paused, in doubt or near a cap.")]
    return sorted(found, key=lambda finding: ORDER.index(finding.level))


def caps_of(body: Json) -> list[CapUse]:
    """Return the caps of an answer, in its order."""
    return [
        CapUse(
            name=text_at(row, "name") if kind == "org_month" else f"Tenant {text_at(row, 'name')}",
            used_nano=nano(row.get("used_usd")),
            cap_nano=nano(row.get("limit_usd")),
            period=PERIODS.get(kind, "this month"),
        )
        for row in rows_at(body, "caps")
        for kind in (text_at(row, "kind"),)
    ]


def _about_server(seen: Seen) -> Iterable[Finding]:
    trouble = text_at(seen.status, "server")
    if trouble:
        yield Finding(level="bad", text=f"No new jobs are taken: {trouble}")
    if seen.ledger_problem:
        yield Finding(level="bad", text=f"No figures of money: {seen.ledger_problem}")


def _about_calls(calls: Json) -> Iterable[Finding]:
    rate, made = number_at(calls, "error_rate"), count_at(calls, "calls")
    if rate is not None and rate >= ERROR_SHARE and made >= CALLS_MIN:
        yield Finding(level="warn", text=f"{share(rate)} of the calls of the last 10 minutes failed.")


def _about_webhooks(webhooks: Json) -> Iterable[Finding]:
    for endpoint in rows_at(webhooks, "endpoints"):
        if endpoint.get("disabled") is True:
            why = text_at(endpoint, "disabled_why") or "switched off"
            yield Finding(level="bad", text=f"Nothing is sent to webhook {text_at(endpoint, 'name')}: {why}")
    late = number_at(webhooks, "overdue_s") or 0.0
    if late >= OVERDUE_SECONDS:
        waits = plural(count_at(webhooks, "waiting"), "message")
        yield Finding(level="warn", text=f"{waits} of webhooks did not arrive yet, the oldest is {span(late)} late.")


def _about_queues(status: Json) -> Iterable[Finding]:
    totals = status.get("totals")
    open_jobs = count_at(totals, "queued") + count_at(totals, "waiting")
    if status.get("suspended"):
        why = text_at(status, "suspended_reason")
        ends = "imagequeue resume --all ends it."
        yield Finding(level="bad", text=f"All queues are suspended{f' ({why})' if why else ''}; {ends}")
    if all(text_at(worker, "state") == "silent" for worker in rows_at(status, "workers")):
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
        yield Finding(level="warn", text=f"{waits} for a person or a batch.")


def _about_queue(queue: Json) -> Iterable[Finding]:
    name, oldest = text_at(queue, "name"), number_at(queue, "oldest_s")
    if text_at(queue, "suspended"):
        yield Finding(level="warn", text=f"Queue {name} is suspended: {text_at(queue, 'suspended')}")
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
        elif text_at(pool, "unserved"):
            yield Finding(level="bad", text=f"{name} is refused a model: {text_at(pool, 'unserved')}")
        elif text_at(pool, "trouble"):
            yield Finding(level="warn", text=f"Calls of {name} fail: {text_at(pool, 'trouble')}")


def _about_money(month: Json, caps: Sequence[CapUse]) -> Iterable[Finding]:
    for cap in caps:
        if cap.share >= CAP_SHARE:
            level: Level = "bad" if cap.share >= 1 else "warn"
            yield Finding(level=level, text=f"{cap.name} has used {share(cap.share)} of its cap {cap.period}.")
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
