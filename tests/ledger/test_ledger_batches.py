"""Batches and days of reconciliation in the ledger: each is one worker's at a time, on both databases."""

import asyncio
from datetime import timedelta

from ledger_values import NOON, ManualClock, ending, held, opened, request, settlement

from imagequeue.ledger import batches
from imagequeue.ledger.api import AlreadyDone, Held
from imagequeue.ledger.batch_records import items_after, items_by_attempt, unfinished, waiting_groups
from imagequeue.ledger.bill import Bill, BilledModel
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.provider_state import provider_state
from imagequeue.ledger.reconciliations import active_days, claim_day, note_done, note_failed, states
from imagequeue.ledger.reconciling import DayReport
from imagequeue.ledger.schedule import end_of

DAY = "2026-11-22"


async def formed(ledger: Ledger, ref: str, *, most: int = 100, age_seconds: float = 0.0) -> bool:
    """Form a batch of those that wait."""
    (group,) = await ledger.read(waiting_groups)
    before = NOON - timedelta(seconds=age_seconds)
    return await batches.form(ledger, group, ref=ref, formed_before=before, most=most, full=1_000)


def test_an_attempt_that_waits_for_a_batch_is_found_again_and_not_doubted(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            first = await held(ledger, "a", delivery="batch")
            again = await ledger.hold(request("a", delivery="batch", lease_token="other-2"))
            assert (first.delivery, again) == ("batch", Held(attempt_id=first.attempt_id, n=1, delivery="batch"))
            assert (await ledger.in_doubt()) == ()
            await ledger.settle(first.attempt_id, settlement())
            assert isinstance(await ledger.hold(request("a", delivery="batch")), AlreadyDone)

    asyncio.run(story())


def test_a_batch_takes_the_oldest_once_they_have_waited_long_enough(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            ids = []
            for name in "abc":
                ids.append((await held(ledger, name, delivery="batch")).attempt_id)
                clock.forward(seconds=1)
            (group,) = await ledger.read(waiting_groups)
            assert (group.org, group.model, group.items, group.oldest_at) == ("main", "dall-e-3", 3, NOON)
            assert not await formed(ledger, "early", age_seconds=1)
            assert await formed(ledger, "one", most=2)
            found = await ledger.read(lambda connection: items_after(connection, "one", 0))
            assert [item.attempt_id for item in found] == ids[:2]
            await batches.leave_out(ledger, ids[:1], again=True)
            await batches.leave_out(ledger, ids[1:2], again=False)
            (group,) = await ledger.read(waiting_groups)
            assert group.items == 2
            assert await ledger.read(lambda connection: items_by_attempt(connection, "one", ids)) == {}

    asyncio.run(story())


def test_a_batch_is_one_worker_s_until_it_is_silent_for_its_lease(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            await held(ledger, "a", delivery="batch")
            assert await formed(ledger, "one")
            mine = await batches.claim(ledger, "w1", 30)
            assert mine is not None
            assert (mine.ref, mine.state, mine.items) == ("one", "formed", 1)
            assert await batches.claim(ledger, "w2", 30) is None
            assert await batches.advance(ledger, "one", "w1", "uploaded", file_id="file-1", items=1)
            assert not await batches.advance(ledger, "one", "w2", "open", batch_id="batch-2")
            clock.forward(seconds=29)
            assert await batches.renew(ledger, "one", "w1", 30)
            clock.forward(seconds=29)
            assert await batches.claim(ledger, "w2", 30) is None
            clock.forward(seconds=2)
            theirs = await batches.claim(ledger, "w2", 30)
            assert theirs is not None
            assert (theirs.state, theirs.file_id, theirs.create_tried_at) == ("uploaded", "file-1", None)
            assert not await batches.note_create(ledger, "one", "w1")
            assert await batches.note_create(ledger, "one", "w2")
            assert not await batches.renew(ledger, "one", "w1", 30)
            due = clock.now() + timedelta(seconds=10)
            assert await batches.put_back(ledger, "one", "w2", due, failure="no answer")
            assert await batches.claim(ledger, "w1", 30) is None
            clock.forward(seconds=10)
            again = await batches.claim(ledger, "w1", 30)
            assert again is not None
            assert (again.failures, again.note, again.create_tried_at is None) == (1, "no answer", False)
            assert await batches.advance(ledger, "one", "w1", "closed")
            assert await ledger.read(unfinished) == ()
            assert await batches.claim(ledger, "w1", 30) is None

    asyncio.run(story())


def test_a_day_is_one_worker_s_and_its_state_is_kept(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            doubt = await held(ledger)
            await ledger.doubt(doubt.attempt_id, ending())
            assert await ledger.read(lambda connection: active_days(connection, "main", DAY)) == [DAY]
            clock.moment = end_of(DAY) + timedelta(hours=7)
            claims = await asyncio.gather(*(claim_day(ledger, "main", DAY, 60) for _ in range(5)))
            assert claims.count(True) == 1
            await note_failed(ledger, "main", DAY, "503")
            assert not await claim_day(ledger, "main", DAY, 60)
            clock.forward(seconds=301)
            assert await claim_day(ledger, "main", DAY, 60)
            bill = Bill(models={"dall-e-3": BilledModel(usd_nano=5)})
            found = await ledger.reconcile("main", DAY, bill)
            await note_done(ledger, DayReport(org="main", day=DAY, found=found))
            (state,) = await ledger.read(lambda connection: states(connection, "main", DAY))
            assert (state.failures, state.unexplained_nano, state.in_doubt, state.is_open) == (0, 5, 1, True)
            assert state.next_at == end_of(DAY) + timedelta(hours=30)
            seen = await ledger.read(lambda connection: provider_state(connection, ["main", "other"], clock.now()))
            assert [org.last and org.last.day for org in seen.orgs] == [DAY, None]
            assert (seen.in_doubt, seen.in_doubt_nano, seen.doubt_oldest) == (1, 40_000_000, NOON)

    asyncio.run(story())
