"""Books what a person decides about an attempt in doubt.

An attempt may also stand held for good: a ledger restored from a copy does not know how calls ended that were under way
when the copy was made. Once no call can last any more such an attempt is in doubt too.
"""

import getpass
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from imagequeue.config.errors import ImageQueueError, JobRefused
from imagequeue.config.money import parse_usd
from imagequeue.ledger.api import Decision, Ending
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.reads import is_old_hold

CALL_AGE_MAX: Final = timedelta(hours=2)
"""The longest deadline of a call and the longest lease, an hour each."""


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
        await _doubt_if_left(ledger, attempt_id, datetime.now(UTC))
        if not await ledger.resolve(attempt_id, decision, usd_nano, reason=reason, by=who):
            raise ImageQueueError(f"attempt {attempt_id}: is not in doubt; only such an attempt can be decided")

    return work


async def _doubt_if_left(ledger: Ledger, attempt_id: int, now: datetime) -> None:
    """Put in doubt an attempt that is held although its call cannot be under way any more."""
    if await ledger.read(lambda connection: is_old_hold(connection, attempt_id, now - CALL_AGE_MAX)):
        message = "nobody knows how its call ended"
        await ledger.doubt(attempt_id, Ending(ended_at=now, error_code="left_held", error_message=message))


def _amount(text: str) -> int:
    try:
        amount = parse_usd(text)
    except ValueError as error:
        raise JobRefused("billed-usd", "an amount of dollars such as 0.04") from error
    if amount < 0:
        raise JobRefused("billed-usd", "an amount of dollars that is not negative")
    return amount
