"""Credits: grants, and what attempts drew from them."""

from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, Text, UniqueConstraint

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "ledger_grant",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
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
    op.create_table(
        "ledger_draw",
        Column("attempt_id", BigInteger, primary_key=True, autoincrement=False),
        Column("grant_id", BigInteger, primary_key=True, autoincrement=False),
        Column("credits", Integer, nullable=False),
        Column("paid_nano", BigInteger, nullable=False),
        Column("returned_at_us", BigInteger),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Refuse: books are not unmade."""
    raise NotImplementedError("the ledger's history cannot be taken back; restore a backup instead")
