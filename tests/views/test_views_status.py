"""The status counts what is in each place, and shows pools, workers and held tenants as they are."""

import json
from datetime import UTC, datetime, timedelta

from views_stage import MODEL, Stage, on_stage

from imagequeue.config.clock import iso
from imagequeue.config.settings import Settings
from imagequeue.producer.commands.status_view import notes, sections
from imagequeue.queue import pools, tenants
from imagequeue.queue.reported import GONE_SECONDS, report_gone
from imagequeue.queue.tenants import TenantHold

POOL = f"main|{MODEL}"


def test_queues_are_counted_by_place(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        await stage.put(5)
        first, second, third, _ = await stage.claim(4)
        await stage.fail(first)
        await stage.park(second)
        await stage.give_back(third, 60_000_000, {"reason": "backoff", "until": None, "detail": ""})
        status = await stage.client.status()
        (queue,) = [queue for queue in status.queues if queue.name == f"{MODEL}.default"]
        assert (queue.queued, queue.running, queue.waiting, queue.parked, queue.failed) == (1, 1, 1, 1, 1)
        assert queue.served
        assert queue.oldest_s is not None
        assert 0 <= queue.oldest_s < 60
        assert status.totals.queued == 1
        (worker,) = status.workers
        assert (worker.host, worker.pid, worker.in_flight) == ("here", 7, 1)
        json.dumps(status.as_json())

    on_stage(settings, play)


def test_a_pool_shows_its_ceiling_its_pace_and_what_stops_it(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        scripts = stage.queue.scripts
        reader = stage.client.status_reader()
        pool = next(pool for pool in (await reader.read()).pools if pool.name == POOL)
        assert (pool.images_per_minute, pool.pace_images_per_minute) == (10_000, 9_000)
        assert (pool.used_share, pool.suspended, pool.paused_until) == (None, "", None)
        await stage.put(3)
        await stage.claim(3)
        await pools.refuse(scripts, POOL, wait_us=30_000_000, reason="slow_down")
        await pools.suspend(scripts, POOL, reason="insufficient_quota")
        await tenants.hold(scripts, TenantHold(tenant="shop", reason="budget", detail="cap"))
        status = await reader.read()
        pool = next(pool for pool in status.pools if pool.name == POOL)
        assert (pool.images_started, pool.calls_refused) == (3, 1)
        assert pool.used_share is not None
        assert pool.used_share > 0
        assert pool.paused_until is not None
        assert (pool.pause_reason, pool.suspended) == ("slow_down", "insufficient_quota")
        assert [(hold.tenant, hold.reason) for hold in status.held_tenants] == [("shop", "budget")]
        await pools.resume(scripts, POOL)
        pool = next(pool for pool in (await reader.read()).pools if pool.name == POOL)
        assert (pool.suspended, pool.paused_until, pool.factor) == ("", None, 1.0)

    on_stage(settings, play)


def test_a_pool_configured_elsewhere_is_shown_without_a_ceiling(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        await pools.suspend(stage.queue.scripts, "theirs|dall-e-3", reason="budget: month")
        status = await stage.client.status()
        pool = next(pool for pool in status.pools if pool.org == "theirs")
        assert (pool.images_per_minute, pool.source, pool.suspended) == (None, "configured elsewhere", "budget: month")

    on_stage(settings, play)


def test_a_pool_whose_model_the_provider_does_not_serve_says_so_and_until_when(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        at, scripts = datetime.now(UTC), stage.queue.scripts
        await report_gone(scripts, "main", MODEL, reason="model_not_found: no such model", at=iso(at))
        status = await stage.client.status()
        pool = next(pool for pool in status.pools if pool.name == POOL)
        again = at + timedelta(seconds=GONE_SECONDS)
        said = f"{MODEL}, asked for again from {again:%H:%M:%S} UTC on: model_not_found: no such model"
        assert (pool.unserved, pool.models, pool.source) == (said, (), "no model of it is served now")
        shown = [str(cell) for section in sections(status) for row in section.rows for cell in row]
        assert f"not served: {said}" in shown
        await report_gone(scripts, "main", MODEL, reason="old", at=iso(at - timedelta(seconds=GONE_SECONDS + 1)))
        pool = next(pool for pool in (await stage.client.status()).pools if pool.name == POOL)
        assert (pool.unserved, pool.images_per_minute) == ("", 10_000)

    on_stage(settings, play)


def test_a_queued_job_is_promised_no_start_while_every_worker_is_kept_from_claiming(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (job,) = await stage.put()
        redis, worker = stage.queue.redis, stage.queue.scripts.keys.worker(stage.worker.worker)
        await redis.hset(worker, "iq_note", "store: no space is left")
        waiting = (await stage.client.get(job)).waiting
        assert waiting is not None
        assert (waiting.reason, waiting.until) == ("paused", None)
        assert "no space" not in waiting.detail
        await redis.hdel(worker, "iq_note")
        waiting = (await stage.client.get(job)).waiting
        assert waiting is not None
        assert waiting.reason == "pace"

    on_stage(settings, play)


def test_a_dead_worker_that_nobody_gave_up_is_no_worker(settings: Settings) -> None:
    """The last worker of an installation is killed: no other is left to notice it."""

    async def play(stage: Stage) -> None:
        (job,) = await stage.put()
        redis, leases = stage.queue.redis, f"{stage.queue.scripts.keys.own}:workers"
        await redis.zadd(leases, {stage.worker.worker: 1})
        status = await stage.client.status()
        assert [worker.state for worker in status.workers] == ["silent"]
        assert status.living == ()
        assert "no worker is running" in notes(status)[0]
        waiting = (await stage.client.get(job)).waiting
        assert waiting is not None
        assert "no worker is running" in waiting.detail

    on_stage(settings, play)
