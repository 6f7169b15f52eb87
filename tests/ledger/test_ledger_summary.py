"""Reports: the same figures however they are grouped, and the cost of an image."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from ledger_values import NOON, ManualClock, ending, held, image, opened, settlement

from imagequeue.config.errors import JobRefused
from imagequeue.ledger.api import CacheHit, JobFacts
from imagequeue.ledger.export import export_attempts, export_entries
from imagequeue.ledger.ledger import Ledger


async def fill(ledger: Ledger, clock: ManualClock) -> None:
    """Two days, two models, tags and intents."""
    for day in range(2):
        for n in range(4):
            hold = await held(
                ledger,
                f"job-{day}-{n}",
                model=("dall-e-3", "gpt-image-2")[n % 2],
                tenant=("red", "blue")[n // 2],
                tags={"project": f"p{n % 2}", 'odd "key"': "x"} if n else {},
                intent=("cover", None)[n % 2],
            )
            if n == 3:
                await ledger.void(hold.attempt_id, ending())
            else:
                await ledger.settle(hold.attempt_id, settlement(10_000_000 * (n + 1)))
        clock.forward(days=1)
    await ledger.record_outcome(
        "hit", CacheHit(images=(image(),), saved_nano=7), JobFacts(model="dall-e-3", org="main")
    )
    await ledger.keep("job-0-0")


def test_groups_sum_to_the_total_in_every_grouping(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            await fill(ledger, clock)
            total = (await ledger.summary()).total
            assert total.settled_nano == 120_000_000
            assert (total.images, total.kept_images, total.cache_hits, total.saved_nano) == (6, 1, 1, 7)
            for names in (["model"], ["day", "org"], ["tenant", "priority"], ["tag:project"], ["intent", "model"]):
                report = await ledger.summary(names)
                assert report.total == total
                assert sum(group.figures.settled_nano for group in report.groups) == 120_000_000
                assert sum(group.figures.cache_hits for group in report.groups) == 1

    asyncio.run(story())


def test_a_tenants_summary_is_its_part_of_everybodys(ledger_url: str) -> None:
    """In every grouping, over whole days and parts of days; what is nobody's is not its own."""

    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            await fill(ledger, clock)
            for since in (None, NOON - timedelta(hours=1), NOON + timedelta(hours=1)):
                for names in ([], ["model"], ["day", "priority"], ["tag:project"], ["intent"]):
                    mine = await ledger.summary(names, since, tenant="blue")
                    every = await ledger.summary([*names, "tenant"], since)
                    part = {
                        tuple(group.key[name] for name in names): group.figures
                        for group in every.groups
                        if group.key["tenant"] == "blue"
                    }
                    found = {tuple(group.key.values()): group.figures for group in mine.groups}
                    assert found == (part if names else {})
                    assert mine.total.settled_nano == sum(figures.settled_nano for figures in part.values())
            assert (await ledger.summary(["intent"], tenant="nobody")).groups == ()

    asyncio.run(story())


def test_of_too_many_intents_the_dearest_are_told_apart_and_the_others_are_one_line(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagequeue.ledger.intent_choice.INTENTS_MAX", 3)
    monkeypatch.setattr("imagequeue.ledger.intent_choice.DEAREST", 2)

    async def story() -> None:
        async with opened(ledger_url) as ledger:
            for n, usd_nano in enumerate((3_000, 9_000, 1_000, 7_000, 5_000)):
                hold = await held(ledger, intent=f"intent-{n}", tenant="red" if n < 4 else "blue")
                await ledger.settle(hold.attempt_id, settlement(usd_nano))
            await ledger.settle((await held(ledger)).attempt_id, settlement(100))
            for since in (None, NOON - timedelta(hours=36)):
                found = await ledger.summary(["intent"], since)
                amounts = {group.key["intent"]: group.figures.settled_nano for group in found.groups}
                assert amounts == {None: 9_100, "intent-1": 9_000, "intent-3": 7_000}
                assert (found.intents_left_out, found.total.settled_nano) == (3, 25_100)
                assert found.as_json()["intents_left_out"] == 3
                by_tenant = await ledger.summary(["tenant", "intent"], since)
                assert by_tenant.total == found.total
            mine = await ledger.summary(["intent"], tenant="blue")
            assert [group.key["intent"] for group in mine.groups] == ["intent-4"]
            assert "intents_left_out" not in mine.as_json()

    asyncio.run(story())


def test_tags_and_intents_are_told_apart_and_regenerations_counted(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            await fill(ledger, clock)
            by_tag = (await ledger.summary(["tag:project"])).groups
            assert {group.key["tag:project"]: group.figures.settled_nano for group in by_tag} == {
                None: 20_000_000,
                "p0": 60_000_000,
                "p1": 40_000_000,
            }
            odd = (await ledger.summary(['tag:odd "key"'])).groups
            assert {group.key['tag:odd "key"'] for group in odd} == {None, "x"}
            intents = (await ledger.summary(["intent"])).groups
            cover = next(group.figures for group in intents if group.key["intent"] == "cover").as_json()
            assert (cover["intents"], cover["regenerations"], cover["regenerations_per_intent"]) == (2, 2, 1.0)

    asyncio.run(story())


def test_a_period_holds_from_its_start_and_before_its_end(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            await fill(ledger, clock)
            midnight = datetime(2026, 11, 23, tzinfo=UTC)
            first, second = (await ledger.summary(until=midnight)).total, (await ledger.summary(since=midnight)).total
            assert (first.settled_nano, second.settled_nano) == (60_000_000, 60_000_000)
            assert (await ledger.summary(since=NOON, until=NOON + timedelta(seconds=1))).total.settled == 3
            assert (await ledger.summary(since=NOON + timedelta(seconds=1))).total.settled == 3
            assert (await ledger.summary(since=NOON + timedelta(days=9))).total.settled == 0

    asyncio.run(story())


def test_the_report_has_the_promised_shape_and_rounds_half_up(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            hold = await held(ledger, "job", images=3)
            images = tuple(image(f"{n:064x}") for n in range(3))
            await ledger.settle(hold.attempt_id, settlement(20_000_000, images=images))
            await ledger.keep("job", [images[0].sha256, images[1].sha256])
            report = (await ledger.summary(["model"])).as_json()
            assert report["settled_usd"] == "0.020000000"
            assert (report["usd_per_image"], report["usd_per_kept_image"]) == ("0.006666667", "0.010000000")
            assert report["attempts"] == {"settled": 1, "voided": 0, "in_doubt": 0, "held": 0, "reconciled": 0}
            groups = report["groups"]
            assert isinstance(groups, list)
            assert groups[0]["model"] == "dall-e-3"
            assert (await ledger.summary()).as_json()["groups"] == []

    asyncio.run(story())


def test_a_grouping_that_does_not_exist_is_named(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            for wrong in ("colour", "tag:", "prompt"):
                with pytest.raises(JobRefused, match="group_by"):
                    await ledger.summary([wrong])
            with pytest.raises(JobRefused, match="at most"):
                await ledger.summary(["model"] * 9)

    asyncio.run(story())


def test_an_export_has_every_row_with_dollars_and_moments_to_read(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with opened(ledger_url, clock) as ledger:
            await fill(ledger, clock)
            attempts = await ledger.read(lambda connection: list(export_attempts(connection)))
            assert len(attempts) == 8
            assert attempts[0]["usd"] == "0.010000000"
            assert attempts[0]["upper_bound_usd"] == "0.040000000"
            assert attempts[0]["held_at"] == "2026-11-22T12:00:00.000000Z"
            later = datetime(2026, 11, 23, tzinfo=UTC)
            assert len(await ledger.read(lambda connection: list(export_attempts(connection, since=later)))) == 4
            entries = await ledger.read(lambda connection: list(export_entries(connection)))
            assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
            assert {entry["kind"] for entry in entries} == {"hold", "settle", "release", "void"}

    asyncio.run(story())
