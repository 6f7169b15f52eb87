"""Where Alembic meets the ledger: one open connection, handed over by `imagequeue.ledger.migrate`."""

from alembic import context
from sqlalchemy import Connection

from imagequeue.ledger.schema_provider import batch  # with it, every table is known


def run() -> None:
    """Migrate on the connection of `imagequeue.ledger.migrate`, inside its transaction."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=batch.metadata, transactional_ddl=False)
    context.run_migrations()


run()
