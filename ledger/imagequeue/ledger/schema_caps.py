"""The table of caps that were set while workers run; each stands over the configured one of its name and kind."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Table, Text

from imagequeue.ledger.schema import metadata

cap = Table(
    "ledger_cap",
    metadata,
    Column("name", Text, primary_key=True),  # of the organization or the tenant
    Column("kind", Text, primary_key=True),
    Column("state", Text, nullable=False),  # `configured`: the one of the configuration stands again
    Column("limit_nano", BigInteger),
    Column("set_at_us", BigInteger, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    CheckConstraint("kind IN ('org_month', 'tenant_day', 'tenant_month', 'tenant_total')", name="ledger_cap_kind"),
    CheckConstraint("state IN ('limit', 'none', 'configured')", name="ledger_cap_state"),
    CheckConstraint("(limit_nano IS NOT NULL) = (state = 'limit')", name="ledger_cap_limit"),
    sqlite_with_rowid=False,
)
