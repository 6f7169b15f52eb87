"""What lost workers left held of a job that ends without another call: it may have been sent, so it is in doubt."""

from datetime import datetime

from imagequeue.ledger.api import Ending
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.claims import Claim


async def doubt_left(ledger: Ledger, claim: Claim, now: datetime) -> None:
    """Put in doubt what earlier deliveries of the job hold; a delivery that calls again does so by its own hold.

    An attempt in a batch is looked after by that: it may be in none that was sent.
    """
    if claim.delivery == 1:
        return
    reason = "its worker was lost; the job ended without another call"
    for row in (await ledger.attempts([claim.id])).get(claim.id, ()):
        if row.state == "held" and row.delivery == "now":
            await ledger.doubt(row.attempt_id, Ending(ended_at=now, error_code="worker_lost", error_message=reason))
