"""Books what a comparison with the provider's bill found, and what a person decides."""

import getpass
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from imagequeue.config.errors import ImageQueueError, JobRefused
from imagequeue.config.money import format_usd, parse_usd
from imagequeue.ledger.api import Decision
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.reconcile import ModelReconciliation

BY: Final = "ledger reconcile"


async def book(
    ledger: Ledger, org: str, day: str, found: Sequence[ModelReconciliation], correct: str | None
) -> list[dict[str, object]]:
    """Resolve what the bill decides and, when `correct` gives a reason, correct the rest; return what was booked."""
    booked: list[dict[str, object]] = []
    for one in found:
        reason = f"the provider's bill of {day} says {format_usd(one.billed.usd_nano)} for {one.model}"
        booked += await _resolve(ledger, one, reason)
        if correct and one.unexplained_nano and not one.booked.held:
            booked += await _correct(ledger, org, day, one, f"{correct}: {reason}")
    return booked


async def _resolve(ledger: Ledger, one: ModelReconciliation, reason: str) -> list[dict[str, object]]:
    return [
        {"attempt": verdict.attempt_id, "decision": verdict.decision, "reason": reason}
        for verdict in one.verdicts
        if await ledger.resolve(verdict.attempt_id, verdict.decision, reason=reason, by=BY)
    ]


async def _correct(
    ledger: Ledger, org: str, day: str, one: ModelReconciliation, reason: str
) -> list[dict[str, object]]:
    rest = one.unexplained_nano
    source = f"{org} {day} {one.model}: {one.booked.corrected_nano} + {rest}"
    if not await ledger.correct(org, day, rest, model=one.model, reason=reason, source=source):
        return []  # another process was faster
    return [{"model": one.model, "correction_usd": format_usd(rest), "reason": reason}]


def decide(
    attempt_id: int, billed_usd: str | None, *, billed: bool, not_billed: bool, reason: str, by: str | None
) -> Callable[[Ledger], Awaitable[None]]:
    """Return the work that resolves one attempt as a person says; JobRefused when what was said is not one answer."""
    if [billed_usd is not None, billed, not_billed].count(True) != 1:
        raise JobRefused("decision", "one of --billed, --billed-usd AMOUNT, --not-billed")
    if not reason.strip():
        raise JobRefused("reason", "some words on how you know")
    decision: Decision = "not_billed" if not_billed else "billed"
    usd_nano = None if billed_usd is None else _amount(billed_usd)

    async def work(ledger: Ledger) -> None:
        who = by or getpass.getuser()
        if not await ledger.resolve(attempt_id, decision, usd_nano, reason=reason, by=who):
            raise ImageQueueError(f"attempt {attempt_id}: is not in doubt; only such an attempt can be decided")

    return work


def _amount(text: str) -> int:
    try:
        amount = parse_usd(text)
    except ValueError as error:
        raise JobRefused("billed-usd", "an amount of dollars such as 0.04") from error
    if amount < 0:
        raise JobRefused("billed-usd", "an amount of dollars that is not negative")
    return amount
