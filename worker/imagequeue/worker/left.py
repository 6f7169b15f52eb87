"""What is left held of a job that ends without another call: it may have been sent, so it is in doubt."""

from datetime import datetime

from imagequeue.ledger.api import Ending
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.claims import Claim


async def doubt_left(ledger: Ledger, claim: Claim, now: datetime) -> None:
    """Put in doubt what earlier deliveries of the job hold; a delivery that calls again does so by its own hold."""
    if claim.delivery > 1:
        await _doubt(ledger, claim, now, code="worker_lost", reason="its worker was lost")


async def doubt_own(ledger: Ledger, claim: Claim, now: datetime) -> None:
    """Put in doubt what this delivery of the job holds too: a fault of ours broke it off."""
    await _doubt(ledger, claim, now, code="worker_fault", reason="a fault inside the worker broke it off")


async def _doubt(ledger: Ledger, claim: Claim, now: datetime, *, code: str, reason: str) -> None:
    """Leave alone an attempt in a batch, which looks after it: it may be in none that was sent."""
    ending = Ending(ended_at=now, error_code=code, error_message=f"{reason}; the job ended without another call")
    for row in (await ledger.attempts([claim.id])).get(claim.id, ()):
        if row.state == "held" and row.delivery == "now":
            await ledger.doubt(row.attempt_id, ending)
