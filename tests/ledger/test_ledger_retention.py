"""Retention: old details leave for a file whose digest is in the chain; every sum and every proof stays."""

import asyncio
import gzip
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ledger_values import ManualClock, ending, held, image, opened, settlement
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from imagequeue.config.errors import ImageQueueError
from imagequeue.ledger.database import parse_url, writer_engine
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.retention import months_to_archive, write_archive
from imagequeue.producer.main import run
from imagequeue.producer.registry import installed_parts

AUGUST = datetime(2026, 8, 15, tzinfo=UTC)


async def fill(ledger: Ledger, clock: ManualClock) -> None:
    """Write four months, each with an answer that is kept and a refusal; October also has a doubt."""
    for month in ("08", "09", "10", "11"):
        clock.moment = datetime(2026, int(month), 15, tzinfo=UTC)
        hold = await held(ledger, f"{month}-a", tags={"k": "v"}, intent="cover")
        await ledger.settle(hold.attempt_id, settlement(usage={"total_tokens": 7}))
        await ledger.keep(f"{month}-a")
        await ledger.void((await held(ledger, f"{month}-b")).attempt_id, ending(error_message="why"))
        if month == "10":
            await ledger.doubt((await held(ledger, "10-c")).attempt_id, ending())


def command(*arguments: str) -> int:
    """Return the exit code of `imagequeue ledger retain ...`."""
    return run(["ledger", "retain", *arguments], {}, installed_parts())


def test_details_go_to_a_file_and_sums_and_proofs_stay(
    ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEQUEUE_LEDGER_URL", ledger_url)
    monkeypatch.setenv("IMAGEQUEUE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("imagequeue.ledger.ledger.SystemClock", lambda: ManualClock(datetime(2026, 12, 2, tzinfo=UTC)))

    async def before() -> list[object]:
        clock = ManualClock(AUGUST)
        async with opened(ledger_url, clock) as ledger:
            await fill(ledger, clock)
            return await sums(ledger)

    async def sums(ledger: Ledger) -> list[object]:
        groupings = ([], ["model", "day"], ["tag:k"], ["intent"])
        reports = [(await ledger.summary(names)).as_json() for names in groupings]
        return [*reports, *[(await ledger.statement(f"2026-{month}")).as_json() for month in ("08", "09", "10")]]

    kept = asyncio.run(before())
    assert command("--keep-months", "1", "--archive", str(tmp_path / "old"), "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert [(one["month"], one.get("rows"), one.get("stripped_rows")) for one in done] == [
        ("2026-08", 3, 3),
        ("2026-09", 3, 3),
        ("2026-10", None, None),
    ]
    assert "1 attempts are not decided" in done[2]["skipped"]
    path = tmp_path / "old" / "ledger-2026-08.jsonl.gz"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == done[0]["sha256"]
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert [row["table"] for row in rows] == ["ledger_attempt", "ledger_attempt", "ledger_outcome"]
    assert rows[0]["usage"] == '{"total_tokens":7}'
    assert "a fox" in rows[2]["images"]

    async def after() -> None:
        async with opened(ledger_url, ManualClock(datetime(2026, 12, 2, tzinfo=UTC))) as ledger:
            assert await sums(ledger) == kept
            attempts = await ledger.attempts(["08-a", "08-b", "11-a"])
            assert (attempts["08-a"][0].usage, attempts["08-a"][0].usd_nano) == (None, 40_000_000)
            assert (attempts["08-b"][0].error_message, attempts["08-b"][0].error_code) == (None, "rate_limit_exceeded")
            assert attempts["11-a"][0].usage == {"total_tokens": 7}
            outcome = (await ledger.outcomes(["08-a"]))["08-a"]
            assert (outcome.images, outcome.status) == ((), "succeeded")
            memos = await ledger.read(
                lambda connection: (
                    connection.execute(text("SELECT memo FROM ledger_entry WHERE kind = 'archive' ORDER BY debit"))
                    .scalars()
                    .all()
                )
            )
            assert memos[0] == f"3 rows, sha256 {done[0]['sha256']}"

    asyncio.run(after())
    assert command("--keep-months", "1", "--archive", str(tmp_path / "old"), "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert [one.get("stripped_rows") for one in again] == [0, 0, None]


def test_the_database_refuses_to_lose_details_that_are_not_archived_and_costs_ever(ledger_url: str) -> None:
    async def story(*, seal: bool) -> None:
        clock = ManualClock(AUGUST)
        async with opened(ledger_url, clock) as ledger:
            if not seal:
                await fill(ledger, clock)
                return
            from imagequeue.ledger.retention import Archived

            assert await ledger.seal(Archived(month="2026-08", rows=1, sha256="x"))
            assert not await ledger.seal(Archived(month="2026-08", rows=2, sha256="y"))

    def change(statement: str) -> None:
        engine = writer_engine(parse_url(ledger_url))
        with engine.begin() as connection:
            connection.execute(text(statement))
        engine.dispose()

    asyncio.run(story(seal=False))
    strip = "UPDATE ledger_attempt SET usage = NULL WHERE job_id = '08-a'"
    with pytest.raises(DBAPIError, match="resolved once"):
        change(strip)
    asyncio.run(story(seal=True))
    change(strip)
    for column, value in (("usd_nano", 1), ("images", 0), ("tenant", "'x'"), ("tags", "'{}'"), ("state", "'voided'")):
        with pytest.raises(DBAPIError, match="resolved once"):
            change(f"UPDATE ledger_attempt SET {column} = {value} WHERE job_id = '08-a'")  # noqa: S608  # a made-up change
    with pytest.raises(DBAPIError, match="append-only"):
        change("UPDATE ledger_archive SET sha256 = 'z'")


def test_an_archive_is_never_written_over_and_the_present_month_never_archived(ledger_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        clock = ManualClock(AUGUST)
        async with opened(ledger_url, clock) as ledger:
            await fill(ledger, clock)
            months = await ledger.read(lambda connection: months_to_archive(connection, 3, ledger.now()))
            assert months == ()
            months = await ledger.read(lambda connection: months_to_archive(connection, 1, ledger.now()))
            assert [of.month for of in months] == ["2026-08", "2026-09"]
            path = tmp_path / "a.gz"
            await ledger.read(lambda connection: write_archive(connection, "2026-08", path))
            with pytest.raises(ImageQueueError, match="archive"):
                await ledger.read(lambda connection: write_archive(connection, "2026-08", path))
            with pytest.raises(ImageQueueError, match="keep_months"):
                await ledger.read(lambda connection: months_to_archive(connection, 0, ledger.now()))
            assert image().sha256

    asyncio.run(story())
