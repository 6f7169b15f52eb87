"""Holds: whether a call may be made, decided for a whole batch inside one transaction."""

from dataclasses import dataclass, replace
from typing import Final

from imagequeue.ledger import entries
from imagequeue.ledger.api import AlreadyDone, CapReached, Held, HoldRequest, HoldResult, Overtaken
from imagequeue.ledger.batch_items import add_item
from imagequeue.ledger.cap_warnings import warn
from imagequeue.ledger.caps import first_reached, scope, scopes
from imagequeue.ledger.credit import use, wallets
from imagequeue.ledger.entries import Holding
from imagequeue.ledger.resolve import Resolution, move
from imagequeue.ledger.rows import AttemptColumns, OutcomeColumns, canonical_json, outcome_of
from imagequeue.ledger.set_caps import with_set_caps
from imagequeue.ledger.transaction import Parameters
from imagequeue.ledger.unit import Unit
from imagequeue.ledger.wallet import Grant, draw, without

WORKER_LOST: Final = "its worker was lost; the job was delivered again"


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """What the ledger knows of a job before a hold."""

    outcome: OutcomeColumns | None = None
    attempts: tuple[AttemptColumns, ...] = ()

    @property
    def used_nano(self) -> int:
        """What the job's earlier attempts cost, or may cost."""
        return sum(row["upper_bound_nano"] if row["usd_nano"] is None else row["usd_nano"] for row in self.attempts)

    @property
    def next_n(self) -> int:
        """The number of the next attempt."""
        return 1 + max((row["n"] for row in self.attempts), default=0)

    @property
    def batched(self) -> AttemptColumns | None:
        """The attempt that waits for a batch or is in one, if there is one: it needs no worker to live on."""
        return next((row for row in self.attempts if row["state"] == "held" and row["delivery"] == "batch"), None)

    @property
    def unanswered(self) -> int:
        """The latest delivery whose attempt is in doubt, or will be by the next hold; 0 for none."""
        open_rows = [row for row in self.attempts if row["state"] in ("held", "in_doubt")]
        return max((max(delivery_of(row["lease_token"]), 1) for row in open_rows), default=0)

    @property
    def delivery(self) -> int:
        """The latest delivery that made an attempt."""
        return max((delivery_of(row["lease_token"]) for row in self.attempts), default=0)


def delivery_of(lease_token: str) -> int:
    """Return the number at the end of `WORKER-DELIVERY`; 0 for a token without one."""
    _, dash, number = lease_token.rpartition("-")
    return int(number) if dash and number.isdecimal() else 0


def hold(unit: Unit, requests: list[HoldRequest], *, trusting: bool) -> list[HoldResult]:
    """Return the answers in order. `trusting` takes the word of requests that say they are first deliveries.

    A wrong word is noticed: the job's end is looked up in any case, an attempt's number is taken, and where a cap
    refuses it, the job is looked up after all.
    """
    requests = with_set_caps(unit, requests)
    trusted = {request.job_id for request in requests if trusting and request.first_delivery}
    looked_up = _histories(unit, [request.job_id for request in requests if request.job_id not in trusted])
    histories = {**_ends(unit, sorted(trusted)), **looked_up}
    grants = wallets(unit, {request.org for request in requests if request.credits})
    used_nano = unit.lock_balances(name for r in requests for name in scopes(r.org, r.tenant, unit.day))
    answers = [
        _hold(unit, request, histories.get(request.job_id, History()), used_nano, grants) for request in requests
    ]
    refused = [request for request, answer in zip(requests, answers, strict=True) if isinstance(answer, CapReached)]
    doubtful = _histories(unit, [request.job_id for request in refused if request.job_id in trusted])
    answers = [
        _hold(unit, request, doubtful[request.job_id], used_nano, grants) if request.job_id in doubtful else answer
        for request, answer in zip(requests, answers, strict=True)
    ]
    warn(unit, requests, answers, used_nano)
    return answers


def _histories(unit: Unit, job_ids: list[str]) -> dict[str, History]:
    if not job_ids:
        return {}
    attempts, outcomes = unit.attempts_by_job(job_ids), unit.outcomes_by_job(job_ids)
    return {
        job_id: History(outcome=outcomes.get(job_id), attempts=tuple(attempts.get(job_id, ()))) for job_id in job_ids
    }


def _ends(unit: Unit, job_ids: list[str]) -> dict[str, History]:
    """How those of the jobs ended that ended: also without an attempt, which leaves no number that is taken."""
    return {job_id: History(outcome=row) for job_id, row in unit.outcomes_by_job(job_ids).items()}


def _hold(
    unit: Unit, request: HoldRequest, history: History, used_nano: dict[str, int], grants: dict[str, list[Grant]]
) -> HoldResult:
    if history.outcome is not None:
        return AlreadyDone(outcome=outcome_of(history.outcome))
    if history.batched is not None:
        return Held(attempt_id=history.batched["id"], n=history.batched["n"], delivery="batch")
    if (seen := history.delivery) > delivery_of(request.lease_token):
        return Overtaken(delivery=seen)
    doubted = _doubt_lost(unit, history)
    draws = draw(grants[request.org], request.credits) if request.credits else ()
    if draws is None:
        return _no_credits(request.org, grants[request.org])
    if request.credits:  # what was paid for them is what the operation costs
        request = replace(request, upper_bound_nano=sum(one.paid_nano for one in draws))
    if reached := _reached(request, history, used_nano, unit.day):
        return reached
    held = _admit(unit, request, history, doubted, used_nano)
    if draws:
        use(unit, request.org, held.attempt_id, draws)
        grants[request.org] = without(grants[request.org], draws)
        return replace(held, paid_nano=request.upper_bound_nano)
    return held


def _no_credits(org: str, grants: list[Grant]) -> CapReached:
    worth_nano = sum(grant.paid_nano for grant in grants)
    return CapReached(scope=f"credits:{org}", kind="credits", limit_nano=worth_nano, used_nano=0, until=None)


def _doubt_lost(unit: Unit, history: History) -> tuple[int, ...]:
    lost = [row for row in history.attempts if row["state"] == "held"]
    for row in lost:
        move(unit, row, Resolution(state="in_doubt", reason=WORKER_LOST))
    return tuple(row["id"] for row in lost)


def _reached(request: HoldRequest, history: History, used_nano: dict[str, int], day: str) -> CapReached | None:
    if not request.caps:
        return None
    caps = [(cap, scope(cap.kind, request.org, request.tenant, request.job_id, day)) for cap in request.caps]
    of_job = scope("job", request.org, request.tenant, request.job_id, day)
    return first_reached(caps, {**used_nano, of_job: history.used_nano}, request.upper_bound_nano, day)


def _admit(
    unit: Unit, request: HoldRequest, history: History, doubted: tuple[int, ...], used_nano: dict[str, int]
) -> Held:
    attempt_id, n = unit.next_id(), history.next_n
    unit.attempts.append(_attempt_row(unit, request, attempt_id, n))
    holding = Holding(
        attempt_id=attempt_id,
        org=request.org,
        bound_nano=request.upper_bound_nano,
        day=unit.day,
        catalog_version=request.catalog_version,
    )
    unit.entries.extend(entries.hold(holding))
    tags = canonical_json(request.tags)
    key = (unit.day, request.org, request.model, request.tenant, request.priority, tags)
    unit.count(key, held=1, held_nano=request.upper_bound_nano)
    _use(unit, request, used_nano)
    if request.delivery == "batch":
        add_item(unit, request, attempt_id)
    return Held(attempt_id=attempt_id, n=n, doubted=doubted, delivery=request.delivery, unanswered=history.unanswered)


def _use(unit: Unit, request: HoldRequest, used_nano: dict[str, int]) -> None:
    """Count the hold for its scopes, and let the database itself refuse to pass a cap when it is written."""
    for name in scopes(request.org, request.tenant, unit.day):
        used_nano[name] += request.upper_bound_nano
        unit.balances[name] += request.upper_bound_nano
    for cap in request.caps:
        if cap.kind != "job":
            name = scope(cap.kind, request.org, request.tenant, request.job_id, unit.day)
            unit.limits[name] = max(cap.limit_nano, unit.limits.get(name, 0))


def _attempt_row(unit: Unit, request: HoldRequest, attempt_id: int, n: int) -> Parameters:
    return {
        "id": attempt_id,
        "job_id": request.job_id,
        "n": n,
        "lease_token": request.lease_token,
        "org": request.org,
        "model": request.model,
        "tenant": request.tenant,
        "priority": request.priority,
        "tags": canonical_json(request.tags),
        "intent": request.intent,
        "delivery": request.delivery,
        "operation": request.operation,
        "size": request.size,
        "quality": request.quality,
        "images_requested": request.images,
        "upper_bound_nano": request.upper_bound_nano,
        "credits": request.credits,
        "catalog_version": request.catalog_version,
        "state": "held",
        "images": 0,
        "day": unit.day,
        "held_at_us": unit.now_us,
    }
