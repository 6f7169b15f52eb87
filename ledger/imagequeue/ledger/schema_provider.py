"""Tables of what goes on between the ledger and the provider: reconciliation day by day, and batches.

Types and units are those of `schema`.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text

from imagequeue.ledger.schema import KEY, metadata

reconciliation = Table(
    "ledger_reconciliation",
    metadata,
    Column("org", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("claimed_until_us", BigInteger, nullable=False),
    Column("next_at_us", BigInteger),  # none: never again
    Column("checked_at_us", BigInteger),  # of the last look that had an answer
    Column("failures", Integer, nullable=False),  # in a row, since the last look that had an answer
    Column("billed_nano", BigInteger),
    Column("unexplained_nano", BigInteger),
    Column("in_doubt", Integer),
    Column("note", Text, nullable=False),
    sqlite_with_rowid=False,
)

batch = Table(
    "ledger_batch",
    metadata,
    Column("ref", Text, primary_key=True),  # our own name of it, which goes along to the provider
    Column("org", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("items", Integer, nullable=False),
    Column("file_id", Text),
    Column("batch_id", Text),
    Column("created_at_us", BigInteger, nullable=False),
    Column("create_tried_at_us", BigInteger),  # from then on the provider may have it
    Column("due_at_us", BigInteger, nullable=False),
    Column("ended_at_us", BigInteger),
    Column("claimed_by", Text),
    Column("claimed_until_us", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("note", Text, nullable=False),
)
UNFINISHED = text("state <> 'closed'")
Index("ledger_batch_open", batch.c.due_at_us, sqlite_where=UNFINISHED, postgresql_where=UNFINISHED)

batch_item = Table(
    "ledger_batch_item",
    metadata,
    Column("attempt_id", KEY, primary_key=True, autoincrement=False),
    Column("job_id", Text, nullable=False),
    Column("org", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("added_at_us", BigInteger, nullable=False),
    Column("batch_ref", Text),
    Column("done_at_us", BigInteger),
)
WAITING = text("batch_ref IS NULL AND done_at_us IS NULL")
Index(
    "ledger_batch_item_waiting",
    batch_item.c.org,
    batch_item.c.model,
    batch_item.c.added_at_us,
    sqlite_where=WAITING,
    postgresql_where=WAITING,
)
Index("ledger_batch_item_of", batch_item.c.batch_ref)
Index("ledger_batch_item_job", batch_item.c.job_id)
