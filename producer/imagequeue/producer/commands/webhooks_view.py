"""Webhook endpoints and messages as tables and JSON. A payload may hold foreign text; nothing of it is markup."""

import json
from collections.abc import Sequence

from imagequeue.config.clock import iso
from imagequeue.ledger.outbox import WebhookMessage
from imagequeue.producer.commands.output import print_line, print_table
from imagequeue.producer.commands.words import counted
from imagequeue.queue.webhook_health import WebhookHealth


def message_json(message: WebhookMessage, *, with_payload: bool = False) -> dict[str, object]:
    """Return a message as JSON values."""
    shown: dict[str, object] = {
        "id": f"msg_{message.webhook_id}",
        "job_id": message.job_id,
        "tenant": message.tenant or None,
        "url": message.url,
        "event": message.event,
        "state": message.state,
        "tries": message.tries,
        "created_at": iso(message.created_at),
        "next_try": message.next_try and iso(message.next_try),
        "delivered_at": message.delivered_at and iso(message.delivered_at),
        "gave_up_at": message.gave_up_at and iso(message.gave_up_at),
        "last_error": message.last_error,
    }
    return {**shown, "payload": json.loads(message.payload)} if with_payload else shown


def print_overview(health: WebhookHealth, messages: Sequence[WebhookMessage]) -> None:
    """Print the endpoints and the messages."""
    if not health.endpoints:
        print_line("no endpoint is configured; docs/webhooks.md says how")
    else:
        print_endpoints(health)
    if messages:
        print_line("")
        columns = ("message", "event", "job", "state", "tries", "next try", "last error")
        print_table(columns, [_row(message) for message in messages], right=("tries",))


def print_endpoints(health: WebhookHealth) -> None:
    """Print one line for each endpoint."""
    columns = ("endpoint", "url", "state", "delivered", "failed", "given up", "last error")
    rows = [
        (
            endpoint.name,
            endpoint.url,
            f"disabled: {state.disabled_why}" if state.disabled else "enabled",
            str(state.delivered),
            str(state.failed),
            str(state.given_up),
            state.last_error or "",
        )
        for endpoint, state in health.endpoints
    ]
    print_table(columns, rows, right=("delivered", "failed", "given up"))
    late = f", the oldest due for {health.outbox.overdue_seconds:.0f} s" if health.outbox.overdue_seconds >= 1 else ""
    print_line(
        f"waiting: {counted(health.outbox.waiting, 'message')}, {health.outbox.retrying} of them failed before{late}"
    )


def print_message(message: WebhookMessage) -> None:
    """Print one message with what it says."""
    for name, value in message_json(message).items():
        if value is not None:
            print_line(f"{name}: {value}")
    for line in json.dumps(json.loads(message.payload), indent=2, ensure_ascii=True).splitlines():
        print_line(line)


def _row(message: WebhookMessage) -> tuple[str, ...]:
    next_try = "" if message.next_try is None else iso(message.next_try)[:19]
    return (
        f"msg_{message.webhook_id}", message.event, message.job_id, message.state, str(message.tries), next_try,
        message.last_error or "",
    )  # fmt: skip
