"""Adds to a job's end who is to be told of it, tried until the ledger answers: an end is never written without."""

from imagequeue.config.catalog.delivery import Delivered
from imagequeue.config.job import Job
from imagequeue.ledger.api import Ending, JobCost, JobFailure, Settlement
from imagequeue.queue.announcing import Announcer, Deciding
from imagequeue.worker.health import Health
from imagequeue.worker.persistence import until_done


class Telling:
    """The worker's side of webhooks: their messages are stored with the end, and delivered by the outbox."""

    def __init__(self, announcer: Announcer, health: Health) -> None:
        self._announcer = announcer
        self._health = health

    async def success(
        self,
        job_id: str,
        job: Job,
        attempt_id: int,
        entry: Settlement,
        *,
        model: str,
        org: str,
        delivery: Delivered = "now",
    ) -> Settlement:
        """Return the settlement of a job's call, or of its line in a batch, with its messages."""
        cost = JobCost(usd_nano=entry.usd_nano, model=model, org=org, delivery=delivery)
        return await until_done(
            self._health, "ledger", lambda: self._announcer.settlement(job_id, job, attempt_id, entry, cost)
        )

    async def failure(self, job_id: str, job: Job, failure: JobFailure, deciding: Deciding | None = None) -> JobFailure:
        """Return the end of a job without images with its messages; `deciding` is the call that ended it."""
        return await until_done(self._health, "ledger", lambda: self._announcer.failure(job_id, job, failure, deciding))


def deciding_call(attempt_id: int, ending: Ending, *, in_doubt: bool) -> Deciding:
    """Return the call that ended a job without images."""
    state = "in_doubt" if in_doubt else "voided"
    return Deciding(attempt_id=attempt_id, state=state, told=ending, usd_nano=None if in_doubt else 0)  # type: ignore[arg-type]  # two of its words
