"""What `/metrics` says after real jobs: names, types, sums that outlive the workers, nothing of tenants or prompts."""

import re
import time
from pathlib import Path

import pytest
from observed_site import Site, on_site, settings_of
from prometheus_client.parser import text_string_to_metric_families

from imagequeue.queue import pools
from imagequeue.queue.audited import Audited, note_audit
from imagequeue.simulator.process import RunningSimulator

CANARY = "canary-of-a-prompt"
UNITS = ("_seconds", "_bytes", "_usd", "_ratio", "_attempts", "_total")
SCRAPE_SECONDS_MAX = 5.0
"""A whole scrape under the load of other tests; benchmarks/metrics.py has the figure of a quiet machine."""


def samples(text: str) -> dict[str, float]:
    """Return every sample by its name and labels as written."""
    return {
        sample.name + "".join(f"|{key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_follow_prometheus_rules_and_add_up_over_workers(
    server_url: str, simulator: RunningSimulator, tmp_path: Path
) -> None:
    """Every call is in the histograms once, and totals go on when a second worker comes after the first one ended."""

    async def story(site: Site) -> None:
        for _ in range(3):
            await site.submit(prompt=CANARY, tenant="acme")
        await site.burst()
        first = samples(await site.metrics())
        await site.submit(prompt=CANARY)
        await site.burst()
        text = await site.metrics()
        second = samples(text)
        calls = "imagequeue_call_duration_seconds_count|outcome=images|pool=main|dall-e-3"
        made = "imagequeue_attempts_total|model=dall-e-3|outcome=images|pool=main|dall-e-3"
        assert (first[calls], second[calls], second[made]) == (3, 4, 4)
        assert second["imagequeue_ledger_settled_usd|model=dall-e-3|org=main|priority=default"] == 0.16
        assert second["imagequeue_cap_used_ratio|kind=org_month|name=main"] == pytest.approx(0.016)
        assert second["imagequeue_ledger_commit_duration_seconds_count"] > 0
        assert second["imagequeue_ledger_hold_duration_seconds_count"] == 4
        assert second["imagequeue_claim_duration_seconds_count"] > first["imagequeue_claim_duration_seconds_count"]
        assert [name for name in first if name.endswith("_total") and second[name] < first[name]] == []
        assert CANARY not in text
        assert "acme" not in text
        assert 'kind="tenant_day"' in text  # the fullest tenant's share, without its name

    on_site(settings_of(server_url, simulator, tmp_path), story)


def test_names_have_help_and_types_and_counters_end_in_total(
    server_url: str, simulator: RunningSimulator, tmp_path: Path
) -> None:
    async def story(site: Site) -> None:
        await note_audit(site.door.scripts, Audited(at=site.door.clock.now(), breach=True))
        text = await site.metrics(tenants="1")
        families = list(text_string_to_metric_families(text))
        assert families
        for family in families:
            assert re.fullmatch(r"imagequeue(_[a-z0-9]+)+", family.name)
            assert family.documentation.endswith(".")
            assert family.type in ("gauge", "counter", "histogram")
            if "second" in family.name:
                assert "_seconds" in family.name
            if family.type == "counter":
                assert all(sample.name.endswith("_total") for sample in family.samples)
        assert samples(text)["imagequeue_ledger_audit_breach"] == 1

    on_site(settings_of(server_url, simulator, tmp_path), story)


def test_paused_seconds_grow_with_the_pause_and_end_with_a_resume(
    server_url: str, simulator: RunningSimulator, tmp_path: Path
) -> None:
    """The counter has only what has passed: nothing of a pause that was cut short comes on top."""

    async def paused(site: Site) -> float:
        return (await pools.states(site.door.scripts, ("main|dall-e-3",)))["main|dall-e-3"].paused_us / 1e6

    async def story(site: Site) -> None:
        scripts = site.door.scripts
        await pools.refuse(scripts, "main|dall-e-3", wait_us=3_600_000_000, reason="429")
        await pools.refuse(scripts, "main|dall-e-3", wait_us=3_600_000_000, reason="429")
        before = await paused(site)
        assert before < 60
        deadline = time.monotonic() + SCRAPE_SECONDS_MAX
        while await paused(site) <= before:
            assert time.monotonic() < deadline
        await pools.resume(scripts, "main|dall-e-3")
        after = await paused(site)
        assert before < after < 60
        assert await paused(site) == after

    on_site(settings_of(server_url, simulator, tmp_path), story)


def test_a_scrape_is_quick_with_many_series(server_url: str, simulator: RunningSimulator, tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        own = f"{site.settings.keys.own}:measured"
        fields = {
            f"imagequeue_call_duration_seconds\torg{org}|dall-e-3\timages\t{place}": 7
            for org in range(20)
            for place in (*range(15), "us")
        }
        await site.door.scripts.redis.hset(own, mapping=fields)  # type: ignore[misc]  # redis types both clients at once
        began = time.monotonic()
        text = await site.metrics()
        assert time.monotonic() - began < SCRAPE_SECONDS_MAX
        assert samples(text)["imagequeue_call_duration_seconds_count|outcome=images|pool=org3|dall-e-3"] == 105

    on_site(settings_of(server_url, simulator, tmp_path), story)
