"""Attempts that wait for a batch, put there by the transaction of their hold."""

from sqlalchemy import insert
from sqlalchemy.sql import ClauseElement

from imagequeue.ledger.api import HoldRequest
from imagequeue.ledger.clauses import text_for
from imagequeue.ledger.schema_provider import batch_item
from imagequeue.ledger.unit import Unit


def add_item(unit: Unit, request: HoldRequest, attempt_id: int) -> None:
    """Let a held attempt wait for the next batch of its organization and model."""
    row = {
        "attempt_id": attempt_id,
        "job_id": request.job_id,
        "org": request.org,
        "model": request.model,
        "operation": request.operation,
        "added_at_us": unit.now_us,
        "batch_ref": None,
        "done_at_us": None,
    }
    unit.transaction.run(text_for(unit.transaction, _insert), row)


def _insert(_dialect_name: str) -> ClauseElement:
    return insert(batch_item)
