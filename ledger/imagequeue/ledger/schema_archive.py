"""The table of archives: months whose details left the ledger, and the digest of the file that they went to."""

from sqlalchemy import BigInteger, Column, Table, Text

from imagequeue.ledger.schema import metadata

archive = Table(
    "ledger_archive",
    metadata,
    Column("month", Text, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),  # of the file's bytes; the entry in the chain says the same
    Column("at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
