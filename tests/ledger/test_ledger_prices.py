"""A new price counts from its date on, also in the middle of a busy day: no attempt is priced by two lists."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from ledger_values import ManualClock, held, opened, settlement
from sqlalchemy import text

from imagequeue.ledger.ledger import Ledger

MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)
JOBS, IN_FLIGHT = 60, 12


async def jobs(ledger: Ledger, clock: ManualClock, price_nano: Any) -> None:
    """Run jobs side by side; in the middle of them, between holds and answers, midnight passes."""
    ready, turned = asyncio.Semaphore(IN_FLIGHT), asyncio.Event()

    async def job(n: int) -> None:
        async with ready:
            if n == JOBS // 2:
                clock.moment = MIDNIGHT
                turned.set()
            bound = price_nano(clock.moment)
            version = "new" if clock.moment >= MIDNIGHT else "old"
            hold = await held(ledger, f"job{n}", upper_bound_nano=bound, catalog_version=version)
            if version == "old" and n >= JOBS // 2 - IN_FLIGHT // 2:
                await turned.wait()
            await ledger.settle(hold.attempt_id, settlement(bound))

    await asyncio.gather(*(job(n) for n in range(JOBS)))


def test_attempts_under_way_keep_their_price_when_a_new_one_begins(ledger_url: str) -> None:
    def price_nano(moment: datetime) -> int:
        return 30_000_000 if moment >= MIDNIGHT else 40_000_000

    async def story() -> None:
        clock = ManualClock(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC))
        async with opened(ledger_url, clock) as ledger:
            await jobs(ledger, clock, price_nano)
            query = text("SELECT catalog_version, usd_nano, count(*) FROM ledger_attempt GROUP BY 1, 2 ORDER BY 1")
            found = await ledger.read(lambda connection: [tuple(row) for row in connection.execute(query)])
            assert [row[:2] for row in found] == [("new", 30_000_000), ("old", 40_000_000)]
            assert sum(row[2] for row in found) == JOBS
            before = (await ledger.summary(until=MIDNIGHT)).total
            assert before.settled_nano == 40_000_000 * before.settled
            assert (await ledger.summary()).total.settled_nano == sum(usd * count for _, usd, count in found)

    asyncio.run(story())
