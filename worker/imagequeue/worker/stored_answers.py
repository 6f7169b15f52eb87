"""Ends claimed jobs that a stored result answers: no call, no pace, cost 0.

The outcome is booked before the queue is told, as after a call; whatever ends the process in between, the next delivery
finds the outcome in the ledger. A result whose images are gone is forgotten, and the job goes back to be called.
"""

from imagequeue.config.catalog import Catalog
from imagequeue.config.clock import Clock
from imagequeue.config.job import Job
from imagequeue.ledger.api import CacheHit
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.announcing import Announcer
from imagequeue.queue.claims import Claim, Claims
from imagequeue.queue.hits import Answered, evict, is_whole, stored_for
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.stored import Stored, decode, facts_of_hit
from imagequeue.store.store import ImageStore
from imagequeue.worker import book
from imagequeue.worker.crashpoint import crashpoint
from imagequeue.worker.health import Health
from imagequeue.worker.persistence import until_done
from imagequeue.worker.returns import Returns


class StoredAnswers:
    """Delivers stored results, any number at once."""

    def __init__(
        self,
        *,
        scripts: Scripts,
        ledger: Ledger,
        store: ImageStore,
        returns: Returns,
        announcer: Announcer,
        catalog: Catalog,
        health: Health,
        clock: Clock,
    ) -> None:
        self._scripts = scripts
        self._ledger = ledger
        self._store = store
        self._returns = returns
        self._announcer = announcer
        self._catalog = catalog
        self._health = health
        self._clock = clock

    async def deliver(self, claims: Claims, claim: Claim, job: Job) -> None:
        """End a claimed job with the stored result, or give it back when there is none any more."""
        answered = await until_done(self._health, "queue", lambda: stored_for(self._scripts, claim.id))
        stored = await self._checked(answered)
        if stored is None:
            await self._returns.back(claims, claim, reason="its stored result is gone")
            return
        if claim.delivery > 1:
            await self._doubt_open_calls(claim)
        crashpoint("answer.before")
        hit = CacheHit(images=stored.images, saved_nano=stored.usd_nano, kind=answered.kind)
        facts = facts_of_hit(stored, book.job_facts(job, claim, self._catalog))
        told = await until_done(self._health, "ledger", lambda: self._announcer.cache_hit(claim.id, job, hit))
        await until_done(self._health, "ledger", lambda: self._ledger.record_outcome(claim.id, told, facts))
        outcomes = await until_done(self._health, "ledger", lambda: self._ledger.outcomes([claim.id]))
        crashpoint("answer.after")
        await self._returns.ended_before(claims, claim, outcomes[claim.id])

    async def _checked(self, answered: Answered) -> Stored | None:
        """The result if it is one whose images are all there; any other is forgotten."""
        if not answered.text:
            return None
        stored = decode(answered.text)
        if stored is not None and await until_done(self._health, "store", lambda: is_whole(self._store, stored)):
            return stored
        await until_done(self._health, "queue", lambda: evict(self._scripts, answered.form, answered.text))
        return None

    async def _doubt_open_calls(self, claim: Claim) -> None:
        """A worker may have died in the middle of a call of this job: what was sent is not forgotten."""
        attempts = await until_done(self._health, "ledger", lambda: self._ledger.attempts([claim.id]))
        for attempt in attempts.get(claim.id, ()):
            if attempt.state == "held" and attempt.delivery == "now":  # one in a batch is looked after by that
                ending = book.cut_short(attempt.held_at, self._clock.now(), client_request_id=f"{claim.id}-{attempt.n}")
                number = attempt.attempt_id
                await until_done(self._health, "ledger", lambda: self._ledger.doubt(number, ending))  # noqa: B023 - awaited here
