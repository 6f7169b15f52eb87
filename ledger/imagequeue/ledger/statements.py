"""The SQL of the writer: Core expressions, compiled once for the database in use.

The writer gives the texts to the driver itself: at a few statements for each job, SQLAlchemy's execution would cost
more than the database does. Parameters have the names of the columns, and of the bindparams below.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    Column,
    Dialect,
    Table,
    Update,
    and_,
    any_,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal_column,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.sql import ClauseElement, ColumnElement, Select

from imagequeue.ledger.schema import (
    DIMENSIONS,
    MEASURES,
    attempt,
    balance,
    draw,
    entry,
    first_answer,
    grant,
    image,
    outcome,
    rollup,
    saving,
    source,
    tag_rollup,
    tag_set,
    warning,
    webhook,
    writer,
)
from imagequeue.ledger.schema_archive import archive

RESOLVED_COLUMNS = (
    "state",
    "usd_nano",
    "images",
    "usage",
    "request_id",
    "client_request_id",
    "status_code",
    "error_code",
    "error_message",
    "reason",
    "sent_at_us",
    "ended_at_us",
    "resolved_at_us",
)

ROWS = "%(rows)s"
"""In a text for PostgreSQL: it takes all rows at once, as a JSON list. A statement for each row costs twice the CPU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Statements:
    """Texts for one kind of database. `:ids` and `:scopes` are lists, see `list_parameter`."""

    begin: str
    insert_attempt: str  # the columns that RESOLVED_COLUMNS leaves, and state
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
    sql = _Compiler(dialect_name)
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


class _Compiler:
    """What differs between the two databases."""

    def __init__(self, dialect_name: str) -> None:
        self._sqlite = dialect_name == "sqlite"
        self._dialect: Dialect = sqlite.dialect(paramstyle="named") if self._sqlite else psycopg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own constructor

    def text(self, clause: ClauseElement) -> str:
        return str(clause.compile(dialect=self._dialect))

    def bulk_insert(self, table: Table, clause: ClauseElement) -> str:
        """Return the insert of many rows; on PostgreSQL as one statement over a JSON list, see ROWS."""
        text = self.text(clause)
        if self._sqlite:
            return text
        conflict = text.partition(" ON CONFLICT ")[2]
        every = f"INSERT INTO {table.name} SELECT * FROM json_populate_recordset(NULL::{table.name}, {ROWS}::json)"  # noqa: S608  # our own names
        return f"{every} ON CONFLICT {conflict}" if conflict else every

    def resolve_attempt(self) -> str:
        if self._sqlite:
            return self.text(_resolve_attempt())
        kinds = {"key": "bigint", "expected": "text"} | {
            name: str(attempt.c[name].type.compile(self._dialect)) for name in RESOLVED_COLUMNS
        }
        record = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        values = ", ".join(f"{name} = resolved.{name}" for name in RESOLVED_COLUMNS)
        return (
            f"UPDATE {attempt.name} SET {values} FROM json_to_recordset({ROWS}::json) AS resolved({record})"  # noqa: S608  # our own names
            f" WHERE {attempt.name}.id = resolved.key AND {attempt.name}.state = resolved.expected"
        )

    def upsert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._sqlite else postgresql.insert(table)

    def among(self, of: ColumnElement[object], name: str) -> ColumnElement[bool]:
        """Return the condition that `of` is in a list of any length: a JSON list on SQLite, an array on PostgreSQL."""
        if self._sqlite:
            return of.in_(select(func.json_each(bindparam(name)).table_valued(column("value")).c.value))
        return of == any_(bindparam(name, type_=postgresql.ARRAY(of.type)))

    def attempts(self, by: Column[object]) -> Select[tuple[object, ...]]:
        return select(attempt).where(self.among(by, "ids")).order_by(attempt.c.id).with_for_update()

    def outcomes(self) -> Select[tuple[object, ...]]:
        standing = and_(self.among(outcome.c.job_id, "ids"), outcome.c.reopened_at_us.is_(None))
        return select(outcome).where(standing).order_by(outcome.c.job_id).with_for_update()

    def add_scope(self) -> ClauseElement:
        nothing_used: ColumnElement[int] = literal_column("0")
        return self.upsert(balance).values(scope=bindparam("scope"), used_nano=nothing_used).on_conflict_do_nothing()

    def insert_outcome(self) -> ClauseElement:
        wanted = self.upsert(outcome)
        changed = {name: wanted.excluded[name] for name in outcome.c.keys() if name != "job_id"}  # noqa: SIM118  # a column collection iterates over columns
        return wanted.on_conflict_do_update(
            index_elements=["job_id"], set_=changed, where=outcome.c.reopened_at_us.is_not(None)
        )

    def grants(self) -> Select[tuple[object, ...]]:
        now_us = bindparam("now_us", type_=grant.c.expires_at_us.type)
        usable = or_(grant.c.expires_at_us.is_(None), grant.c.expires_at_us > now_us)
        mine = and_(self.among(grant.c.org, "orgs"), grant.c.credits_left > literal_column("0"), usable)
        return select(grant).where(mine).order_by(grant.c.id).with_for_update()

    def due_webhooks(self) -> Select[tuple[object, ...]]:
        pending = and_(
            webhook.c.delivered_at_us.is_(None),
            webhook.c.gave_up_at_us.is_(None),
            webhook.c.due_at_us <= bindparam("now_us", type_=webhook.c.due_at_us.type),
            not_(self.among(webhook.c.url, "urls")),
        )
        oldest = select(webhook).where(pending).order_by(webhook.c.due_at_us)
        return oldest.limit(bindparam("count")).offset(literal_column("0")).with_for_update(skip_locked=True)

    def add_rollup(self, table: Table, key: Sequence[str]) -> ClauseElement:
        added = self.upsert(table)
        sums = {name: table.c[name] + added.excluded[name] for name in MEASURES}
        return added.on_conflict_do_update(index_elements=list(key), set_=sums)

    def add_first_answers(self) -> str:
        names = "tenant, intent, attempt_id"
        if self._sqlite:
            fields = ", ".join(f"json_extract(value, '$.{name}')" for name in names.split(", "))
            rows = f"SELECT {fields} FROM json_each(:rows) WHERE true"  # noqa: S608  # our own names
        else:
            kinds = "tenant text, intent text, attempt_id bigint"
            rows = f"SELECT {names} FROM json_to_recordset({ROWS}::json) AS answered({kinds}) ORDER BY tenant, intent"  # noqa: S608  # our own names
        table = first_answer.name
        return f"INSERT INTO {table} ({names}) {rows} ON CONFLICT DO NOTHING RETURNING tenant, intent"  # our own names


def _insert_attempt() -> ClauseElement:
    known = [name for name in attempt.c.keys() if name == "state" or name not in RESOLVED_COLUMNS]  # noqa: SIM118  # as above
    values: dict[str, ColumnElement[object]] = {name: bindparam(name, type_=attempt.c[name].type) for name in known}
    return insert(attempt).values({**values, "images": literal_column("0")})


def _resolve_attempt() -> ClauseElement:
    mine = and_(attempt.c.id == bindparam("key"), attempt.c.state == bindparam("expected"))
    return update(attempt).where(mine).values({name: bindparam(name) for name in RESOLVED_COLUMNS})


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
