"""Savings as facts of their own: what the cache, joined calls and batches saved, and what overflow cost more."""

from importlib.resources import files
from typing import Final

from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, Text

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None

MEASURES: Final = ("coalesced", "saved_cache_nano", "saved_coalesced_nano", "saved_batch_nano", "saved_overflow_nano")
FROM_OUTCOMES: Final = """
INSERT INTO ledger_saving (job_id, kind, usd_nano, org, model, tenant, priority, tags, intent, day, at_us)
SELECT job_id, 'cache', saved_nano, org, model, tenant, priority, tags, intent, day, finished_at_us
FROM ledger_outcome WHERE cached
"""


def upgrade() -> None:
    """Create the table, take over what outcomes say that the cache saved, and give the rollup its columns."""
    op.create_table(
        "ledger_saving",
        Column("job_id", Text, primary_key=True),
        Column("kind", Text, primary_key=True),
        Column("usd_nano", BigInteger, nullable=False),
        Column("org", Text, nullable=False),
        Column("model", Text, nullable=False),
        Column("tenant", Text, nullable=False),
        Column("priority", Text, nullable=False),
        Column("tags", Text, nullable=False),
        Column("intent", Text),
        Column("day", Text, nullable=False),
        Column("at_us", BigInteger, nullable=False),
        CheckConstraint("kind IN ('cache', 'coalesced', 'batch', 'overflow')", name="ledger_saving_kind"),
        CheckConstraint("usd_nano >= 0 OR kind = 'overflow'", name="ledger_saving_sign"),
        sqlite_with_rowid=False,
    )
    op.create_index("ledger_saving_day", "ledger_saving", ["day"])
    for name in MEASURES:
        op.add_column("ledger_rollup", Column(name, BigInteger, nullable=False, server_default="0"))
    connection = op.get_bind()
    connection.exec_driver_sql(FROM_OUTCOMES)
    connection.exec_driver_sql("UPDATE ledger_rollup SET saved_cache_nano = saved_nano WHERE saved_nano <> 0")
    script = files("imagequeue.ledger") / "migrations" / "sql" / f"0004_triggers.{connection.dialect.name}.sql"
    for statement in script.read_text("utf-8").split("-- next"):
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    """Refuse: books are not unmade."""
    raise NotImplementedError("the ledger's history cannot be taken back; restore a backup instead")
