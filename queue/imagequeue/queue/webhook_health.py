"""Whether webhooks arrive: the endpoints, and what waits for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from imagequeue.config.clock import iso
from imagequeue.config.webhooks import Webhook
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.outbox import OutboxFigures
from imagequeue.queue.endpoints import EndpointState, read_endpoints
from imagequeue.queue.scripts import Scripts


@dataclass(frozen=True, kw_only=True)
class WebhookHealth:
    """The configured endpoints with how each does, and the messages that have not arrived."""

    endpoints: tuple[tuple[Webhook, EndpointState], ...]
    outbox: OutboxFigures

    def as_json(self) -> dict[str, object]:
        """Return JSON values; no secret is among them."""
        return {
            "waiting": self.outbox.waiting,
            "retrying": self.outbox.retrying,
            "overdue_s": round(self.outbox.overdue_seconds, 3),
            "endpoints": [endpoint_json(endpoint, state) for endpoint, state in self.endpoints],
        }


async def read_webhook_health(scripts: Scripts, ledger: Ledger, configured: Sequence[Webhook]) -> WebhookHealth:
    """Return how webhooks do; Unavailable when Redis or the ledger does not answer."""
    states = await read_endpoints(scripts, [endpoint.name for endpoint in configured])
    figures = await ledger.outbox()
    return WebhookHealth(endpoints=tuple((one, states[one.name]) for one in configured), outbox=figures)


def endpoint_json(endpoint: Webhook, state: EndpointState) -> dict[str, object]:
    """Return one endpoint as JSON values."""
    return {
        "name": endpoint.name,
        "url": endpoint.url,
        "tenants": list(endpoint.tenants),
        "events": list(endpoint.events),
        "jobs": endpoint.jobs,
        "disabled": state.disabled,
        "disabled_at": state.disabled_at and iso(state.disabled_at),
        "disabled_why": state.disabled_why,
        "delivered": state.delivered,
        "failed": state.failed,
        "given_up": state.given_up,
        "delivered_at": state.delivered_at and iso(state.delivered_at),
        "failed_at": state.failed_at and iso(state.failed_at),
        "last_error": state.last_error,
    }
