"""Savings: recorded once for each job and kind, each kind an amount of its own, and the sum beside what was spent."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from ledger_values import ManualClock, held, image, opened, settlement

from imagequeue.config.errors import NotFound
from imagequeue.ledger.api import CacheHit, JobFacts, Saving
from imagequeue.ledger.summary import Figures, Summary
from imagequeue.producer.commands.ledger_view import print_summary

FACTS = JobFacts(model="dall-e-3", org="main", tenant="red", tags={"project": "p"}, intent="cover")


def test_each_kind_is_an_amount_of_its_own_and_is_recorded_once(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await held(ledger, "job", tenant="red")
            batch = (Saving(kind="batch", usd_nano=20_000_000),)
            assert await ledger.settle(hold.attempt_id, settlement(20_000_000, savings=batch))
            assert not await ledger.record_saving("job", "batch", 99)
            assert await ledger.record_saving("job", "overflow", -5_000_000)
            assert not await ledger.record_saving("job", "overflow", -5_000_000)
            assert await ledger.record_saving("twin", "coalesced", 40_000_000, facts=FACTS)
            hit = CacheHit(images=(image(),), saved_nano=40_000_000)
            assert await ledger.record_outcome("hit", hit, FACTS)
            assert not await ledger.record_saving("hit", "cache", 40_000_000)
            for report in (await ledger.summary(), await ledger.summary(["tag:project"])):
                shown = report.as_json()
                assert shown["savings"] == {
                    "cache": "0.040000000",
                    "coalesced": "0.040000000",
                    "batch": "0.020000000",
                    "overflow": "-0.005000000",
                }
                assert (shown["saved_usd"], shown["cache_hits"], shown["coalesced"]) == ("0.095000000", 1, 1)
            by_tenant = (await ledger.summary(["tenant"])).groups
            assert {group.key["tenant"]: group.figures.saved_nano for group in by_tenant} == {"red": 95_000_000}

    asyncio.run(story())


def test_a_joined_job_counts_as_coalesced_and_not_as_a_cache_hit(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            joined = CacheHit(images=(image(),), saved_nano=7, kind="coalesced")
            assert await ledger.record_outcome("twin", joined, FACTS)
            total = (await ledger.summary()).total
            assert (total.cache_hits, total.coalesced, total.saved_coalesced_nano) == (0, 1, 7)

    asyncio.run(story())


def test_two_processes_that_record_one_saving_record_it_once(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as one, opened(ledger_url) as other:
            asked = [
                ledger.record_saving(f"job{n}", "cache", 3, facts=FACTS) for n in range(20) for ledger in (one, other)
            ]
            assert sum(await asyncio.gather(*asked)) == 20
            assert (await one.summary()).total.saved_nano == 60

    asyncio.run(story())


def test_a_saving_needs_a_job_that_is_known_and_the_sign_of_its_kind(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            with pytest.raises(NotFound, match="nobody"):
                await ledger.record_saving("nobody", "batch", 1)
            with pytest.raises(ValueError, match="usd_nano"):
                await ledger.record_saving("job", "cache", -1, facts=FACTS)
            with pytest.raises(ValueError, match="usd_nano"):
                await ledger.record_saving("job", "overflow", -(10**30), facts=FACTS)

    asyncio.run(story())


def test_a_saving_counts_on_the_day_that_it_was_recorded(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            await ledger.record_saving("a", "cache", 1, facts=FACTS)
            clock.forward(days=1)
            await ledger.record_saving("b", "cache", 2, facts=FACTS)
            midnight = datetime(2026, 11, 23, tzinfo=UTC)
            for group_by in ([], ["tag:project"]):
                assert (await ledger.summary(group_by, until=midnight)).total.saved_nano == 1
                assert (await ledger.summary(group_by, since=midnight)).total.saved_nano == 2

    asyncio.run(story())


def test_what_a_call_saved_stands_on_the_day_of_its_cost(ledger_url: str) -> None:
    """A batch that is held before midnight and answered after it, in a month's statement as in parts of a day."""

    async def story() -> None:
        clock = ManualClock(moment=datetime(2026, 11, 30, 23, 50, tzinfo=UTC))
        midnight = datetime(2026, 12, 1, tzinfo=UTC)
        async with opened(ledger_url, clock) as ledger:
            one = await held(ledger, delivery="batch")
            clock.moment = midnight + timedelta(hours=5)
            saved = (Saving(kind="batch", usd_nano=20),)
            assert await ledger.settle(one.attempt_id, settlement(20, savings=saved))
            for until in (midnight, midnight - timedelta(minutes=5)):
                before = (await ledger.summary(until=until)).total
                assert (before.settled_nano, before.saved_nano) == (20, 20)
            assert (await ledger.summary(since=midnight)).total.saved_nano == 0
            assert (await ledger.audit()).breach is None

    asyncio.run(story())


def test_the_table_says_what_each_kind_saved_and_how_often_intents_were_tried_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = Figures(
        saved_nano=55_000_000,
        saved_cache_nano=40_000_000,
        saved_batch_nano=20_000_000,
        saved_overflow_nano=-5_000_000,
        answers=5,
        intents=2,
    )
    print_summary(Summary(total=figures, groups=()), [])
    table, told = capsys.readouterr().out.rsplit("\n", 2)[:2]
    assert told == "saved: cache $0.04, batch $0.02, overflow -$0.005"
    assert table.split()[-3:] == ["2", "3", "1.5"]
    print_summary(Summary(total=Figures(), groups=()), [])
    shown = capsys.readouterr().out
    assert "regenerations" not in shown
    assert "saved:" not in shown
