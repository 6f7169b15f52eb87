"""Webhooks over HTTP: whether they arrive, and what became of the messages about one job. No secret, no payload."""

from collections.abc import Sequence
from typing import Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.config.clock import iso
from imagequeue.config.webhooks import Webhook, endpoint_of
from imagequeue.ledger.outbox import OutboxQuery, WebhookMessage
from imagequeue.producer.door.jobs import own_view
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.problems import forbidden
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.serving import route
from imagequeue.queue.webhook_health import read_webhook_health

MESSAGES_MAX: Final = 20


def delivery_routes() -> list[Route]:
    """Return the routes of webhooks."""
    return [
        route("/v1/webhooks", "GET", show_webhooks, scope="admin"),
        route("/v1/jobs/{id}/webhooks", "GET", show_deliveries, scope="read"),
    ]


async def show_webhooks(asked: Asked) -> Response:
    """Show the configured endpoints with how each does, and how many messages have not arrived."""
    check_known(asked.request.query_params, ())
    if asked.caller.tenant is not None:
        raise forbidden("endpoints are of all tenants; a key without a tenant is needed")
    door = asked.door
    return JSONResponse((await read_webhook_health(door.scripts, door.ledger, door.settings.webhooks)).as_json())


async def show_deliveries(asked: Asked) -> Response:
    """Show the messages about a job, newest first; a tenant sees those to its endpoints or to what the job names."""
    check_known(asked.request.query_params, ())
    view, tenant = await own_view(asked), asked.caller.tenant
    found = await asked.door.ledger.webhooks(OutboxQuery(job_id=view.id, limit=MESSAGES_MAX))
    if tenant is not None:
        endpoints, named = asked.door.settings.webhooks, view.job.get("webhook")
        found = tuple(one for one in found if one.url == named or is_of(tenant, one.url, endpoints))
    return JSONResponse({"webhooks": [_message(one) for one in found]})


def is_of(tenant: str, url: str, endpoints: Sequence[Webhook]) -> bool:
    """Return whether an address is of an endpoint that names the tenant; one that names none is the operator's."""
    endpoint = endpoint_of(endpoints, url)
    return endpoint is not None and tenant in endpoint.tenants


def _message(one: WebhookMessage) -> dict[str, object]:
    return {
        "id": one.webhook_id,
        "url": one.url,
        "event": one.event,
        "state": one.state,
        "tries": one.tries,
        "created_at": iso(one.created_at),
        "next_try": one.next_try and iso(one.next_try),
        "delivered_at": one.delivered_at and iso(one.delivered_at),
        "gave_up_at": one.gave_up_at and iso(one.gave_up_at),
        "last_error": one.last_error,
    }
