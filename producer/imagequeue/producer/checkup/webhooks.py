"""Webhook endpoints: whether one is disabled, and whether messages pile up."""

from typing import Final

from imagequeue.config.settings import Settings
from imagequeue.producer.checkup.finding import Finding, ok, warn
from imagequeue.producer.open_queue import opened_queue
from imagequeue.queue.webhook_health import WebhookHealth, read_webhook_health

OVERDUE_SECONDS_MAX: Final = 60.0


async def check_webhooks(settings: Settings) -> list[Finding]:
    """Return the findings about the configured endpoints; none when there is no endpoint."""
    if not settings.webhooks:
        return []
    async with opened_queue(settings) as queue:
        return judge_webhooks(await read_webhook_health(queue.scripts, await queue.ledger(), settings.webhooks))


def judge_webhooks(health: WebhookHealth) -> list[Finding]:
    """Return what is wrong with the endpoints and the outbox. Pure."""
    found = [
        warn(
            "webhooks",
            f"{endpoint.name} is disabled: {state.disabled_why}",
            f"see what its receiver says, then `imagequeue webhooks enable {endpoint.name}`",
        )
        for endpoint, state in health.endpoints
        if state.disabled
    ]
    outbox = health.outbox
    if outbox.overdue_seconds > OVERDUE_SECONDS_MAX:
        says = f"{outbox.waiting} messages wait, the oldest due for {outbox.overdue_seconds:.0f} s"
        found.append(warn("webhooks", says, "see that a worker runs: workers deliver them"))
    if outbox.retrying:
        does = "`imagequeue webhooks list --state retrying` says why"
        found.append(warn("webhooks", f"{outbox.retrying} messages did not arrive yet and are tried again", does))
    return found or [ok("webhooks", f"{len(health.endpoints)} endpoints, nothing that did not arrive")]
