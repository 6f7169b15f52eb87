"""Attempts are found by their moment within a day, for reports of parts of days."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Put the index that has the moment too in the place of the one by day."""
    op.create_index("ledger_attempt_time", "ledger_attempt", ["day", "held_at_us"])
    op.drop_index("ledger_attempt_day", table_name="ledger_attempt")


def downgrade() -> None:
    """Refuse: books are not unmade."""
    raise NotImplementedError("the ledger's history cannot be taken back; restore a backup instead")
