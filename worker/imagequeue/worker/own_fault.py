"""What becomes of a job whose life a fault of ours broke off: another try later, and a failure after the last."""

from imagequeue.config.errors import JobRefused
from imagequeue.queue.claims import Claim, Claims
from imagequeue.queue.payload import decode
from imagequeue.worker.decide import GiveUp
from imagequeue.worker.left import doubt_own
from imagequeue.worker.persistence import until_done
from imagequeue.worker.work import Parts

FAULT_SECONDS = 5.0
FAULT = "a fault inside the worker; its log says which"


async def broke_off(parts: Parts, claims: Claims, claim: Claim) -> None:
    """Give the job back; the attempt counts, for the fault may come after a call that is billed each time."""
    tries = claim.tries + 1
    try:
        job = decode(claim.data)
    except JobRefused as problem:
        await parts.returns.fail_unread(claims, claim, str(problem))
        return
    if tries < job.max_attempts:
        await parts.returns.again(claims, claim, reason=FAULT, delay_seconds=FAULT_SECONDS)
        return
    await until_done(parts.health, "ledger", lambda: doubt_own(parts.ledger, claim, parts.clock.now()))
    failure = GiveUp(code="worker_fault", message=f"{FAULT} (attempt {tries} of {job.max_attempts})", retryable=True)
    await parts.returns.fail_uncalled(claims, claim, job, failure)
