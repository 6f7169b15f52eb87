"""Databases of a test's own on the PostgreSQL server of the session."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg


def execute(server: str, statement: str) -> None:
    """Run one statement outside any transaction."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement.encode())


def of_database(server: str, name: str) -> str:
    """Return the URL of another database of the server."""
    return server.replace("/postgres?", f"/{name}?")


def database(server: str, template: str) -> Iterator[str]:
    """Yield the URL of a new database, made from ` TEMPLATE name` or empty, and drop it at the end."""
    name = f"ledger_{uuid4().hex}"
    execute(server, f"CREATE DATABASE {name}{template}")
    yield of_database(server, name)
    execute(server, f"DROP DATABASE {name} WITH (FORCE)")
