"""How the calls of the last minutes went: what counts as failed, the percentiles, and that old calls do not count."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from imagequeue.ledger.api import Ending, Held, HoldRequest, Settlement
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.recent_calls import figures, recent_calls

NOW = datetime.now(UTC)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40))
def test_percentiles_are_calls_that_were_made_and_stand_in_order(seconds: list[int]) -> None:
    found = figures([("settled", 200, 0, took * 1_000_000) for took in seconds])
    assert found.p50_s is not None
    assert found.p95_s is not None
    assert {found.p50_s, found.p95_s} <= set(map(float, seconds))
    assert sum(took <= found.p50_s for took in seconds) >= len(seconds) / 2
    assert sum(took <= found.p95_s for took in seconds) >= 0.95 * len(seconds)
    assert sum(took < found.p50_s for took in seconds) < len(seconds) / 2


def test_a_refusal_for_the_rate_is_no_failure() -> None:
    rows = [("settled", 200, 0, 1), ("voided", 429, 0, 1), ("voided", 400, 0, 1), ("in_doubt", None, 0, 1)]
    found = figures(rows)
    assert (found.calls, found.answered, found.refused, found.failed) == (4, 1, 1, 2)
    assert found.as_json()["error_rate"] == round(2 / 3, 6)


def test_without_calls_there_are_no_figures() -> None:
    found = figures([])
    assert (found.calls, found.error_rate, found.p50_s, found.p95_s) == (0, None, None, None)


def test_calls_of_all_processes_count_and_old_ones_do_not(tmp_path: Path) -> None:
    async def play() -> None:
        url = f"sqlite:///{tmp_path}/ledger.sqlite3"
        first, second = await Ledger.open(url), await Ledger.open(url)
        try:
            await _settled(first, "a", took=2, ended=NOW)
            await _settled(second, "b", took=4, ended=NOW)
            await _settled(second, "old", took=90, ended=NOW - timedelta(hours=1))
            held = await _held(first, "c")
            ending = Ending(sent_at=NOW, ended_at=NOW, status_code=500, error_code="server_error")
            await first.void(held.attempt_id, ending)
            await _held(first, "open")
            found = await first.read(lambda connection: recent_calls(connection, NOW - timedelta(minutes=10)))
            assert (found.calls, found.answered, found.failed) == (3, 2, 1)
            assert (found.p50_s, found.p95_s) == (2.0, 4.0)
        finally:
            await first.aclose()
            await second.aclose()

    asyncio.run(play())


async def _held(ledger: Ledger, job_id: str) -> Held:
    request = HoldRequest(
        job_id=job_id, lease_token=f"w-{job_id}", org="main", model="dall-e-3", tenant="default", priority="default",
        operation="generation", images=1, upper_bound_nano=40_000_000, catalog_version="test",
    )  # fmt: skip
    held = await ledger.hold(request)
    assert isinstance(held, Held)
    return held


async def _settled(ledger: Ledger, job_id: str, *, took: float, ended: datetime) -> None:
    held = await _held(ledger, job_id)
    sent = ended - timedelta(seconds=took)
    await ledger.settle(
        held.attempt_id, Settlement(usd_nano=1, images=(), sent_at=sent, ended_at=ended, status_code=200)
    )
