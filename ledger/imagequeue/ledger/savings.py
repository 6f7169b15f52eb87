"""Savings inside a transaction: what a job did not cost, recorded once for each kind and added to the reports."""

from typing import Final

from imagequeue.config.errors import NotFound
from imagequeue.ledger.api import JobFacts, Saving
from imagequeue.ledger.operations import RecordSaving
from imagequeue.ledger.rows import AttemptColumns, OutcomeColumns, canonical_json
from imagequeue.ledger.transaction import Parameters
from imagequeue.ledger.unit import Unit

FACTS: Final = ("org", "model", "tenant", "priority", "tags", "intent")
COUNTED: Final = {"cache": "cache_hits", "coalesced": "coalesced"}
"""Kinds that stand for a job answered without a call of its own, and the measure that counts those jobs."""


def record_saving(unit: Unit, operation: RecordSaving) -> bool | NotFound:
    """Note a saving; return whether it was new. NotFound when nothing is known of the job and no facts were given."""
    facts = facts_given(operation.facts) if operation.facts else _facts_known(unit, operation.job_id)
    if facts is None:
        return NotFound(f"job: {operation.job_id} is not in the ledger")
    return save(unit, operation.job_id, operation.saving, facts)


def save(unit: Unit, job_id: str, saving: Saving, facts: Parameters) -> bool:
    """Note a saving of today unless the job has one of its kind; return whether it was noted. `facts`: FACTS."""
    return _save(unit, job_id, saving, facts, unit.day, unit.now_us)


def save_of_call(unit: Unit, saving: Saving, row: AttemptColumns) -> None:
    """Note what a call saved on the day that its cost stands on: that of its hold."""
    _save(unit, row["job_id"], saving, facts_of(row), row["day"], row["held_at_us"])


def _save(unit: Unit, job_id: str, saving: Saving, facts: Parameters, day: str, at_us: int) -> bool:
    row = {
        **facts,
        "job_id": job_id,
        "kind": saving.kind,
        "usd_nano": saving.usd_nano,
        "day": day,
        "at_us": at_us,
    }
    if unit.transaction.run(unit.transaction.statements.add_saving, row) == 0:
        return False
    unit.touched = True
    org, model, tenant, priority, tags, _ = (str(facts[name]) for name in FACTS)
    counted = {COUNTED[saving.kind]: 1} if saving.kind in COUNTED else {}
    key = (day, org, model, tenant, priority, tags)
    unit.count(key, saved_nano=saving.usd_nano, **{f"saved_{saving.kind}_nano": saving.usd_nano}, **counted)
    return True


def facts_given(facts: JobFacts) -> Parameters:
    """Return facts as columns."""
    return {
        "org": facts.org,
        "model": facts.model,
        "tenant": facts.tenant,
        "priority": facts.priority,
        "tags": canonical_json(facts.tags),
        "intent": facts.intent,
    }


def facts_of(row: AttemptColumns | OutcomeColumns) -> Parameters:
    """Return the facts in a row."""
    return {name: row[name] for name in FACTS}


def _facts_known(unit: Unit, job_id: str) -> Parameters | None:
    attempts = unit.attempts_of_job(job_id)
    if attempts:
        return facts_of(attempts[-1])
    outcome = unit.outcomes_by_job([job_id]).get(job_id)
    return None if outcome is None else facts_of(outcome)
