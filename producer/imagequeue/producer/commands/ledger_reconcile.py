"""Books what a person decides about an attempt in doubt."""

import getpass
from collections.abc import Awaitable, Callable

from imagequeue.config.errors import ImageQueueError, JobRefused
from imagequeue.config.money import parse_usd
from imagequeue.ledger.api import Decision
from imagequeue.ledger.ledger import Ledger


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
