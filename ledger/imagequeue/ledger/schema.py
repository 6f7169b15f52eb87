"""The ledger's tables, the same on SQLite and PostgreSQL.

Money is BIGINT nano-dollars, a moment BIGINT microseconds since 1970 in UTC, a day text `YYYY-MM-DD`, a structure
canonical JSON text. `ledger_entry` only grows; triggers refuse anything else. `ledger_attempt` changes its state along
one path; triggers refuse any other. `ledger_balance` is a sum that the audit can rebuild.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

REVISION: Final = "0010"
"""The newest migration; a test holds it against Alembic's."""

metadata = MetaData()

# SQLite keeps a row's key for free only when it is called INTEGER.
KEY = BigInteger().with_variant(Integer, "sqlite")


writer = Table(
    "ledger_writer",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("host", Text, nullable=False),
    Column("process_id", Integer, nullable=False),
    Column("started_at_us", BigInteger, nullable=False),
    Column("batches", BigInteger, nullable=False, server_default="0"),  # transactions committed by this writer
    Column("head_seq", BigInteger, nullable=False, server_default="0"),
    Column("head_hash", Text, nullable=False, server_default=""),
)

attempt = Table(
    "ledger_attempt",
    metadata,
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
    Column("usd_nano", BigInteger),  # unknown until the attempt is resolved; 0 is a real zero
    Column("images", Integer, nullable=False),
    Column("usage", Text),
    Column("request_id", Text),
    Column("client_request_id", Text),
    Column("status_code", Integer),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("reason", Text),
    Column("day", Text, nullable=False),  # of the hold: caps and reports count there, whenever the answer comes
    Column("held_at_us", BigInteger, nullable=False),
    Column("sent_at_us", BigInteger),
    Column("ended_at_us", BigInteger),
    Column("resolved_at_us", BigInteger),
    UniqueConstraint("job_id", "n", name="ledger_attempt_once"),
    CheckConstraint("state IN ('held', 'settled', 'voided', 'in_doubt', 'reconciled')", name="ledger_attempt_state"),
    CheckConstraint("upper_bound_nano >= 0 AND (usd_nano IS NULL OR usd_nano >= 0)", name="ledger_attempt_money"),
    CheckConstraint("(usd_nano IS NULL) = (state IN ('held', 'in_doubt'))", name="ledger_attempt_cost_known"),
)

OPEN = text("state IN ('held', 'in_doubt')")
Index("ledger_attempt_open", attempt.c.held_at_us, sqlite_where=OPEN, postgresql_where=OPEN)
Index("ledger_attempt_time", attempt.c.day, attempt.c.held_at_us)
WITH_INTENT = text("intent IS NOT NULL")
# Holds all that a report by intent adds up, so that its rows, which lie far apart, are not fetched.
INTENT_REPORT: Final = (
    "day",
    "intent",
    "org",
    "model",
    "tenant",
    "priority",
    "state",
    "usd_nano",
    "upper_bound_nano",
    "images",
)
Index(
    "ledger_attempt_intent",
    *(attempt.c[name] for name in INTENT_REPORT),
    sqlite_where=WITH_INTENT,
    postgresql_where=WITH_INTENT,
)

entry = Table(
    "ledger_entry",
    metadata,
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

outcome = Table(
    "ledger_outcome",
    metadata,
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
    Column("reopened_at_us", BigInteger),  # a person asked for another try; the next outcome takes this one's place
    CheckConstraint("status IN ('succeeded', 'failed', 'cancelled', 'expired')", name="ledger_outcome_status"),
)
SIDE = text("cached OR kept_images > 0")
Index("ledger_outcome_side", outcome.c.day, sqlite_where=SIDE, postgresql_where=SIDE)
KEPT_FOR_INTENT = text("kept_images > 0 AND intent IS NOT NULL")
Index("ledger_outcome_intent", outcome.c.day, sqlite_where=KEPT_FOR_INTENT, postgresql_where=KEPT_FOR_INTENT)

balance = Table(
    "ledger_balance",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("used_nano", BigInteger, nullable=False),  # settled + held + in doubt
    sqlite_with_rowid=False,
)

warning = Table(
    "ledger_warning",
    metadata,
    Column("scope", Text, primary_key=True),  # with its day or month, so that each period warns anew
    Column("kind", Text, primary_key=True),
    Column("limit_nano", BigInteger, primary_key=True, autoincrement=False),  # a cap that was changed warns anew
    Column("percent", Integer, primary_key=True, autoincrement=False),
    Column("used_nano", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("ledger_warning_at", warning.c.at_us)

source = Table(
    "ledger_source",
    metadata,
    Column("source", Text, primary_key=True),  # what a correction was booked for, so that it is booked once
    Column("at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

grant = Table(
    "ledger_grant",
    metadata,
    Column("id", KEY, primary_key=True, autoincrement=False),
    Column("org", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("credits", Integer, nullable=False),
    Column("credits_left", Integer, nullable=False),
    Column("paid_nano", BigInteger, nullable=False),
    Column("paid_left_nano", BigInteger, nullable=False),
    Column("granted_at_us", BigInteger, nullable=False),
    Column("expires_at_us", BigInteger),
    Column("source", Text, nullable=False),
    UniqueConstraint("org", "source", name="ledger_grant_once"),
    CheckConstraint("credits_left BETWEEN 0 AND credits", name="ledger_grant_left"),
    CheckConstraint("paid_left_nano BETWEEN 0 AND paid_nano", name="ledger_grant_paid"),
)

image = Table(
    "ledger_image",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("tenant", Text, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("format", Text, nullable=False),
    Column("first_at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

draw = Table(
    "ledger_draw",
    metadata,
    Column("attempt_id", BigInteger, primary_key=True, autoincrement=False),
    Column("grant_id", BigInteger, primary_key=True, autoincrement=False),
    Column("credits", Integer, nullable=False),
    Column("paid_nano", BigInteger, nullable=False),
    Column("returned_at_us", BigInteger),
    sqlite_with_rowid=False,
)

webhook = Table(
    "ledger_webhook",
    metadata,
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
Index("ledger_webhook_job", webhook.c.job_id)
PENDING = text("delivered_at_us IS NULL AND gave_up_at_us IS NULL")
Index("ledger_webhook_due", webhook.c.due_at_us, sqlite_where=PENDING, postgresql_where=PENDING)
