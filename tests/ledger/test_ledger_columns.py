"""Rows that go to PostgreSQL as one array for each column come out of it as they went in."""

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.ledger.columns import columns, takes_columns, unnested

KINDS = {"number": "BIGINT", "word": "TEXT", "truth": "BOOLEAN"}
TEXT = unnested(KINDS)
WORDS = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=12)
ODD_WORDS = st.sampled_from(
    ["", "NULL", "null", '"', "\\", '\\"', '","', "{}", "{a,b}", " a ", "\n", "\t", "%(x)s", "é", '"a"']
)
ROW = st.fixed_dictionaries(
    {
        "number": st.none() | st.integers(-(2**63), 2**63 - 1),
        "word": st.none() | ODD_WORDS | WORDS,
        "truth": st.none() | st.booleans(),
    }
)


@pytest.fixture(scope="module")
def connection(postgresql_server: str) -> Iterator[psycopg.Connection]:
    """Yield a connection to the server of the session."""
    with psycopg.connect(postgresql_server, autocommit=True) as found:
        yield found


@given(rows=st.lists(ROW, min_size=1, max_size=6))
def test_rows_of_columns_are_the_rows(connection: psycopg.Connection, rows: list[dict[str, object]]) -> None:
    found = connection.execute(TEXT, columns(TEXT, rows)).fetchall()  # type: ignore[call-overload]  # a text made of parts
    assert found == [tuple(row[name] for name in KINDS) for row in rows]


@given(words=st.lists(ODD_WORDS | WORDS, min_size=1, max_size=4), number=st.integers(-5, 5))
def test_columns_of_one_type_are_the_rows(connection: psycopg.Connection, words: list[str], number: int) -> None:
    """Numbers alone and texts alone are written without a look at each value."""
    rows = [{"number": number + at, "word": word, "truth": True} for at, word in enumerate(words)]
    found = connection.execute(TEXT, columns(TEXT, rows)).fetchall()  # type: ignore[call-overload]  # as above
    assert found == [tuple(row[name] for name in KINDS) for row in rows]


def test_only_such_a_statement_takes_columns() -> None:
    assert takes_columns(TEXT)
    assert not takes_columns("INSERT INTO t (a) VALUES (%(a)s)")
