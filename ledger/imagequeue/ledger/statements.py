"""The SQL of the writer: Core expressions, compiled once for the database in use.

The writer gives the texts to the driver itself: at a few statements for each job, SQLAlchemy's execution would cost
more than the database does. Parameters have the names of the columns, and of the bindparams below.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    Insert,
    Update,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
)
from sqlalchemy.sql import ClauseElement

from imagequeue.ledger.compiler import RESOLVED_COLUMNS, Compiler
from imagequeue.ledger.schema import (
    attempt,
    balance,
    draw,
    entry,
    grant,
    image,
    outcome,
    source,
    warning,
    webhook,
    writer,
)
from imagequeue.ledger.schema_archive import archive
from imagequeue.ledger.schema_reports import DIMENSIONS, rollup, saving, tag_rollup, tag_set

HELD_WITH: Final = ("state", "images")
"""What an attempt begins with of the columns that its end changes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Statements:
    """Texts for one kind of database. `:ids` and `:scopes` are lists, see `list_parameter`."""

    begin: str
    insert_attempt: str  # the columns that RESOLVED_COLUMNS leaves, and HELD_WITH
    resolve_attempt: str  # the columns of RESOLVED_COLUMNS, key, expected (state)
    insert_entry: str
    insert_outcome: str  # changes no row when the job has an outcome that was not reopened
    insert_webhook: str
    insert_image: str  # changes no row when the image is the tenant's already
    add_scope: str  # scope
    lock_scopes: str  # scopes
    move_balance: str  # of (scope), delta, limit
    add_rollup: str
    add_tags: str  # key, tags; changes no row when it is there
    add_tag_rollup: str
    add_first_answers: str  # rows (JSON: tenant, intent, attempt_id); returns those that were the first
    warnings: str  # scopes
    add_warning: str  # changes no row when it is there
    move_head: str  # of (writer), before (batches), head_seq, head_hash
    head: str  # of (writer)
    attempts_by_id: str  # ids
    attempts_by_job: str  # ids
    outcomes_by_job: str  # ids
    keep_images: str  # of (job), kept, kept_images
    reopen_outcome: str  # of (job), reopened_at_us
    insert_grant: str  # changes no row when its source is there
    lock_grants: str  # orgs, now_us
    move_grant: str  # of (grant), credits, paid_nano
    insert_draw: str
    draws: str  # of (attempt)
    return_draw: str  # of (attempt), grant, at_us
    add_source: str  # source, at_us; changes no row when it is there
    add_archive: str  # month, rows, sha256, at_us; changes no row when it is there
    add_saving: str  # the columns of a saving; changes no row when the job has one of its kind
    due_webhooks: str  # now_us, count, urls (not these)
    lease_webhooks: str  # of (webhook), until_us
    end_webhook: str  # of (webhook), tries (at most), delivered_at_us, gave_up_at_us, due_at_us, last_error
    redeliver_webhook: str  # of (webhook), due_at_us
    delete_webhooks: str  # before_us


def statements_for(dialect_name: str) -> Statements:
    """Return the texts for `sqlite` or `postgresql`."""
    sql = Compiler(dialect_name)
    return Statements(
        begin="BEGIN IMMEDIATE" if dialect_name == "sqlite" else "BEGIN",
        insert_attempt=sql.bulk_insert(attempt, _insert_attempt()),
        resolve_attempt=sql.resolve_attempt(),
        insert_entry=sql.bulk_insert(entry, insert(entry)),
        insert_outcome=sql.bulk_insert(outcome, sql.insert_outcome()),
        insert_webhook=sql.text(insert(webhook)),
        insert_image=sql.bulk_insert(image, sql.upsert(image).on_conflict_do_nothing()),
        add_scope=sql.text(sql.add_scope()),
        lock_scopes=sql.text(
            select(balance).where(sql.among(balance.c.scope, "scopes")).order_by(balance.c.scope).with_for_update()
        ),
        move_balance=sql.text(_move_balance()),
        add_rollup=sql.bulk_insert(rollup, sql.add_rollup(rollup, DIMENSIONS)),
        add_tags=sql.bulk_insert(tag_set, sql.upsert(tag_set).on_conflict_do_nothing()),
        add_tag_rollup=sql.bulk_insert(tag_rollup, sql.add_rollup(tag_rollup, (*DIMENSIONS, "tags_key"))),
        add_first_answers=sql.add_first_answers(),
        warnings=sql.text(select(warning).where(sql.among(warning.c.scope, "scopes"))),
        add_warning=sql.text(sql.upsert(warning).on_conflict_do_nothing()),
        move_head=sql.text(_move_head()),
        head=sql.text(_head()),
        attempts_by_id=sql.text(sql.attempts(attempt.c.id)),
        attempts_by_job=sql.text(sql.attempts(attempt.c.job_id)),
        outcomes_by_job=sql.text(sql.outcomes()),
        keep_images=sql.text(_on_outcome("kept", "kept_images")),
        reopen_outcome=sql.text(_on_outcome("reopened_at_us").where(outcome.c.status != literal_column("'succeeded'"))),
        insert_grant=sql.text(sql.upsert(grant).on_conflict_do_nothing()),
        lock_grants=sql.text(sql.grants()),
        move_grant=sql.text(_move_grant()),
        insert_draw=sql.text(insert(draw)),
        draws=sql.text(select(draw).where(draw.c.attempt_id == bindparam("of"), draw.c.returned_at_us.is_(None))),
        return_draw=sql.text(_return_draw()),
        add_source=sql.text(sql.upsert(source).on_conflict_do_nothing()),
        add_archive=sql.text(sql.upsert(archive).on_conflict_do_nothing()),
        add_saving=sql.text(sql.upsert(saving).on_conflict_do_nothing()),
        due_webhooks=sql.text(sql.due_webhooks()),
        lease_webhooks=sql.text(_lease_webhook()),
        end_webhook=sql.text(_end_webhook()),
        redeliver_webhook=sql.text(_redeliver_webhook()),
        delete_webhooks=sql.text(_delete_webhooks()),
    )


def _insert_attempt() -> Insert:
    known = [name for name in attempt.c.keys() if name in HELD_WITH or name not in RESOLVED_COLUMNS]  # noqa: SIM118  # as above
    return insert(attempt).values({name: bindparam(name, type_=attempt.c[name].type) for name in known})


def _move_balance() -> ClauseElement:
    after = balance.c.used_nano + bindparam("delta", type_=balance.c.used_nano.type)
    fits = and_(balance.c.scope == bindparam("of"), after <= bindparam("limit", type_=balance.c.used_nano.type))
    return update(balance).where(fits).values(used_nano=after)


def _move_grant() -> ClauseElement:
    left = grant.c.credits_left + bindparam("credits", type_=grant.c.credits.type)
    paid = grant.c.paid_left_nano + bindparam("paid_nano", type_=grant.c.paid_nano.type)
    mine = and_(grant.c.id == bindparam("of"), left >= literal_column("0"))
    return update(grant).where(mine).values(credits_left=left, paid_left_nano=paid)


def _return_draw() -> ClauseElement:
    mine = and_(draw.c.attempt_id == bindparam("of"), draw.c.grant_id == bindparam("grant"))
    return update(draw).where(mine, draw.c.returned_at_us.is_(None)).values(returned_at_us=bindparam("at_us"))


def _move_head() -> ClauseElement:
    mine = and_(writer.c.id == bindparam("of"), writer.c.batches == bindparam("before"))
    after = {
        "batches": writer.c.batches + literal_column("1"),
        "head_seq": bindparam("head_seq"),
        "head_hash": bindparam("head_hash"),
    }
    return update(writer).where(mine).values(after)


def _head() -> ClauseElement:
    return select(writer.c.batches, writer.c.head_seq, writer.c.head_hash).where(writer.c.id == bindparam("of"))


def _on_outcome(*columns: str) -> Update:
    values = {name: bindparam(name, type_=outcome.c[name].type) for name in columns}
    return update(outcome).where(outcome.c.job_id == bindparam("of")).values(values)


def _lease_webhook() -> ClauseElement:
    leased = {"tries": webhook.c.tries + literal_column("1"), "due_at_us": bindparam("until_us")}
    return update(webhook).where(webhook.c.id == bindparam("of")).values(leased)


def _end_webhook() -> ClauseElement:
    names = ("delivered_at_us", "gave_up_at_us", "due_at_us", "last_error")
    values = {name: bindparam(name, type_=webhook.c[name].type) for name in names}
    mine = and_(
        webhook.c.id == bindparam("of"),
        webhook.c.delivered_at_us.is_(None),
        webhook.c.tries <= bindparam("tries", type_=webhook.c.tries.type),
    )
    return update(webhook).where(mine).values(values)


def _redeliver_webhook() -> ClauseElement:
    anew = {
        "due_at_us": bindparam("due_at_us"),
        "tries": literal_column("0"),
        "delivered_at_us": null(),
        "gave_up_at_us": null(),
    }
    return update(webhook).where(webhook.c.id == bindparam("of")).values(anew)


def _delete_webhooks() -> ClauseElement:
    ended = func.coalesce(webhook.c.delivered_at_us, webhook.c.gave_up_at_us)
    return delete(webhook).where(ended < bindparam("before_us", type_=webhook.c.due_at_us.type))
