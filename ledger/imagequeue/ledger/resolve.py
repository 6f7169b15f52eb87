"""How an attempt ends: settled, voided, in doubt, reconciled. Each of them once.

An attempt whose worker was taken for lost is in doubt. Should that worker still come back with the answer, then the
answer is booked (`reconciled`), since the provider's bill will show it, but the job is no longer that worker's.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from imagequeue.config.errors import NotFound
from imagequeue.ledger import entries
from imagequeue.ledger.api import AttemptState, Ending, JobFailure, Settlement
from imagequeue.ledger.caps import scopes
from imagequeue.ledger.compiler import RESOLVED_COLUMNS
from imagequeue.ledger.credit import give_back
from imagequeue.ledger.entries import Entry, Holding
from imagequeue.ledger.images import own
from imagequeue.ledger.intents import count_intents
from imagequeue.ledger.moments import microseconds, microseconds_or_none
from imagequeue.ledger.operations import Doubt, OnAttempt, Resolve, Settle, Void
from imagequeue.ledger.rows import AttemptColumns, canonical_json, images_json
from imagequeue.ledger.savings import save_of_call
from imagequeue.ledger.transaction import Parameters, storable
from imagequeue.ledger.unit import RollupKey, Unit

LATE: Final = "its worker answered after it was taken for lost"
SHORT_CHARACTERS_MAX: Final = 512
MESSAGE_CHARACTERS_MAX: Final = 4_000

Columns = Mapping[str, object]
NO_COLUMNS: Final[Columns] = {}
NOTHING_KNOWN: Final[Columns] = dict.fromkeys(RESOLVED_COLUMNS)
"""What the row of a held attempt says of its answer: the triggers let nothing write to it before it is resolved."""


class Resolution(NamedTuple):  # one in every job, see `entries.Entry`
    """Where an attempt goes, and what is known then. `usd_nano` None only for `in_doubt`."""

    state: AttemptState
    usd_nano: int | None = None
    images: int = 0
    reason: str | None = None
    columns: Columns = NO_COLUMNS


def resolve(unit: Unit, operations: list[OnAttempt]) -> list[bool | NotFound]:
    """Return for each operation whether it resolved its attempt and the job is the caller's; NotFound in its place."""
    found = unit.attempts_by_id([operation.attempt_id for operation in operations])
    resolved = [_resolve(unit, operation, found.get(operation.attempt_id)) for operation in operations]
    count_intents(unit)
    return resolved


def _resolve(unit: Unit, operation: OnAttempt, row: AttemptColumns | None) -> bool | NotFound:
    if row is None:
        return NotFound(f"attempt: {operation.attempt_id} is not in the ledger")
    if isinstance(operation, Resolve):
        return _decide(unit, operation, row)
    if row["state"] == "in_doubt":
        _book_late(unit, operation, row)
    if row["state"] != "held":
        return False
    move(unit, row, _resolution(operation))
    _end_job(unit, operation, row)
    return True


def _decide(unit: Unit, operation: Resolve, row: AttemptColumns) -> bool:
    if row["state"] != "in_doubt":
        return False
    billed = row["upper_bound_nano"] if operation.usd_nano is None else operation.usd_nano
    usd_nano = billed if operation.decision == "billed" else 0
    move(unit, row, Resolution(state="reconciled", usd_nano=usd_nano, reason=operation.reason))
    return True


def _book_late(unit: Unit, operation: OnAttempt, row: AttemptColumns) -> None:
    if isinstance(operation, Doubt):
        return
    answer = _resolution(operation)
    late = Resolution(
        state="reconciled", usd_nano=answer.usd_nano or 0, images=answer.images, reason=LATE, columns=answer.columns
    )
    move(unit, row, late)


def _resolution(operation: OnAttempt) -> Resolution:
    if isinstance(operation, Settle):
        settlement = operation.settlement
        columns = _settled_columns(settlement)
        return Resolution("settled", settlement.usd_nano, len(settlement.images), None, columns)
    if isinstance(operation, Void):
        return Resolution(state="voided", usd_nano=0, columns=_ending_columns(operation.ending))
    if isinstance(operation, Doubt):
        return Resolution(state="in_doubt", columns=_ending_columns(operation.ending))
    raise TypeError(f"no resolution: {type(operation).__name__}")


def move(unit: Unit, row: AttemptColumns, to: Resolution) -> None:
    """Write an attempt's new state with its entries, balances and sums."""
    holding = holding_of(row)
    if row["credits"]:
        to = _in_credits(unit, row, to)
    unit.resolutions.append(_resolved_row(unit, row, to))
    unit.entries.extend(_entries(row["state"], holding, to))
    if to.usd_nano is not None and to.usd_nano != holding.bound_nano:
        for name in scopes(row["org"], row["tenant"], row["day"]):
            unit.balances[name] += to.usd_nano - holding.bound_nano
    unit.count(rollup_key(row), **_sums(row["state"], holding.bound_nano, to))
    if row["intent"] is not None and to.images and to.usd_nano is not None:
        unit.answered.append(row)


def _in_credits(unit: Unit, row: AttemptColumns, to: Resolution) -> Resolution:
    """Return the resolution of an attempt that credits pay for: it costs what was paid for them, or gives them back."""
    if to.usd_nano is None:
        return to
    if to.state == "voided" or (to.state == "reconciled" and not to.usd_nano and not to.images):
        give_back(unit, row)
        return to
    return to._replace(usd_nano=row["upper_bound_nano"])


def holding_of(row: AttemptColumns) -> Holding:
    """Return what entries need to know of an attempt."""
    return Holding(row["id"], row["org"], row["upper_bound_nano"], row["day"], row["catalog_version"])


def rollup_key(row: AttemptColumns) -> RollupKey:
    """Return the rollup row that an attempt counts in."""
    return row["day"], row["org"], row["model"], row["tenant"], row["priority"], row["tags"]


def _entries(state: AttemptState, of: Holding, to: Resolution) -> list[Entry]:
    if to.state == "in_doubt":
        return entries.doubt(of)
    if to.state == "voided":
        return entries.void(of)
    usd_nano = to.usd_nano or 0
    if state == "in_doubt":
        return entries.reconcile(of, usd_nano, to.reason or "")
    return entries.settle(of, usd_nano)


def _sums(state: AttemptState, bound_nano: int, to: Resolution) -> dict[str, int]:
    sums = {state: -1, f"{state}_nano": -bound_nano, to.state: 1}
    if to.state == "in_doubt":
        return sums | {"in_doubt_nano": bound_nano}
    if to.state == "voided":
        return sums | {"voided_nano": bound_nano}
    usd_nano = to.usd_nano or 0
    sums |= {"settled_nano": usd_nano, "images": to.images}
    if usd_nano > bound_nano:
        sums |= {"over_bound": 1, "over_bound_nano": usd_nano - bound_nano}
    return sums


def _resolved_row(unit: Unit, row: AttemptColumns, to: Resolution) -> Parameters:
    told = to.columns
    if row["state"] == "held":
        known = NOTHING_KNOWN
    else:
        known = {name: row[name] for name in RESOLVED_COLUMNS}  # type: ignore[literal-required]  # all are columns of the attempt
        told = {name: value for name, value in told.items() if value is not None}
    return {
        **known,
        **told,
        "state": to.state,
        "usd_nano": to.usd_nano,
        "images": to.images,
        "reason": storable(to.reason, MESSAGE_CHARACTERS_MAX),
        "resolved_at_us": unit.now_us,
        "key": row["id"],
        "expected": row["state"],
    }


def _settled_columns(settlement: Settlement) -> Columns:
    return {
        "usage": None if settlement.usage is None else canonical_json(settlement.usage),
        "request_id": storable(settlement.request_id, SHORT_CHARACTERS_MAX),
        "client_request_id": storable(settlement.client_request_id, SHORT_CHARACTERS_MAX),
        "status_code": settlement.status_code,
        "sent_at_us": microseconds(settlement.sent_at),
        "ended_at_us": microseconds(settlement.ended_at),
    }


def _ending_columns(ending: Ending) -> Columns:
    return {
        "request_id": storable(ending.request_id, SHORT_CHARACTERS_MAX),
        "client_request_id": storable(ending.client_request_id, SHORT_CHARACTERS_MAX),
        "status_code": ending.status_code,
        "error_code": storable(ending.error_code, SHORT_CHARACTERS_MAX),
        "error_message": storable(ending.error_message, MESSAGE_CHARACTERS_MAX),
        "sent_at_us": microseconds_or_none(ending.sent_at),
        "ended_at_us": microseconds(ending.ended_at),
    }


def _end_job(unit: Unit, operation: OnAttempt, row: AttemptColumns) -> None:
    """Store how the job ended, when this attempt ended it and nothing else did before."""
    if isinstance(operation, Settle):
        messages = operation.settlement.webhooks
        for saving in operation.settlement.savings:
            save_of_call(unit, saving, row)
        outcome = _success_row(unit, operation.settlement, row)
        own(unit, row["tenant"], operation.settlement.images)
    elif isinstance(operation, (Void, Doubt)) and operation.outcome is not None:
        messages = operation.outcome.webhooks
        outcome = _outcome(row, {**failure_columns(operation.outcome), "finished_at_us": unit.now_us})
    else:
        return
    unit.outcomes.append(outcome)
    if messages and row["job_id"] not in unit.outcomes_by_job([row["job_id"]]):
        unit.send(row["job_id"], messages)


def _success_row(unit: Unit, settlement: Settlement, row: AttemptColumns) -> Parameters:
    return _outcome(
        row,
        {
            "status": "succeeded",
            "usd_nano": row["upper_bound_nano"] if row["credits"] else settlement.usd_nano,
            "images": images_json(settlement.images),
            "finished_at_us": unit.now_us,
        },
    )


def _outcome(row: AttemptColumns, told: Columns) -> Parameters:
    return {
        **EMPTY_OUTCOME,
        "job_id": row["job_id"],
        "org": row["org"],
        "model": row["model"],
        "tenant": row["tenant"],
        "priority": row["priority"],
        "tags": row["tags"],
        "intent": row["intent"],
        "delivery": row["delivery"],
        "catalog_version": row["catalog_version"],
        "day": row["day"],
        "attempt_id": row["id"],
        **told,
    }


EMPTY_OUTCOME: Final[Columns] = {
    "attempt_id": None,
    "usd_nano": None,
    "images": "[]",
    "cached": False,
    "saved_nano": 0,
    "error_code": None,
    "error_message": None,
    "retryable": False,
    "kept": None,
    "kept_images": 0,
    "reopened_at_us": None,
}


def failure_columns(failure: JobFailure) -> Columns:
    """Return the columns of an outcome without images."""
    return {
        "status": failure.status,
        "error_code": storable(failure.code, SHORT_CHARACTERS_MAX),
        "error_message": storable(failure.message, MESSAGE_CHARACTERS_MAX),
        "retryable": failure.retryable,
    }
