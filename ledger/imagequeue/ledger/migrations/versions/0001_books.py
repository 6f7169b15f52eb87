"""The books as first kept: writers, attempts, entries, outcomes, balances, rollups and the webhook outbox.

Spelled out rather than taken from `schema`, which will move on; what it refuses is in `migrations/sql`.
"""

from importlib.resources import files
from typing import Final

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Integer,
    Text,
    UniqueConstraint,
    text,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY: Final = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """Create every table, then what they refuse."""
    for create in (_writer, _attempt, _entry, _outcome, _balance, _rollup, _source, _webhook):
        create()
    script = files("imagequeue.ledger") / "migrations" / "sql" / f"0001_triggers.{op.get_bind().dialect.name}.sql"
    for statement in script.read_text("utf-8").split("-- next"):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    """Refuse: books are not unmade."""
    raise NotImplementedError("the ledger's history cannot be taken back; restore a backup instead")


def _writer() -> None:
    """Create the list of processes that wrote, each with the head of its chain."""
    op.create_table(
        "ledger_writer",
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("host", Text, nullable=False),
        Column("process_id", Integer, nullable=False),
        Column("started_at_us", BigInteger, nullable=False),
        Column("batches", BigInteger, nullable=False, server_default="0"),
        Column("head_seq", BigInteger, nullable=False, server_default="0"),
        Column("head_hash", Text, nullable=False, server_default=""),
    )


def _attempt() -> None:
    """Create one row per call of a provider."""
    unresolved = text("state IN ('held', 'in_doubt')")
    op.create_table(
        "ledger_attempt",
        Column("id", KEY, primary_key=True, autoincrement=False),
        Column("job_id", Text, nullable=False),
        Column("n", Integer, nullable=False),
        Column("lease_token", Text, nullable=False),
        Column("org", Text, nullable=False),
        Column("model", Text, nullable=False),
        Column("tenant", Text, nullable=False),
        Column("priority", Text, nullable=False),
        Column("tags", Text, nullable=False),
        Column("intent", Text),
        Column("delivery", Text, nullable=False),
        Column("operation", Text, nullable=False),
        Column("size", Text),
        Column("quality", Text),
        Column("images_requested", Integer, nullable=False),
        Column("upper_bound_nano", BigInteger, nullable=False),
        Column("credits", Integer, nullable=False),
        Column("catalog_version", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("usd_nano", BigInteger),
        Column("images", Integer, nullable=False),
        Column("usage", Text),
        Column("request_id", Text),
        Column("client_request_id", Text),
        Column("status_code", Integer),
        Column("error_code", Text),
        Column("error_message", Text),
        Column("reason", Text),
        Column("day", Text, nullable=False),
        Column("held_at_us", BigInteger, nullable=False),
        Column("sent_at_us", BigInteger),
        Column("ended_at_us", BigInteger),
        Column("resolved_at_us", BigInteger),
        UniqueConstraint("job_id", "n", name="ledger_attempt_once"),
        CheckConstraint(
            "state IN ('held', 'settled', 'voided', 'in_doubt', 'reconciled')", name="ledger_attempt_state"
        ),
        CheckConstraint("upper_bound_nano >= 0 AND (usd_nano IS NULL OR usd_nano >= 0)", name="ledger_attempt_money"),
        CheckConstraint("(usd_nano IS NULL) = (state IN ('held', 'in_doubt'))", name="ledger_attempt_cost_known"),
    )
    op.create_index(
        "ledger_attempt_open", "ledger_attempt", ["held_at_us"], sqlite_where=unresolved, postgresql_where=unresolved
    )
    op.create_index("ledger_attempt_day", "ledger_attempt", ["day"])


def _entry() -> None:
    """Create the transfers between accounts; only ever added."""
    op.create_table(
        "ledger_entry",
        Column("writer_id", Integer, primary_key=True, autoincrement=False),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("attempt_id", BigInteger),
        Column("kind", Text, nullable=False),
        Column("debit", Text, nullable=False),
        Column("credit", Text, nullable=False),
        Column("amount_nano", BigInteger, nullable=False),
        Column("day", Text, nullable=False),
        Column("at_us", BigInteger, nullable=False),
        Column("catalog_version", Text, nullable=False),
        Column("memo", Text, nullable=False),
        Column("hash", Text, nullable=False),
        CheckConstraint("amount_nano >= 0 AND debit <> credit", name="ledger_entry_transfer"),
        sqlite_with_rowid=False,
    )


def _outcome() -> None:
    """Create how jobs ended."""
    side = text("cached OR kept_images > 0")
    op.create_table(
        "ledger_outcome",
        Column("job_id", Text, primary_key=True),
        Column("status", Text, nullable=False),
        Column("attempt_id", BigInteger),
        Column("org", Text, nullable=False),
        Column("model", Text, nullable=False),
        Column("tenant", Text, nullable=False),
        Column("priority", Text, nullable=False),
        Column("tags", Text, nullable=False),
        Column("intent", Text),
        Column("delivery", Text, nullable=False),
        Column("catalog_version", Text, nullable=False),
        Column("day", Text, nullable=False),
        Column("usd_nano", BigInteger),
        Column("images", Text, nullable=False),
        Column("cached", Boolean, nullable=False),
        Column("saved_nano", BigInteger, nullable=False),
        Column("error_code", Text),
        Column("error_message", Text),
        Column("retryable", Boolean, nullable=False),
        Column("kept", Text),
        Column("kept_images", Integer, nullable=False),
        Column("finished_at_us", BigInteger, nullable=False),
        Column("reopened_at_us", BigInteger),
        CheckConstraint("status IN ('succeeded', 'failed', 'cancelled', 'expired')", name="ledger_outcome_status"),
    )
    op.create_index("ledger_outcome_side", "ledger_outcome", ["day"], sqlite_where=side, postgresql_where=side)


def _balance() -> None:
    """Create what each capped scope has used."""
    op.create_table(
        "ledger_balance",
        Column("scope", Text, primary_key=True),
        Column("used_nano", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _rollup() -> None:
    """Create sums by day, so that reports need not read every attempt."""
    dimensions = "day org model tenant priority"
    measures = (
        "settled_nano held_nano in_doubt_nano voided_nano corrected_nano over_bound_nano settled held in_doubt "
        "voided reconciled over_bound images kept_images cache_hits saved_nano"
    )
    op.create_table(
        "ledger_rollup",
        *(Column(name, Text, primary_key=True) for name in dimensions.split()),
        *(Column(name, BigInteger, nullable=False, server_default="0") for name in measures.split()),
        sqlite_with_rowid=False,
    )


def _source() -> None:
    """Create what corrections were booked for, so that each is booked once."""
    op.create_table(
        "ledger_source",
        Column("source", Text, primary_key=True),
        Column("at_us", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _webhook() -> None:
    """Create the messages to send, stored with the outcome that they tell."""
    pending = text("delivered_at_us IS NULL AND gave_up_at_us IS NULL")
    op.create_table(
        "ledger_webhook",
        Column("id", KEY, primary_key=True, autoincrement=False),
        Column("job_id", Text, nullable=False),
        Column("url", Text, nullable=False),
        Column("event", Text, nullable=False),
        Column("payload", Text, nullable=False),
        Column("created_at_us", BigInteger, nullable=False),
        Column("due_at_us", BigInteger, nullable=False),
        Column("tries", Integer, nullable=False),
        Column("delivered_at_us", BigInteger),
        Column("gave_up_at_us", BigInteger),
        Column("last_error", Text),
    )
    op.create_index(
        "ledger_webhook_due", "ledger_webhook", ["due_at_us"], sqlite_where=pending, postgresql_where=pending
    )
