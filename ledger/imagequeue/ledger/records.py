"""Outcomes of jobs that made no call, and what is said about outcomes later. Also corrections and the outbox."""

import json
from typing import Final, TypedDict, cast

from imagequeue.config.errors import NotFound
from imagequeue.ledger import entries
from imagequeue.ledger.api import CacheHit, JobFacts, Saving, WebhookRow
from imagequeue.ledger.images import own
from imagequeue.ledger.moments import microseconds, microseconds_or_none, moment
from imagequeue.ledger.operations import ClaimWebhooks, Correct, EndWebhook, Keep, Purge, Record, Redeliver, Reopen
from imagequeue.ledger.resolve import EMPTY_OUTCOME, MESSAGE_CHARACTERS_MAX, Columns, failure_columns
from imagequeue.ledger.rows import NO_TAGS, OutcomeColumns, canonical_json, images_json, images_of
from imagequeue.ledger.savings import facts_given, save
from imagequeue.ledger.transaction import storable
from imagequeue.ledger.unit import RollupKey, Unit

TRIES_ANY: Final = 2**31 - 1


def record(unit: Unit, operation: Record) -> bool:
    """Store an outcome unless the job has one; return whether it was stored."""
    if unit.outcomes_by_job([operation.job_id]):
        return False
    outcome, facts = operation.outcome, operation.facts
    told = _hit_columns(outcome) if isinstance(outcome, CacheHit) else failure_columns(outcome)
    unit.outcomes.append({**EMPTY_OUTCOME, **_fact_columns(unit, operation.job_id, facts), **told})
    if isinstance(outcome, CacheHit):
        own(unit, facts.tenant, outcome.images)
        save(unit, operation.job_id, Saving(kind=outcome.kind, usd_nano=outcome.saved_nano), facts_given(facts))
    unit.send(operation.job_id, outcome.webhooks)
    return True


def _hit_columns(hit: CacheHit) -> Columns:
    return {
        "status": "succeeded",
        "usd_nano": 0,
        "images": images_json(hit.images),
        "cached": True,
        "saved_nano": hit.saved_nano,
    }


def _fact_columns(unit: Unit, job_id: str, facts: JobFacts) -> Columns:
    return {
        "job_id": job_id,
        "org": facts.org,
        "model": facts.model,
        "tenant": facts.tenant,
        "priority": facts.priority,
        "tags": canonical_json(facts.tags),
        "intent": facts.intent,
        "delivery": facts.delivery,
        "catalog_version": facts.catalog_version,
        "day": unit.day,
        "finished_at_us": unit.now_us,
    }


def keep(unit: Unit, operation: Keep) -> bool | NotFound:
    """Note which images are used, in place of what was noted before; NotFound for images that the job has not."""
    row = unit.outcomes_by_job([operation.job_id]).get(operation.job_id)
    if row is None or row["status"] != "succeeded":
        return NotFound(f"job: {operation.job_id} has no images")
    made = [image.sha256 for image in images_of(row["images"])]
    kept = made if operation.sha256s is None else list(dict.fromkeys(operation.sha256s))
    if unknown := [sha256 for sha256 in kept if sha256 not in made]:
        return NotFound(f"image: {unknown[0]} is not of job {operation.job_id}")
    changed = {"of": operation.job_id, "kept": json.dumps(kept), "kept_images": len(kept)}
    unit.transaction.run(unit.transaction.statements.keep_images, changed)
    unit.touched = True
    unit.count(_rollup_key(row), kept_images=len(kept) - row["kept_images"])
    return True


def reopen(unit: Unit, operation: Reopen) -> bool:
    """Let the job be tried again; return whether there was an outcome without images to set aside."""
    row = unit.outcomes_by_job([operation.job_id]).get(operation.job_id)
    if row is None or row["status"] == "succeeded":
        return False
    changed = {"of": operation.job_id, "reopened_at_us": unit.now_us}
    unit.touched = True
    return unit.transaction.run(unit.transaction.statements.reopen_outcome, changed) == 1


def correct(unit: Unit, operation: Correct) -> bool:
    """Book a difference to the provider's bill, once for each source; return whether it was new."""
    booked_for = {"source": operation.source, "at_us": unit.now_us}
    if unit.transaction.run(unit.transaction.statements.add_source, booked_for) == 0:
        return False
    reason = storable(operation.reason, MESSAGE_CHARACTERS_MAX) or ""
    unit.entries.extend(entries.correction(operation.org, operation.day, operation.usd_nano, reason))
    unit.count((operation.day, operation.org, operation.model, "", "", NO_TAGS), corrected_nano=operation.usd_nano)
    month = f"org:{operation.day[:7]}:{operation.org}"
    unit.lock_balances([month])
    unit.balances[month] += operation.usd_nano
    return True


class WebhookColumns(TypedDict):
    """A row of `ledger_webhook`, as far as it is needed."""

    id: int
    job_id: str
    url: str
    event: str
    payload: str
    created_at_us: int
    tries: int


def claim_webhooks(unit: Unit, operation: ClaimWebhooks) -> tuple[WebhookRow, ...]:
    """Take messages that are due; nobody else gets them before the lease ends."""
    statements, transaction = unit.transaction.statements, unit.transaction
    wanted = {"now_us": unit.now_us, "count": operation.count, "urls": transaction.listed(operation.without)}
    due = transaction.rows(statements.due_webhooks, wanted)
    rows = cast("list[WebhookColumns]", due)
    until_us = unit.now_us + round(operation.lease_seconds * 1_000_000)
    transaction.run_all([(statements.lease_webhooks, [{"of": row["id"], "until_us": until_us} for row in rows])])
    unit.touched = unit.touched or bool(rows)
    return tuple(_webhook(row) for row in rows)


def _webhook(row: WebhookColumns) -> WebhookRow:
    return WebhookRow(
        webhook_id=row["id"],
        job_id=row["job_id"],
        url=row["url"],
        event=row["event"],
        payload=row["payload"],
        tries=row["tries"] + 1,
        created_at=moment(row["created_at_us"]),
    )


def end_webhook(unit: Unit, operation: EndWebhook) -> bool:
    """Note how a delivery went; return whether it was noted.

    A failure of a delivery whose message another one took since, or that arrived since, is not.
    """
    gave_up = not operation.delivered and operation.next_try is None
    changed = {
        "of": operation.webhook_id,
        "delivered_at_us": unit.now_us if operation.delivered else None,
        "gave_up_at_us": unit.now_us if gave_up else None,
        "due_at_us": microseconds_or_none(operation.next_try) or unit.now_us,
        "last_error": storable(operation.error, MESSAGE_CHARACTERS_MAX),
        "tries": TRIES_ANY if operation.delivered else operation.tries,
    }
    unit.touched = True
    return unit.transaction.run(unit.transaction.statements.end_webhook, changed) == 1


def redeliver(unit: Unit, operation: Redeliver) -> int:
    """Make messages due now, with all their tries anew; return how many are known."""
    statements, transaction = unit.transaction.statements, unit.transaction
    unit.touched = True
    rows = [{"of": webhook_id, "due_at_us": unit.now_us} for webhook_id in sorted(operation.webhook_ids)]
    return transaction.run_all([(statements.redeliver_webhook, rows)])[0]


def purge(unit: Unit, operation: Purge) -> int:
    """Delete messages that ended before a moment; return how many. The books themselves are never thinned out."""
    unit.touched = True
    before = {"before_us": microseconds(operation.before)}
    return unit.transaction.run(unit.transaction.statements.delete_webhooks, before)


def _rollup_key(row: OutcomeColumns) -> RollupKey:
    return row["day"], row["org"], row["model"], row["tenant"], row["priority"], row["tags"]
