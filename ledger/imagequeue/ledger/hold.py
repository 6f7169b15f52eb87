"""Holds: whether a call may be made, decided for a whole batch inside one transaction."""

from dataclasses import replace
from typing import Final

from imagequeue.ledger import entries
from imagequeue.ledger.api import AlreadyDone, CapReached, Held, HoldRequest, HoldResult, Overtaken
from imagequeue.ledger.batch_items import add_item
from imagequeue.ledger.cap_warnings import warn
from imagequeue.ledger.caps import first_reached, scope, scopes
from imagequeue.ledger.credit import use
from imagequeue.ledger.entries import Holding
from imagequeue.ledger.history import NOTHING_BEFORE, History, delivery_of, histories, read
from imagequeue.ledger.resolve import Resolution, move
from imagequeue.ledger.rows import canonical_json, outcome_of
from imagequeue.ledger.transaction import Parameters
from imagequeue.ledger.unit import Unit
from imagequeue.ledger.wallet import Grant, draw, without

WORKER_LOST: Final = "its worker was lost; the job was delivered again"


def hold(unit: Unit, requests: list[HoldRequest], *, trusting: bool) -> list[HoldResult]:
    """Return the answers in order. `trusting` takes the word of requests that say they are first deliveries.

    A wrong word is noticed: the job's end is looked up in any case, an attempt's number is taken, and where a cap
    refuses it, the job is looked up after all.
    """
    trusted = {request.job_id for request in requests if trusting and request.first_delivery}
    known = read(unit, requests, trusted)
    requests, used_nano = known.requests, known.used_nano
    answers = [
        _hold(unit, request, known.histories.get(request.job_id, NOTHING_BEFORE), used_nano, known.grants)
        for request in requests
    ]
    refused = [request for request, answer in zip(requests, answers, strict=True) if isinstance(answer, CapReached)]
    doubtful = histories(unit, [request.job_id for request in refused if request.job_id in trusted])
    answers = [
        _hold(unit, request, doubtful[request.job_id], used_nano, known.grants)
        if request.job_id in doubtful
        else answer
        for request, answer in zip(requests, answers, strict=True)
    ]
    warn(unit, requests, answers, used_nano)
    return answers


def _hold(
    unit: Unit, request: HoldRequest, history: History, used_nano: dict[str, int], grants: dict[str, list[Grant]]
) -> HoldResult:
    if history is NOTHING_BEFORE and not request.credits:  # as most are
        return _reached(request, history, used_nano, unit.day) or _admit(unit, request, history, (), used_nano)
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
    attempt_id, n, tags = unit.next_id(), history.next_n, canonical_json(request.tags)
    unit.attempts.append(_attempt_row(unit, request, attempt_id, n, tags))
    holding = Holding(attempt_id, request.org, request.upper_bound_nano, unit.day, request.catalog_version)
    unit.entries.extend(entries.hold(holding))
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


def _attempt_row(unit: Unit, request: HoldRequest, attempt_id: int, n: int, tags: str) -> Parameters:
    return {
        "id": attempt_id,
        "job_id": request.job_id,
        "n": n,
        "lease_token": request.lease_token,
        "org": request.org,
        "model": request.model,
        "tenant": request.tenant,
        "priority": request.priority,
        "tags": tags,
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
