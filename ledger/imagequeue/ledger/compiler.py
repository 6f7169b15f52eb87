"""What differs between SQLite and PostgreSQL in the writer's SQL: lists, upserts, many rows in one statement."""

from collections.abc import Iterable, Sequence

from sqlalchemy import (
    Column,
    Dialect,
    Insert,
    Table,
    and_,
    any_,
    bindparam,
    column,
    func,
    literal_column,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.sql import ClauseElement, ColumnElement, Select

from imagequeue.ledger.columns import unnested
from imagequeue.ledger.schema import (
    attempt,
    balance,
    grant,
    outcome,
    webhook,
)
from imagequeue.ledger.schema_reports import MEASURES, first_answer

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


class Compiler:
    """Makes texts for `sqlite` or `postgresql`."""

    def __init__(self, dialect_name: str) -> None:
        self._sqlite = dialect_name == "sqlite"
        self._dialect: Dialect = sqlite.dialect(paramstyle="named") if self._sqlite else psycopg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own constructor

    def text(self, clause: ClauseElement) -> str:
        """Return the text of a statement."""
        return str(clause.compile(dialect=self._dialect))

    def bulk_insert(self, table: Table, clause: Insert) -> str:
        """Return the insert of many rows; on PostgreSQL as one statement that takes columns, see `columns.unnested`."""
        text = self.text(clause)
        if self._sqlite:
            return text
        names = [str(name) for name in clause.compile(dialect=self._dialect).params]
        conflict = text.partition(" ON CONFLICT ")[2]
        every = f"INSERT INTO {table.name} ({', '.join(names)}) {unnested(self._kinds(table, names))}"
        return f"{every} ON CONFLICT {conflict}" if conflict else every

    def resolve_attempt(self) -> str:
        """Return the update of many attempts that leave a state, see Statements."""
        if self._sqlite:
            return self.text(_resolve_attempt())
        kinds = {"key": "BIGINT", "expected": "TEXT"} | self._kinds(attempt, RESOLVED_COLUMNS)
        values = ", ".join(f"{name} = resolved.{name}" for name in RESOLVED_COLUMNS)
        return (
            f"UPDATE {attempt.name} SET {values} FROM ({unnested(kinds)}) AS resolved"  # noqa: S608  # our own names
            f" WHERE {attempt.name}.id = resolved.key AND {attempt.name}.state = resolved.expected"
        )

    def _kinds(self, table: Table, names: Iterable[str]) -> dict[str, str]:
        return {name: str(table.c[name].type.compile(self._dialect)) for name in names}

    def upsert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an insert that may say what is done about rows that are there."""
        return sqlite.insert(table) if self._sqlite else postgresql.insert(table)

    def among(self, of: ColumnElement[object], name: str) -> ColumnElement[bool]:
        """Return the condition that `of` is in a list of any length: a JSON list on SQLite, an array on PostgreSQL."""
        if self._sqlite:
            return of.in_(select(func.json_each(bindparam(name)).table_valued(column("value")).c.value))
        return of == any_(bindparam(name, type_=postgresql.ARRAY(of.type)))

    def attempts(self, by: Column[object]) -> Select[tuple[object, ...]]:
        """Return the attempts whose column `by` is in a list, locked."""
        return select(attempt).where(self.among(by, "ids")).order_by(attempt.c.id).with_for_update()

    def outcomes(self) -> Select[tuple[object, ...]]:
        """Return the outcomes that stand of jobs in a list, locked."""
        standing = and_(self.among(outcome.c.job_id, "ids"), outcome.c.reopened_at_us.is_(None))
        return select(outcome).where(standing).order_by(outcome.c.job_id).with_for_update()

    def add_scope(self) -> ClauseElement:
        """Return the insert of a scope that has used nothing, unless it is there."""
        nothing_used: ColumnElement[int] = literal_column("0")
        return self.upsert(balance).values(scope=bindparam("scope"), used_nano=nothing_used).on_conflict_do_nothing()

    def insert_outcome(self) -> Insert:
        """Return the insert of a job's end, which takes the place of one that was reopened and of no other."""
        wanted = self.upsert(outcome)
        changed = {name: wanted.excluded[name] for name in outcome.c.keys() if name != "job_id"}  # noqa: SIM118  # a column collection iterates over columns
        return wanted.on_conflict_do_update(
            index_elements=["job_id"], set_=changed, where=outcome.c.reopened_at_us.is_not(None)
        )

    def grants(self) -> Select[tuple[object, ...]]:
        """Return the grants of organizations in a list that can be used now, locked."""
        now_us = bindparam("now_us", type_=grant.c.expires_at_us.type)
        usable = or_(grant.c.expires_at_us.is_(None), grant.c.expires_at_us > now_us)
        mine = and_(self.among(grant.c.org, "orgs"), grant.c.credits_left > literal_column("0"), usable)
        return select(grant).where(mine).order_by(grant.c.id).with_for_update()

    def due_webhooks(self) -> Select[tuple[object, ...]]:
        """Return the messages that have been due longest, locked, without those that another writer has locked."""
        pending = and_(
            webhook.c.delivered_at_us.is_(None),
            webhook.c.gave_up_at_us.is_(None),
            webhook.c.due_at_us <= bindparam("now_us", type_=webhook.c.due_at_us.type),
            not_(self.among(webhook.c.url, "urls")),
        )
        oldest = select(webhook).where(pending).order_by(webhook.c.due_at_us)
        return oldest.limit(bindparam("count")).offset(literal_column("0")).with_for_update(skip_locked=True)

    def add_rollup(self, table: Table, key: Sequence[str]) -> Insert:
        """Return the insert of sums, added to those that are there."""
        added = self.upsert(table)
        sums = {name: table.c[name] + added.excluded[name] for name in MEASURES}
        return added.on_conflict_do_update(index_elements=list(key), set_=sums)

    def add_first_answers(self) -> str:
        """Return the insert of answers of intents, of which those come back that were the first."""
        names = "tenant, intent, attempt_id"
        if self._sqlite:
            fields = ", ".join(f"json_extract(value, '$.{name}')" for name in names.split(", "))
            rows = f"SELECT {fields} FROM json_each(:rows) WHERE true"  # noqa: S608  # our own names
        else:
            kinds = "tenant text, intent text, attempt_id bigint"
            rows = f"SELECT {names} FROM json_to_recordset(%(rows)s::json) AS answered({kinds}) ORDER BY tenant, intent"  # noqa: S608  # our own names
        table = first_answer.name
        return f"INSERT INTO {table} ({names}) {rows} ON CONFLICT DO NOTHING RETURNING tenant, intent"  # our own names


def _resolve_attempt() -> ClauseElement:
    mine = and_(attempt.c.id == bindparam("key"), attempt.c.state == bindparam("expected"))
    return update(attempt).where(mine).values({name: bindparam(name) for name in RESOLVED_COLUMNS})
