"""What a job's rows cost with nothing around them: plain sqlite3, the ledger's own tables, groups of the same size.

No decisions, no caps, no chain, no threads: the least that any ledger on these tables costs on this machine.
"""

import sqlite3
import time
from typing import Final
from uuid import uuid4

NOTED: Final = {
    "org": "main", "model": "dall-e-3", "tenant": "default", "priority": "default", "tags": "{}", "delivery": "now",
    "catalog_version": "benchmark", "day": "2026-11-22",
}  # fmt: skip
ENTRY: Final = {
    "attempt_id": 1, "kind": "hold", "debit": "held:main", "credit": "budget:main", "amount_nano": 40_000_000,
    "day": "2026-11-22", "at_us": 1, "catalog_version": "benchmark", "memo": "",
}  # fmt: skip
RESOLVE: Final = (
    "UPDATE ledger_attempt SET state = 'settled', usd_nano = 40000000, images = 1, request_id = ?, status_code = 200,"
    " sent_at_us = 1, ended_at_us = 2, resolved_at_us = 3 WHERE id = ? AND state = 'held'"
)


def bare_cpu_ms(path: str, rate: float, seconds: float, commits_per_second: float) -> float:
    """Return the thread's CPU milliseconds for the rows of one job: attempt, its end, outcome, two entries, image."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")
    groups, size, used = int(seconds * commits_per_second), round(rate / commits_per_second), 0.0
    connection.execute("INSERT INTO ledger_writer (host, process_id, started_at_us) VALUES ('bare', 1, 1)")
    for group in range(groups):
        began = time.thread_time()
        _commit(connection, range(group * size + 1, (group + 1) * size + 1))
        used += time.thread_time() - began
        time.sleep(1 / commits_per_second)
    connection.close()
    return used / (groups * size) * 1000


def _commit(connection: sqlite3.Connection, numbers: range) -> None:
    connection.execute("BEGIN IMMEDIATE")
    jobs = [uuid4().hex for _ in numbers]
    _insert(connection, "ledger_attempt", [
        NOTED | {"id": n, "job_id": job, "n": 1, "lease_token": "lease", "operation": "generation", "images": 0,
                 "images_requested": 1, "upper_bound_nano": 40_000_000, "credits": 0, "state": "held", "held_at_us": n}
        for n, job in zip(numbers, jobs, strict=True)
    ])  # fmt: skip
    connection.executemany(RESOLVE, [(job, n) for n, job in zip(numbers, jobs, strict=True)])
    _insert(connection, "ledger_outcome", [
        NOTED | {"job_id": job, "status": "succeeded", "attempt_id": n, "usd_nano": 40_000_000, "cached": 0,
                 "images": "x" * 190, "saved_nano": 0, "retryable": 0, "kept_images": 0, "finished_at_us": n}
        for n, job in zip(numbers, jobs, strict=True)
    ])  # fmt: skip
    entries = [ENTRY | {"writer_id": 1, "seq": 2 * n + half, "hash": "h" * 64} for n in numbers for half in (0, 1)]
    _insert(connection, "ledger_entry", entries)
    _insert(connection, "ledger_image", [
        {"sha256": job * 2, "tenant": "default", "bytes": 1, "width": 1, "height": 1, "format": "png", "first_at_us": 1}
        for job in jobs
    ])  # fmt: skip
    connection.execute("COMMIT")


def _insert(connection: sqlite3.Connection, table: str, rows: list[dict[str, object]]) -> None:
    names = ", ".join(rows[0])
    marks = ", ".join("?" * len(rows[0]))
    text = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608  # our own names
    connection.executemany(text, [tuple(row.values()) for row in rows])
