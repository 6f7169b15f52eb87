"""Sums by day and tags, which answer was the first for its intent, warnings of caps, and archives of details."""

import hashlib
from importlib.resources import files
from typing import Final

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text, text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DIMENSIONS: Final = "day org model tenant priority"
MEASURES: Final = (
    "settled_nano held_nano in_doubt_nano voided_nano corrected_nano over_bound_nano settled held in_doubt "
    "voided reconciled over_bound images kept_images cache_hits saved_nano coalesced saved_cache_nano "
    "saved_coalesced_nano saved_batch_nano saved_overflow_nano answers intents"
)
TAGGED: Final = ("ledger_attempt", "ledger_outcome", "ledger_saving")


def upgrade() -> None:
    """Create the tables and fill them from the rows that there are."""
    for name in ("answers", "intents"):
        op.add_column("ledger_rollup", Column(name, BigInteger, nullable=False, server_default="0"))
    for create in (_tag_rollup, _first_answer, _warning, _archive):
        create()
    _intent_indexes()
    _name_tags()
    scripts = files("imagequeue.ledger") / "migrations" / "sql"
    for name in ("0005_fill.sql", f"0005_triggers.{op.get_bind().dialect.name}.sql"):
        for statement in (scripts / name).read_text("utf-8").split("-- next"):
            op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    """Refuse: books are not unmade."""
    raise NotImplementedError("the ledger's history cannot be taken back; restore a backup instead")


def _intent_indexes() -> None:
    with_intent, kept = text("intent IS NOT NULL"), text("kept_images > 0 AND intent IS NOT NULL")
    columns = "day intent org model tenant priority state usd_nano upper_bound_nano images"
    op.create_index(
        "ledger_attempt_intent",
        "ledger_attempt",
        columns.split(),
        sqlite_where=with_intent,
        postgresql_where=with_intent,
    )
    op.create_index("ledger_outcome_intent", "ledger_outcome", ["day"], sqlite_where=kept, postgresql_where=kept)


def _tag_rollup() -> None:
    op.create_table(
        "ledger_tags",
        Column("key", Text, primary_key=True),
        Column("tags", Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_tag_rollup",
        *(Column(name, Text, primary_key=True) for name in (*DIMENSIONS.split(), "tags_key")),
        *(Column(name, BigInteger, nullable=False, server_default="0") for name in MEASURES.split()),
        sqlite_with_rowid=False,
    )


def _first_answer() -> None:
    op.create_table(
        "ledger_first_answer",
        Column("tenant", Text, primary_key=True),
        Column("intent", Text, primary_key=True),
        Column("attempt_id", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _warning() -> None:
    op.create_table(
        "ledger_warning",
        Column("scope", Text, primary_key=True),
        Column("kind", Text, primary_key=True),
        Column("limit_nano", BigInteger, primary_key=True, autoincrement=False),
        Column("percent", Integer, primary_key=True, autoincrement=False),
        Column("used_nano", BigInteger, nullable=False),
        Column("at_us", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ledger_warning_at", "ledger_warning", ["at_us"])


def _archive() -> None:
    op.create_table(
        "ledger_archive",
        Column("month", Text, primary_key=True),
        Column("rows", BigInteger, nullable=False),
        Column("sha256", Text, nullable=False),
        Column("at_us", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _name_tags() -> None:
    """Give every set of tags its key; SHA-256 is not known to SQLite."""
    connection = op.get_bind()
    every: set[str] = set()
    for table in TAGGED:
        every.update(connection.exec_driver_sql(f"SELECT DISTINCT tags FROM {table} WHERE tags <> '{{}}'").scalars())  # noqa: S608  # our own tables
    rows = [{"key": hashlib.sha256(tags.encode()).hexdigest()[:32], "tags": tags} for tags in sorted(every)]
    if rows:
        connection.execute(text("INSERT INTO ledger_tags (key, tags) VALUES (:key, :tags)"), rows)
