"""What the ledger's commands share: their options, and the ledger that they open."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from imagequeue.config.errors import JobRefused

if TYPE_CHECKING:
    from imagequeue.ledger.ledger import Ledger

Answer = TypeVar("Answer")

TELL_SECONDS_MAX = 2.0

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Since = Annotated[str | None, typer.Option(help="From this day or moment on (UTC), e.g. 2026-11-22.")]
Until = Annotated[str | None, typer.Option(help="Before this day or moment (UTC).")]


def run(work: "Callable[[Ledger], Awaitable[Answer]]") -> Answer:
    """Return what `work` answers on the configured ledger."""
    return asyncio.run(_with_ledger(work))


async def _with_ledger(work: "Callable[[Ledger], Awaitable[Answer]]") -> Answer:
    from imagequeue.config.settings import load_settings
    from imagequeue.ledger.opening import open_ledger

    settings = load_settings(keys_needed=False)
    ledger = await open_ledger(settings)
    try:
        return await work(ledger)
    finally:
        await ledger.aclose()


def tell_audit(*, breach: bool) -> None:
    """Tell `/metrics` what an audit found, where a Redis server is configured; the audit does not depend on it."""
    asyncio.run(_tell_audit(breach=breach))


async def _tell_audit(*, breach: bool) -> None:
    from redis.exceptions import RedisError

    from imagequeue.config.clock import SystemClock
    from imagequeue.config.settings import load_settings
    from imagequeue.queue.audited import Audited, note_audit
    from imagequeue.queue.connection import connect
    from imagequeue.queue.scripts import Scripts

    settings = load_settings(keys_needed=False)
    if settings.redis_url is None:  # the embedded server is not started for this
        return
    redis = connect(settings.redis_url.get_secret_value(), answer_seconds=TELL_SECONDS_MAX, connections=1)
    try:
        await note_audit(Scripts(redis, settings.keys), Audited(at=SystemClock().now(), breach=breach))
    except (RedisError, OSError) as error:
        typer.echo(f"imagequeue: the audit's result is not told to /metrics: {error}", err=True)
    finally:
        await redis.aclose()


def moment_option(field: str, value: str | None) -> datetime | None:
    """Return the UTC moment of an option; JobRefused says what is accepted."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise JobRefused(field, "a day such as 2026-11-22 or a moment such as 2026-11-22T12:00:00Z") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def span_options(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Return the moments of both options; JobRefused unless the first is the earlier one."""
    after, before = moment_option("since", since), moment_option("until", until)
    if after is not None and before is not None and after >= before:
        raise JobRefused("until", f"a day or moment after --since {since}, not {until}")
    return after, before


def known_org(name: str) -> str:
    """Return the name of an organization; JobRefused names those that are configured."""
    from imagequeue.config.settings import load_settings

    known = [one.name for one in load_settings(keys_needed=False).orgs]
    if name not in known:
        raise JobRefused("org", f"{name!r} is not configured; known: {', '.join(known) or 'none'}")
    return name
