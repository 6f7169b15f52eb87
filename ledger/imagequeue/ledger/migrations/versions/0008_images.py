"""Whose an image is, as an index: what outcomes say so far is taken over."""

from typing import Final

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

FROM_OUTCOMES: Final = {
    "sqlite": """
INSERT INTO ledger_image (sha256, tenant, bytes, width, height, format, first_at_us)
SELECT json_extract(value, '$.sha256'), tenant, json_extract(value, '$.bytes'), json_extract(value, '$.width'),
    json_extract(value, '$.height'), json_extract(value, '$.format'), min(finished_at_us)
FROM ledger_outcome, json_each(ledger_outcome.images)
WHERE status = 'succeeded'
GROUP BY 1, 2
""",
    "postgresql": """
INSERT INTO ledger_image (sha256, tenant, bytes, width, height, format, first_at_us)
SELECT value->>'sha256', tenant, min((value->>'bytes')::bigint), min((value->>'width')::integer),
    min((value->>'height')::integer), min(value->>'format'), min(finished_at_us)
FROM ledger_outcome, json_array_elements(ledger_outcome.images::json)
WHERE status = 'succeeded'
GROUP BY 1, 2
""",
}


def upgrade() -> None:
    """Create the table and fill it."""
    op.create_table(
        "ledger_image",
        Column("sha256", Text, primary_key=True),
        Column("tenant", Text, primary_key=True),
        Column("bytes", BigInteger, nullable=False),
        Column("width", Integer, nullable=False),
        Column("height", Integer, nullable=False),
        Column("format", Text, nullable=False),
        Column("first_at_us", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.get_bind().exec_driver_sql(FROM_OUTCOMES[op.get_bind().dialect.name])


def downgrade() -> None:
    """Refuse: books are not unmade."""
    raise NotImplementedError("the ledger's history cannot be taken back; restore a backup instead")
