"""Figures for Prometheus, read when it asks: queues, pools, workers, money. No prompts; tenants only for an admin.

Labels come from the catalog, the configuration and fixed words, so their number is bounded; queues that were made by
others are left out beyond QUEUES_MAX. docs/metrics.md lists every figure.
"""

import asyncio
from datetime import UTC, date, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from redis.exceptions import RedisError
from starlette.responses import Response
from starlette.routing import Route

from imagequeue.config.catalog import lifecycle
from imagequeue.config.errors import QueueUnavailable
from imagequeue.ledger.provider_state import provider_state
from imagequeue.producer.caps import configured_caps
from imagequeue.producer.door.metric_money import LedgerFigures
from imagequeue.producer.door.metric_queue import QueueFigures, ages
from imagequeue.producer.door.parts import Asked, Door
from imagequeue.producer.door.problems import forbidden
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.serving import route
from imagequeue.producer.door.webhook_metrics import WebhookFigures
from imagequeue.queue import pools
from imagequeue.queue.audited import last_audit
from imagequeue.queue.measured import read_measured, read_vitals
from imagequeue.queue.record import parse_moment
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.status import Status
from imagequeue.queue.text import text
from imagequeue.queue.webhook_health import read_webhook_health


def metric_routes() -> list[Route]:
    """Return the route of metrics."""
    return [route("/metrics", "GET", show_metrics, scope="read")]


async def show_metrics(asked: Asked) -> Response:
    """Show all figures in Prometheus' text format; `tenants=1` adds money by tenant, for admins."""
    check_known(asked.request.query_params, ("tenants",))
    by_tenant = asked.request.query_params.get("tenants") == "1"
    if asked.caller.tenant is not None or (by_tenant and not asked.caller.may("admin")):
        raise forbidden("these figures are of all tenants; a key without a tenant is needed, for `tenants` an admin's")
    registry = await figures(asked.door, by_tenant=by_tenant)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def figures(door: Door, *, by_tenant: bool) -> CollectorRegistry:
    """Return one reading of everything."""
    registry = CollectorRegistry()
    status = await door.status.read()
    try:
        of_ledger = _of_ledger(door, status, by_tenant=by_tenant)
        for part in await asyncio.gather(_of_queue(door, status), of_ledger):
            registry.register(part)
    except RedisError as error:
        raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error
    if door.settings.webhooks:
        health = await read_webhook_health(door.scripts, door.ledger, door.settings.webhooks)
        registry.register(WebhookFigures(health))
    return registry


async def _of_queue(door: Door, status: Status) -> QueueFigures:
    names = [worker.name for worker in status.workers]
    return QueueFigures(
        status=status,
        pools=await pools.states(door.scripts, tuple(pool.name for pool in status.pools)),
        measured=await read_measured(door.scripts),
        vitals=await read_vitals(door.scripts, names),
        lease_ages=await _lease_ages(door.scripts, names),
    )


async def _of_ledger(door: Door, status: Status, *, by_tenant: bool) -> LedgerFigures:
    now = door.clock.now()
    keyed = [org.name for org in door.settings.orgs if org.admin_key is not None]
    return LedgerFigures(
        summary=await door.ledger.summary(("model", "org", "priority")),
        tenants=await door.ledger.summary(("tenant",)) if by_tenant else None,
        caps=await door.ledger.caps(configured_caps(door.settings)),
        provider=await door.ledger.read(lambda connection: provider_state(connection, keyed, now)),
        audited=await last_audit(door.scripts),
        ends=_ends(door, status),
        now=now,
    )


def _ends(door: Door, status: Status) -> dict[str, date]:
    """When those models end that jobs wait for or that are preferred."""
    used = {queue.model for queue in status.queues} | set(door.settings.models)
    models = [door.catalog.models[name] for name in sorted(used) if name in door.catalog.models]
    today = door.clock.now().date()
    states = {model.name: lifecycle(model, today) for model in models}
    return {name: state.ends for name, state in states.items() if state.ends is not None}


async def _lease_ages(scripts: Scripts, workers: list[str]) -> tuple[float, ...]:
    pipe = scripts.redis.pipeline(transaction=False)
    pipe.time()
    for name in workers:
        pipe.hget(scripts.keys.worker(name), "last_heartbeat")
    (seconds, _), *beats = await pipe.execute()
    now = datetime.fromtimestamp(int(seconds), UTC)
    return ages([parse_moment(text(beat)) if beat else None for beat in beats], now)
