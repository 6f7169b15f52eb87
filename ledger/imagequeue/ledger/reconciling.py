"""Reconciles one day of an organization: fetches the bill, compares, and books what the bill decides."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from imagequeue.config.money import format_usd
from imagequeue.config.orgs import Org
from imagequeue.ledger.bill import Bill
from imagequeue.ledger.booked import BY
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.reconcile import DayReconciliation, ModelReconciliation
from imagequeue.ledger.schedule import end_of

COMPLETE_AFTER: Final = timedelta(hours=24)
"""How long after a day its bill is taken as complete; how late a provider's figures may be is not published."""

Booking = dict[str, object]
FetchBill = Callable[[Org, str], Awaitable[Bill]]


@dataclass(frozen=True, kw_only=True, slots=True)
class DayReport:
    """What a reconciliation found and booked. `unexplained_nano` and `in_doubt` are what is left after it."""

    org: str
    day: str
    found: DayReconciliation
    booked: tuple[Booking, ...] = ()
    corrected_nano: int = 0

    @property
    def warning(self) -> str | None:
        """Why nothing was decided, if so."""
        return self.found.warning

    @property
    def in_doubt(self) -> int:
        """How many attempts the bill does not decide."""
        return sum(one.open for one in self.found.models)

    @property
    def unexplained_nano(self) -> int:
        """What nothing explains (negative: billed less than booked)."""
        return sum(one.unexplained_nano for one in self.found.models) - self.corrected_nano

    @property
    def billed_nano(self) -> int:
        """The provider's bill."""
        return sum(one.billed.usd_nano for one in self.found.models)

    def as_json(self) -> dict[str, object]:
        """Return it as `ledger reconcile --json` prints it."""
        return {
            "org": self.org,
            "day": self.day,
            "warning": self.warning,
            "models": [one.as_json() for one in self.found.models],
            "booked": list(self.booked),
            "in_doubt": self.in_doubt,
            "billed_usd": format_usd(self.billed_nano),
            "unexplained_usd": format_usd(self.unexplained_nano),
        }


def is_over(day: str, now: datetime) -> bool:
    """Whether a UTC day has ended."""
    return now >= end_of(day)


def is_complete(day: str, now: datetime) -> bool:
    """Whether the bill of a day is taken as complete."""
    return now >= end_of(day) + COMPLETE_AFTER


def days_before(today: date, count: int) -> Iterable[str]:
    """Return the `count` days before a day, the oldest first."""
    return ((today - timedelta(days=back)).isoformat() for back in range(count, 0, -1))


async def reconcile_day(
    ledger: Ledger,
    org: Org,
    day: str,
    fetch: FetchBill,
    *,
    complete: bool,
    correct: str | None = None,
    dry_run: bool = False,
) -> DayReport:
    """Compare a day with the bill and book what it decides; with `correct`, a reason, book the unexplained rest too.

    A second run over the same bill finds nothing to book.
    """
    found = await ledger.reconcile(org.name, day, await fetch(org, day), complete=complete)
    if dry_run or found.warning:
        return DayReport(org=org.name, day=day, found=found)
    booked: list[Booking] = []
    corrected_nano = 0
    for one in found.models:
        reason = f"the provider's bill of {day} says {format_usd(one.billed.usd_nano)} for {one.model}"
        booked += await _resolve(ledger, one, reason)
        booked += await _late(ledger, org.name, day, one, reason)
        if correct and one.unexplained_nano and not one.booked.held:
            booked += await _correct(ledger, org.name, day, one, one.unexplained_nano, f"{correct}: {reason}")
            corrected_nano += one.unexplained_nano
    return DayReport(org=org.name, day=day, found=found, booked=tuple(booked), corrected_nano=corrected_nano)


async def _resolve(ledger: Ledger, one: ModelReconciliation, reason: str) -> list[Booking]:
    return [
        {
            "attempt": verdict.attempt_id,
            "decision": verdict.decision,
            "usd": format_usd(verdict.usd_nano),
            "reason": reason,
        }
        for verdict in one.verdicts
        if await ledger.resolve(verdict.attempt_id, verdict.decision, verdict.usd_nano, reason=reason, by=BY)
    ]


async def _late(ledger: Ledger, org: str, day: str, one: ModelReconciliation, reason: str) -> list[Booking]:
    """Book what is on the bill now for attempts that were not on it before; their rows stay as they were decided."""
    if not one.late:
        return []
    attempts = ", ".join(str(verdict.attempt_id) for verdict in one.late)
    return await _correct(ledger, org, day, one, one.late_nano, f"billed late, attempts {attempts}: {reason}")


async def _correct(
    ledger: Ledger, org: str, day: str, one: ModelReconciliation, usd_nano: int, reason: str
) -> list[Booking]:
    source = f"{org} {day} {one.model}: {one.booked.corrected_nano} + {usd_nano}"
    if not await ledger.correct(org, day, usd_nano, model=one.model, reason=reason, source=source):
        return []  # another process was faster
    return [{"model": one.model, "correction_usd": format_usd(usd_nano), "reason": reason}]
