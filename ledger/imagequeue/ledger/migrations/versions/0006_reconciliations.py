"""Reconciliation by day: who is at it, when it was done, what was left."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "ledger_reconciliation",
        Column("org", Text, primary_key=True),
        Column("day", Text, primary_key=True),
        Column("claimed_until_us", BigInteger, nullable=False),
        Column("next_at_us", BigInteger),
        Column("checked_at_us", BigInteger),
        Column("failures", Integer, nullable=False),
        Column("billed_nano", BigInteger),
        Column("unexplained_nano", BigInteger),
        Column("in_doubt", Integer),
        Column("note", Text, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Refuse: books are not unmade."""
    raise NotImplementedError("the ledger's history cannot be taken back; restore a backup instead")
