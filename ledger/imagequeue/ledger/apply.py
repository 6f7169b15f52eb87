"""Applies a batch of operations inside one transaction, in the order that each of them relies on."""

from imagequeue.ledger.credit import grant_credits
from imagequeue.ledger.hold import hold
from imagequeue.ledger.images import OwnImages, own
from imagequeue.ledger.operations import (
    ClaimWebhooks,
    Correct,
    EndWebhook,
    GrantCredits,
    Hold,
    Keep,
    OnAttempt,
    OnJob,
    Operation,
    Purge,
    Record,
    RecordSaving,
    Redeliver,
    Reopen,
    Step,
)
from imagequeue.ledger.records import claim_webhooks, correct, end_webhook, keep, purge, record, redeliver, reopen
from imagequeue.ledger.resolve import resolve
from imagequeue.ledger.savings import record_saving
from imagequeue.ledger.unit import Unit

Batch = list[Operation[object]]


def apply(unit: Unit, batch: Batch, *, trusting: bool) -> list[object]:
    """Return the answers in the batch's order; an exception among them is the answer of its operation alone.

    What frees money comes before what asks for it.
    """
    resolving = [operation for operation in batch if isinstance(operation, OnAttempt)]
    holding = [operation for operation in batch if isinstance(operation, Hold)]
    resolved = resolve(unit, resolving) if resolving else []
    answers: dict[int, object] = dict(zip(map(id, resolving), resolved, strict=True))
    for operation in batch:
        if not isinstance(operation, (OnAttempt, Hold)):
            answers[id(operation)] = _single(unit, operation)
    if holding:
        held = hold(unit, [operation.request for operation in holding], trusting=trusting)
        answers.update(zip(map(id, holding), held, strict=True))
    return [answers[id(operation)] for operation in batch]


def _single(unit: Unit, operation: Operation[object]) -> object:
    match operation:
        case Step():
            return operation.perform(unit)
        case OnJob():
            return _on_job(unit, operation)
        case Correct():
            return correct(unit, operation)
        case GrantCredits():
            return grant_credits(unit, operation)
        case ClaimWebhooks():
            return claim_webhooks(unit, operation)
        case EndWebhook():
            return end_webhook(unit, operation)
        case Redeliver():
            return redeliver(unit, operation)
        case OwnImages():
            return own(unit, operation.tenant, operation.images)
        case Purge():
            return purge(unit, operation)
    raise TypeError(f"no operation of the ledger: {type(operation).__name__}")


def _on_job(unit: Unit, operation: OnJob) -> object:
    match operation:
        case Record():
            return record(unit, operation)
        case RecordSaving():
            return record_saving(unit, operation)
        case Keep():
            return keep(unit, operation)
        case Reopen():
            return reopen(unit, operation)
    raise TypeError(f"no operation of the ledger: {type(operation).__name__}")
