"""Batches of calls at half price: their files, how far they have come, and the attempts in them."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text, text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "ledger_batch",
        Column("ref", Text, primary_key=True),
        Column("org", Text, nullable=False),
        Column("model", Text, nullable=False),
        Column("operation", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("items", Integer, nullable=False),
        Column("file_id", Text),
        Column("batch_id", Text),
        Column("created_at_us", BigInteger, nullable=False),
        Column("create_tried_at_us", BigInteger),
        Column("due_at_us", BigInteger, nullable=False),
        Column("ended_at_us", BigInteger),
        Column("claimed_by", Text),
        Column("claimed_until_us", BigInteger, nullable=False),
        Column("failures", Integer, nullable=False),
        Column("note", Text, nullable=False),
    )
    unfinished = text("state <> 'closed'")
    op.create_index(
        "ledger_batch_open", "ledger_batch", ["due_at_us"], sqlite_where=unfinished, postgresql_where=unfinished
    )
    op.create_table(
        "ledger_batch_item",
        Column("attempt_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
        Column("job_id", Text, nullable=False),
        Column("org", Text, nullable=False),
        Column("model", Text, nullable=False),
        Column("operation", Text, nullable=False),
        Column("added_at_us", BigInteger, nullable=False),
        Column("batch_ref", Text),
        Column("done_at_us", BigInteger),
    )
    waiting = text("batch_ref IS NULL AND done_at_us IS NULL")
    op.create_index(
        "ledger_batch_item_waiting",
        "ledger_batch_item",
        ["org", "model", "added_at_us"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.create_index("ledger_batch_item_of", "ledger_batch_item", ["batch_ref"])
    op.create_index("ledger_batch_item_job", "ledger_batch_item", ["job_id"])


def downgrade() -> None:
    """Refuse: books are not unmade."""
    raise NotImplementedError("the ledger's history cannot be taken back; restore a backup instead")
