"""Looking at the outbox of messages about ended jobs: what is due, what waits, what was given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypedDict, cast

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select

from imagequeue.ledger.moments import microseconds, moment, moment_or_none
from imagequeue.ledger.schema import outcome, webhook

MessageState = Literal["waiting", "retrying", "delivered", "given_up"]
"""`waiting` for its first delivery, `retrying` after a failed one, `given_up` after the last."""

MESSAGES_MAX: Final = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookMessage:
    """One message of the outbox. `next_try` None: there is none to come; `last_error` is of its last failed try."""

    webhook_id: int
    job_id: str
    tenant: str
    url: str
    event: str
    payload: str
    state: MessageState
    tries: int
    created_at: datetime
    next_try: datetime | None
    delivered_at: datetime | None
    gave_up_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxQuery:
    """Which messages to show, newest first; what is None or empty does not narrow it."""

    webhook_ids: tuple[int, ...] = ()
    job_id: str | None = None
    url_prefix: str | None = None
    tenant: str | None = None
    state: MessageState | None = None
    limit: int = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxFigures:
    """What has not arrived: messages that wait, those of them that failed before, and how late the oldest is."""

    waiting: int
    retrying: int
    overdue_seconds: float


class _Row(TypedDict):
    """A row of `ledger_webhook`, with the tenant of its job."""

    id: int
    job_id: str
    tenant: str | None
    url: str
    event: str
    payload: str
    created_at_us: int
    due_at_us: int
    tries: int
    delivered_at_us: int | None
    gave_up_at_us: int | None
    last_error: str | None


def messages(connection: Connection, query: OutboxQuery) -> tuple[WebhookMessage, ...]:
    """Return the messages of a query, at most MESSAGES_MAX."""
    joined = webhook.outerjoin(outcome, outcome.c.job_id == webhook.c.job_id)
    found = select(webhook, outcome.c.tenant).select_from(joined).where(*_conditions(query))
    newest = found.order_by(webhook.c.id.desc()).limit(min(query.limit, MESSAGES_MAX))
    rows = cast("Sequence[_Row]", connection.execute(newest).mappings().all())
    return tuple(_message(row) for row in rows)


def figures(connection: Connection, now: datetime) -> OutboxFigures:
    """Return how much waits; reads only what has not ended."""
    counted = select(func.count(), func.count(webhook.c.last_error), func.min(webhook.c.due_at_us)).where(_pending())
    waiting, retrying, oldest_us = connection.execute(counted).one()
    late = 0.0 if oldest_us is None else (microseconds(now) - oldest_us) / 1_000_000
    return OutboxFigures(waiting=waiting, retrying=retrying, overdue_seconds=max(late, 0.0))


def any_due(connection: Connection, now: datetime) -> bool:
    """Return whether a message is due."""
    return bool(
        connection.execute(select(exists().where(_pending(), webhook.c.due_at_us <= microseconds(now)))).scalar()
    )


def _pending() -> ColumnElement[bool]:
    return and_(webhook.c.delivered_at_us.is_(None), webhook.c.gave_up_at_us.is_(None))


def _conditions(query: OutboxQuery) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if query.webhook_ids:
        found.append(webhook.c.id.in_(query.webhook_ids))
    if query.job_id is not None:
        found.append(webhook.c.job_id == query.job_id)
    if query.url_prefix is not None:
        found.append(webhook.c.url.startswith(query.url_prefix, autoescape=True))
    if query.tenant is not None:
        found.append(outcome.c.tenant == query.tenant)
    if query.state is not None:
        found.extend(_of_state(query.state))
    return found


def _of_state(state: MessageState) -> list[ColumnElement[bool]]:
    if state == "delivered":
        return [webhook.c.delivered_at_us.is_not(None)]
    if state == "given_up":
        return [webhook.c.gave_up_at_us.is_not(None)]
    failed = webhook.c.last_error.is_not(None)
    return [_pending(), failed if state == "retrying" else webhook.c.last_error.is_(None)]


def _message(row: _Row) -> WebhookMessage:
    state = _state(row)
    return WebhookMessage(
        webhook_id=row["id"],
        job_id=row["job_id"],
        tenant=row["tenant"] or "",
        url=row["url"],
        event=row["event"],
        payload=row["payload"],
        state=state,
        tries=row["tries"],
        created_at=moment(row["created_at_us"]),
        next_try=moment(row["due_at_us"]) if state in ("waiting", "retrying") else None,
        delivered_at=moment_or_none(row["delivered_at_us"]),
        gave_up_at=moment_or_none(row["gave_up_at_us"]),
        last_error=row["last_error"],
    )


def _state(row: _Row) -> MessageState:
    if row["delivered_at_us"] is not None:
        return "delivered"
    if row["gave_up_at_us"] is not None:
        return "given_up"
    return "waiting" if row["last_error"] is None else "retrying"
