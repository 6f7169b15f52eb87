"""Caps that are set while workers run, and the messages of one job found by its name."""

from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, Text

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the index."""
    op.create_table(
        "ledger_cap",
        Column("name", Text, primary_key=True),
        Column("kind", Text, primary_key=True),
        Column("state", Text, nullable=False),
        Column("limit_nano", BigInteger),
        Column("set_at_us", BigInteger, nullable=False),
        Column("set_by", Text, nullable=False),
        Column("reason", Text, nullable=False),
        CheckConstraint("kind IN ('org_month', 'tenant_day', 'tenant_month', 'tenant_total')", name="ledger_cap_kind"),
        CheckConstraint("state IN ('limit', 'none', 'configured')", name="ledger_cap_state"),
        CheckConstraint("(limit_nano IS NOT NULL) = (state = 'limit')", name="ledger_cap_limit"),
        sqlite_with_rowid=False,
    )
    op.create_index("ledger_webhook_job", "ledger_webhook", ["job_id"])


def downgrade() -> None:
    """Refuse: books are not unmade."""
    raise NotImplementedError("the ledger's history cannot be taken back; restore a backup instead")
