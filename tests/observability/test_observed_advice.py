"""Advice: what is said follows from the facts, no sooner and no later; and it is read from a real installation."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from observed_site import Site, on_site, settings_of

from imagequeue.config.catalog import load_catalog
from imagequeue.config.settings import load_settings
from imagequeue.producer.advice.advise import URGENCY, advise
from imagequeue.producer.advice.ceilings import DAYS_RUNNING, USED_SHARE, daily_peaks, days_running
from imagequeue.producer.advice.facts import (
    Facts,
    ModelFacts,
    NextTier,
    PoolFacts,
    PriceFacts,
    RegenerationFacts,
    SpendFacts,
)
from imagequeue.producer.advice.gathering import next_tier, standard_price
from imagequeue.queue.hours import HOURS_KEPT, Reading, UsedHour, hour_of, note_hour, read_hours, used_hours
from imagequeue.simulator.process import RunningSimulator

TODAY = 20_000
NANO = 1_000_000_000
TIER = NextTier(
    label="Tier 4",
    qualification="$250 paid",
    images_per_minute=7500.0,
    tokens_per_minute=None,
    monthly_limit_nano=5000 * NANO,
)


def hour(day: int, at: int, share: float) -> UsedHour:
    return UsedHour(hour=day * 24 + at, images=int(share * 1000), of_images=share, of_tokens=None)


def pool(*hours: UsedHour) -> PoolFacts:
    return PoolFacts(
        name="main|dall-e-3",
        org="main",
        hours=hours,
        images_per_minute=5000.0,
        next_tier=TIER,
        others=("gpt-image-2",),
        batchable=True,
    )


def busy(days: int, share: float = 0.9) -> PoolFacts:
    """Return a pool with one busy hour on each of the last days."""
    return pool(*(hour(TODAY - 1 - ago, 10, share) for ago in range(days)))


def test_seven_busy_days_are_told_with_what_would_help_in_this_installations_figures() -> None:
    (finding,) = advise(Facts(today=TODAY, pools=(busy(7),), hit_ratio=0.1))
    assert (finding.code, finding.severity, finding.subject) == ("ceiling_used", "warning", "main|dall-e-3")
    assert finding.figures["peak_share"] == 0.9
    options = {option.code: option for option in finding.options}
    assert list(options) == ["next_tier", "second_organization", "overflow", "cache", "batch"]
    assert options["next_tier"].figures["peak_share"] == 0.6  # 5,000 of 7,500
    assert "$250 paid" in options["next_tier"].text
    assert "7,500 images a minute" in options["next_tier"].text
    assert options["second_organization"].figures["peak_share"] == 0.45
    assert options["cache"].figures["needed_ratio"] == pytest.approx(0.1111, abs=1e-4)
    assert "gpt-image-2" in options["overflow"].text


@given(
    st.dictionaries(st.tuples(st.integers(1, 9), st.integers(0, 23)), st.floats(0, 1.2), max_size=40),
    st.sampled_from([(), range(1, 8), range(1, 7), range(2, 9)]),
)
def test_a_ceiling_is_named_exactly_when_each_of_seven_days_had_a_busy_hour(
    shares: dict[tuple[int, int], float], filled: Sequence[int]
) -> None:
    """Whatever the hours are; the present day, which is not over, counts for nothing."""
    shares = {(ago, 12): 0.85 for ago in filled} | shares
    hours = sorted((hour(TODAY - ago, at, share) for (ago, at), share in shares.items()), key=lambda one: one.hour)
    expected = all(any(share > USED_SHARE for (day, _), share in shares.items() if day == ago) for ago in range(1, 8))
    found = advise(Facts(today=TODAY, pools=(pool(*hours, hour(TODAY, 3, 1.0)),)))
    assert bool(found) == expected
    for finding in found:
        assert int(finding.figures["days"] or 0) >= DAYS_RUNNING
        assert float(finding.figures["mean_share"] or 0) <= float(finding.figures["peak_share"] or 0)
        json.dumps(finding.as_json())


def test_a_quiet_day_breaks_the_row() -> None:
    hours = [hour(TODAY - ago, 10, 0.9) for ago in range(1, 10) if ago != 4]
    assert days_running(daily_peaks(hours), TODAY) == 3
    assert advise(Facts(today=TODAY, pools=(pool(*hours),))) == ()


@given(st.integers(0, 50), st.integers(0, 200), st.integers(0, 10**12))
def test_regenerations_are_named_above_two_for_each_that_was_meant(intents: int, answers: int, nano: int) -> None:
    """And what they cost is never more than what was spent."""
    one = RegenerationFacts(model="dall-e-3", answers=answers, intents=intents, settled_nano=nano)
    found = advise(Facts(today=TODAY, regenerations=(one,)))
    assert bool(found) == (intents > 0 and answers - intents > 2 * intents)
    for finding in found:
        assert 0 <= float(finding.figures["usd"] or 0) <= nano / NANO


def test_models_that_end_and_prices_that_changed_come_with_figures_the_most_urgent_first() -> None:
    ending = ModelFacts(
        name="old", ends=date(2026, 12, 1), days_left=9, retired=False, images=40, price_nano=40_000_000,
        successor="new", successor_price_nano=30_000_000,
    )  # fmt: skip
    later = replace(ending, name="older", days_left=60, successor=None, successor_price_nano=None)
    change = PriceFacts(model="old", since=date(2026, 11, 1), before_nano=40_000_000, after_nano=50_000_000, images=100)
    same = replace(change, after_nano=change.before_nano)
    unused = replace(ending, name="unused", images=0, retired=True, days_left=0)
    found = advise(Facts(today=TODAY, models=(unused, later, ending), prices=(change, same)))
    assert [(one.code, one.severity, one.subject) for one in found] == [
        ("model_ends", "critical", "old"),
        ("model_ends", "warning", "older"),
        ("price_changed", "warning", "old"),
        ("model_ends", "info", "unused"),
    ]
    assert "0.030000000" in found[0].options[0].text
    assert found[2].figures["difference_30_days_usd"] == "1.000000000"


def test_a_month_on_the_way_over_its_limit_is_told() -> None:
    spend = SpendFacts(org="main", limit="monthly_cap_usd", limit_nano=100 * NANO, used_nano=30 * NANO, elapsed=0.25)
    (finding,) = advise(Facts(today=TODAY, spends=(spend,)))
    assert (finding.severity, finding.figures["month_usd"]) == ("warning", "120.000000000")
    assert advise(Facts(today=TODAY, spends=(replace(spend, elapsed=0.5),))) == ()  # 60 %
    assert advise(Facts(today=TODAY, spends=(replace(spend, elapsed=0.001),))) == ()  # too early to tell


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 10**6)), max_size=12, unique_by=lambda pair: pair[0]))
def test_hours_add_up_to_what_was_started(rows: list[tuple[int, int]]) -> None:
    """Over hours in which nobody looked too; over a long gap, and after a server that began anew, nothing is said."""
    readings = [
        Reading(hour=at, images=images, tokens=0, images_per_minute=10.0, tokens_per_minute=None) for at, images in rows
    ]
    found = used_hours(readings)
    ordered = sorted(rows)
    counted = [
        (after[0] - before[0], after[1] - before[1])
        for before, after in pairwise(ordered)
        if after[0] - before[0] <= 3 and after[1] >= before[1]
    ]
    assert len(found) == sum(hours for hours, _ in counted)
    assert len({one.hour for one in found}) == len(found)
    started = sum((one.of_images or 0) * 600 for one in found)
    assert started == pytest.approx(sum(images for _, images in counted))
    assert all(one.of_tokens is None for one in found)


@pytest.mark.parametrize(
    ("tier", "above"),
    [("free", "Tier 1"), ("1", "Tier 2"), ("4", "Tier 5"), ("5", None), ("build", "Launch"), ("grow", None)],
)
def test_the_next_tier_is_of_the_same_set_of_names(tier: str, above: str | None) -> None:
    catalog = load_catalog()
    org = {"name": "main", "api_key": "sk-x", "base_url": "https://api.openai.com/v1", "tier": tier}
    environ = {"IMAGEQUEUE_ORGS": json.dumps([org | {"api_key": "env:KEY"}]), "KEY": "sk-x"}
    found = next_tier(catalog, load_settings(environ).orgs[0], "dall-e-3")
    assert (found.label if found else None) == above


def test_every_model_of_the_catalog_has_a_standard_price() -> None:
    today = datetime.now(UTC).date()
    assert all(standard_price(model, today) >= 0 for model in load_catalog().models.values())


def test_recorded_hours_become_advice_of_a_real_door(
    server_url: str, simulator: RunningSimulator, tmp_path: Path
) -> None:
    """Whoever looks first in an hour writes it; old hours go; the door and the command tell the same."""

    async def story(site: Site) -> None:
        scripts, door = site.door.scripts, site.door
        pools = {one.name: one for one in (await door.status.read()).pools}
        limits = (await _limits(site))["main|dall-e-3"]
        now = hour_of(door.clock.now())
        for ago in range(24 * 9, -1, -1):
            await scripts.redis.hset(f"{scripts.keys.own}:pool:main|dall-e-3", "starts", (24 * 9 - ago) * 60_000 * 54)
            await note_hour(scripts, now - ago, {"main|dall-e-3": limits})
            await note_hour(scripts, now - ago, {"main|dall-e-3": limits})
        hours = (await read_hours(scripts, ["main|dall-e-3"]))["main|dall-e-3"]
        assert len(hours) == 24 * 9
        assert hours[-1].of_images == pytest.approx(0.9)
        assert "main|dall-e-3" in pools
        answer = await site.client.get("/v1/advice")
        assert answer.status_code == 200, answer.text
        findings = {row["code"]: row for row in answer.json()["findings"]}
        assert findings["ceiling_used"]["subject"] == "main|dall-e-3"
        assert findings["ceiling_used"]["figures"]["peak_share"] == 0.9
        assert set(findings["ceiling_used"]) == {"code", "severity", "subject", "text", "figures", "options"}
        assert [row["severity"] for row in answer.json()["findings"]] == sorted(
            (row["severity"] for row in answer.json()["findings"]), key=URGENCY.index
        )
        assert (await site.client.get("/v1/advice?x=1")).status_code == 400
        later = now + HOURS_KEPT + 1
        await note_hour(scripts, later, {"main|dall-e-3": limits})
        kept = await scripts.redis.hlen(f"{scripts.keys.own}:hours:main|dall-e-3")  # type: ignore[misc]  # redis types both clients at once
        assert kept <= 2

    on_site(settings_of(server_url, simulator, tmp_path), story)


async def _limits(site: Site) -> "dict[str, object]":
    from imagequeue.queue.ceilings import pools_of

    return {one.name: one.limits for one in pools_of(site.door.catalog, site.settings.orgs)}


def test_a_worker_records_the_hour(server_url: str, simulator: RunningSimulator, tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.submit()
        await site.burst()
        now = site.door.clock.now()
        stored = await site.door.scripts.redis.hkeys(f"{site.settings.keys.own}:hours:main|dall-e-3")  # type: ignore[misc]  # as above
        assert {int(one) for one in stored} <= {hour_of(now), hour_of(now - timedelta(hours=1))}
        assert stored

    on_site(settings_of(server_url, simulator, tmp_path), story)
