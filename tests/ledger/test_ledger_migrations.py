"""Every migration with data in the tables: what was there is kept, and the sums that are kept since are right."""

import asyncio
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from ledger_values import ManualClock, opened
from sqlalchemy import Connection, inspect, text

from imagequeue.ledger.database import BUSY_SECONDS_MAX, parse_url, writer_engine
from imagequeue.ledger.entries import Entry, Head, link
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.outbox import OutboxQuery, messages
from imagequeue.ledger.rows import tags_key

DAY, AT = "2026-11-22", 1_795_348_800_000_000
TAGS = '{"project":"p"}'
NANO = 40_000_000
REVISIONS = sorted(
    path.name[:4]
    for path in (files("imagequeue.ledger") / "migrations" / "versions").iterdir()
    if path.name.endswith(".py")
)


def upgrade(connection: Connection, revision: str) -> None:
    """Bring the tables to a revision."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "imagequeue.ledger:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def insert(connection: Connection, table: str, **values: object) -> None:
    """Insert a row, written out as the oldest program did; what it leaves to the table stays there."""
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), values)  # noqa: S608  # our own names


def fill(connection: Connection) -> None:
    """Write what the first program would have left: two answers for one intent, a doubt, a cache hit, a correction."""
    facts = {"org": "main", "model": "m", "tenant": "red", "priority": "high", "day": DAY, "catalog_version": "v"}
    entries: list[Entry] = []
    for n, state, usd, images in ((1, "settled", NANO, 1), (2, "settled", NANO, 1), (3, "in_doubt", None, 0)):
        insert(
            connection, "ledger_attempt", id=n, job_id=f"job{n}", n=1, lease_token="l", tags=TAGS, intent="cover",
            delivery="now", operation="generation", images_requested=1, upper_bound_nano=NANO, credits=0, state=state,
            usd_nano=usd, images=images, held_at_us=AT, **facts,
        )  # fmt: skip
        kinds = (("settle", "spent:main") if usd else ("doubt", "doubt:main"),)
        for kind, debit, credit in (("hold", "held:main", "budget:main"), *((*one, "held:main") for one in kinds)):
            entries.append(
                Entry(
                    kind=kind, debit=debit, credit=credit, amount_nano=NANO, day=DAY, attempt_id=n, catalog_version="v"  # type: ignore[arg-type]  # kinds as written above
                )
            )  # fmt: skip
    entries.append(
        Entry(kind="correction", debit="spent:main", credit="budget:main", amount_nano=7, day=DAY, memo="bill")
    )
    for n, cached, kept in ((1, False, 1), (2, False, 0), (9, True, 0)):
        insert(
            connection, "ledger_outcome", job_id=f"job{n}", status="succeeded", attempt_id=None if cached else n,
            tags=TAGS, intent="cover", delivery="now", usd_nano=0 if cached else NANO, images="[]", cached=cached,
            saved_nano=NANO if cached else 0, retryable=False, kept='["x"]' if kept else None, kept_images=kept,
            finished_at_us=AT, **facts,
        )  # fmt: skip
    links = link(Head(writer_id=1), entries, AT)
    insert(connection, "ledger_writer", id=1, host="h", process_id=1, started_at_us=AT, batches=1,
           head_seq=links[-1].seq, head_hash=links[-1].hash)  # fmt: skip
    for one in links:
        values = {name: getattr(one.entry, name) for name in Entry._fields}
        insert(connection, "ledger_entry", writer_id=1, seq=one.seq, at_us=AT, hash=one.hash, **values)
    for scope, extra in (
        (f"org:{DAY[:7]}:main", 7),
        (f"tenant:{DAY[:7]}:red", 0),
        (f"tenant:{DAY}:red", 0),
        ("tenant:total:red", 0),
    ):
        insert(connection, "ledger_balance", scope=scope, used_nano=3 * NANO + extra)
    insert(
        connection, "ledger_webhook", id=1, job_id="job1", url="https://shop", event="job.succeeded", payload="{}",
        created_at_us=AT, due_at_us=AT, tries=0,
    )  # fmt: skip
    del facts["catalog_version"]
    insert(connection, "ledger_rollup", settled_nano=2 * NANO, in_doubt_nano=NANO, settled=2, in_doubt=1, images=2,
           kept_images=1, cache_hits=1, saved_nano=NANO, **facts)  # fmt: skip
    insert(connection, "ledger_rollup", day=DAY, org="main", model="m", tenant="", priority="", corrected_nano=7)


@pytest.mark.parametrize("by_steps", [False, True])
def test_a_ledger_of_the_first_schema_is_brought_up_to_date_with_all_its_sums(
    empty_url: str, *, by_steps: bool
) -> None:
    engine = writer_engine(parse_url(empty_url))
    with engine.begin() as connection:
        upgrade(connection, "0001")
        fill(connection)
    for revision in REVISIONS[1:] if by_steps else REVISIONS[-1:]:
        with engine.begin() as connection:
            upgrade(connection, revision)
    with engine.begin() as connection:
        answers = connection.execute(text("SELECT tenant, intent, attempt_id FROM ledger_first_answer")).all()
        assert [tuple(row) for row in answers] == [("red", "cover", 1)]
        assert connection.execute(text("SELECT key FROM ledger_tags")).scalars().all() == [tags_key(TAGS)]
        savings = connection.execute(text("SELECT job_id, kind, usd_nano FROM ledger_saving")).all()
        assert [tuple(row) for row in savings] == [("job9", "cache", NANO)]
        assert one_message(connection) == (1, "job1", "https://shop")
        assert connection.execute(text("SELECT count(*) FROM ledger_cap")).scalar() == 0
        indexes = {index["name"]: index["column_names"] for index in inspect(connection).get_indexes("ledger_attempt")}
        assert indexes["ledger_attempt_time"] == ["day", "held_at_us"]
        assert "ledger_attempt_day" not in indexes
    engine.dispose()
    asyncio.run(reported(empty_url))


def one_message(connection: Connection) -> tuple[int, str, str]:
    """Return the message of a job, which an index finds."""
    indexes = {index["name"]: index["column_names"] for index in inspect(connection).get_indexes("ledger_webhook")}
    assert indexes["ledger_webhook_job"] == ["job_id"]
    (message,) = messages(connection, OutboxQuery(job_id="job1"))
    return message.webhook_id, message.job_id, message.url


async def reported(url: str) -> None:
    """Hold the reports against what was written; the books are audited at the end."""
    async with opened(url, ManualClock()) as ledger:
        for group_by in ([], ["tenant"], ["tag:project"], ["intent"], ["model", "tag:project", "intent"]):
            total = (await ledger.summary(group_by)).total
            assert (total.settled_nano, total.in_doubt_nano, total.corrected_nano) == (2 * NANO, NANO, 7)
            assert (total.images, total.kept_images, total.answers, total.intents) == (2, 1, 2, 1)
            assert (total.cache_hits, total.saved_nano, total.saved_cache_nano) == (1, NANO, NANO)
        moment = datetime.fromtimestamp(AT / 1_000_000, UTC)
        for since, until, settled in ((moment, None, 2), (None, moment, 0), (moment, moment + timedelta(hours=1), 2)):
            assert (await ledger.summary(["model"], since, until)).total.settled == settled
        assert await ledger.resolve(3, "billed", reason="bill", by="ann")
        assert await ledger.keep("job2") is True


def test_a_step_that_fails_leaves_the_tables_as_they_were(empty_url: str) -> None:
    """A migration is one transaction on both databases."""
    engine = writer_engine(parse_url(empty_url))
    with engine.begin() as connection:
        upgrade(connection, "0002")
        before = sorted(inspect(connection).get_table_names())
        connection.execute(text("CREATE TABLE ledger_tags (other INTEGER)"))
    with pytest.raises(Exception, match="ledger_tags"), engine.begin() as connection:
        upgrade(connection, REVISIONS[-1])
    with engine.begin() as connection:
        after = sorted(inspect(connection).get_table_names())
        assert after == sorted([*before, "ledger_tags"])
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0002"
    engine.dispose()


def test_a_ledger_that_is_up_to_date_is_read_while_another_holds_its_lock(
    sqlite_template: Path, tmp_path: Path
) -> None:
    """Who only looks is not kept waiting by whoever writes, or by a database that stays locked."""
    path = shutil.copy(sqlite_template, tmp_path / "ledger.db")

    async def look() -> int:
        ledger = await Ledger.open(f"sqlite:///{path}")
        try:
            return (await ledger.summary()).total.settled
        finally:
            await ledger.aclose()

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert asyncio.run(look()) == 0
        assert time.monotonic() - began < BUSY_SECONDS_MAX / 2
