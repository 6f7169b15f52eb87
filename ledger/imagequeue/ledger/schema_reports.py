"""Tables that reports read: sums by day, with and without tags, first answers of intents, savings.

Types and units are those of `schema`. The rollups are sums that the audit can rebuild.
"""

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Table, Text

from imagequeue.ledger.schema import metadata

DIMENSIONS: Final = ("day", "org", "model", "tenant", "priority")
MEASURES: Final = (
    "settled_nano",
    "held_nano",
    "in_doubt_nano",
    "voided_nano",
    "corrected_nano",
    "over_bound_nano",
    "settled",
    "held",
    "in_doubt",
    "voided",
    "reconciled",
    "over_bound",
    "images",
    "kept_images",
    "cache_hits",
    "saved_nano",
    "coalesced",
    "saved_cache_nano",
    "saved_coalesced_nano",
    "saved_batch_nano",
    "saved_overflow_nano",
    "answers",  # attempts that brought images for an intent
    "intents",  # those of them that were the first for theirs: the others are regenerations
)

rollup = Table(
    "ledger_rollup",
    metadata,
    *(Column(name, Text, primary_key=True) for name in DIMENSIONS),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in MEASURES),
    sqlite_with_rowid=False,
)

tag_set = Table(
    "ledger_tags",
    metadata,
    Column("key", Text, primary_key=True),  # `rows.tags_key`: short, so that long tags fit into an index
    Column("tags", Text, nullable=False),
    sqlite_with_rowid=False,
)

# The rollup once more for what has tags. Apart, so that many different tags never slow down reports without them.
tag_rollup = Table(
    "ledger_tag_rollup",
    metadata,
    *(Column(name, Text, primary_key=True) for name in DIMENSIONS),
    Column("tags_key", Text, primary_key=True),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in MEASURES),
    sqlite_with_rowid=False,
)

first_answer = Table(
    "ledger_first_answer",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("intent", Text, primary_key=True),
    Column("attempt_id", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

saving = Table(
    "ledger_saving",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("usd_nano", BigInteger, nullable=False),  # below zero: a premium was paid
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
Index("ledger_saving_day", saving.c.day)
