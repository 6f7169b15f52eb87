"""How webhook endpoints do: whether one is disabled, what it took and refused. One hash in Redis for each.

It is a note and no book: should Redis lose it, an endpoint that is gone says so again. The messages themselves are in
the ledger.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar, cast

from imagequeue.config.clock import iso
from imagequeue.config.errors import QueueUnavailable
from imagequeue.queue.record import parse_moment
from imagequeue.queue.scripts import TROUBLE, Argument, Scripts
from imagequeue.queue.text import text, whole

Answer = TypeVar("Answer")

WHY_CHARACTERS_MAX: Final = 500


@dataclass(frozen=True, kw_only=True)
class EndpointState:
    """One endpoint: deliveries that arrived, that failed, messages given up. `disabled_at` None: it is in use."""

    name: str
    delivered: int = 0
    failed: int = 0
    given_up: int = 0
    delivered_at: datetime | None = None
    failed_at: datetime | None = None
    last_error: str | None = None
    disabled_at: datetime | None = None
    disabled_why: str | None = None

    @property
    def disabled(self) -> bool:
        """Whether nothing is sent to it."""
        return self.disabled_at is not None


async def read_endpoints(scripts: Scripts, names: Sequence[str]) -> dict[str, EndpointState]:
    """Return the state of each; QueueUnavailable when Redis does not answer."""
    pipe = scripts.redis.pipeline(transaction=False)
    for name in names:
        pipe.hgetall(_key(scripts, name))
    rows = cast("list[Mapping[bytes, bytes]]", await _answered(pipe.execute())) if names else []
    return {name: _state(name, row) for name, row in zip(names, rows, strict=True)}


async def note_delivered(scripts: Scripts, name: str, at: datetime) -> None:
    """Count a delivery that arrived."""
    pipe = scripts.redis.pipeline()
    pipe.hincrby(_key(scripts, name), "delivered", 1)
    pipe.hset(_key(scripts, name), "delivered_at", iso(at))
    await _answered(pipe.execute())


async def note_failed(scripts: Scripts, name: str, at: datetime, why: str, *, given_up: bool) -> None:
    """Count a delivery that failed, and the message as given up if it was its last."""
    pipe = scripts.redis.pipeline()
    pipe.hincrby(_key(scripts, name), "failed", 1)
    if given_up:
        pipe.hincrby(_key(scripts, name), "given_up", 1)
    pipe.hset(_key(scripts, name), mapping={"failed_at": iso(at), "last_error": why[:WHY_CHARACTERS_MAX]})
    await _answered(pipe.execute())


async def disable(scripts: Scripts, name: str, at: datetime, why: str) -> None:
    """Send nothing more to an endpoint until it is enabled."""
    fields: dict[str, Argument] = {"disabled_at": iso(at), "disabled_why": why[:WHY_CHARACTERS_MAX]}
    await _answered(scripts.redis.hset(_key(scripts, name), mapping=fields))  # type: ignore[arg-type]  # redis-py's own type is wider


async def enable(scripts: Scripts, name: str) -> None:
    """Send to an endpoint again."""
    await _answered(scripts.redis.hdel(_key(scripts, name), "disabled_at", "disabled_why"))


def _key(scripts: Scripts, name: str) -> str:
    return f"{scripts.keys.own}:webhook:{name}"


async def _answered(asked: Awaitable[Answer]) -> Answer:
    try:
        return await asked
    except TROUBLE as error:
        raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error


def _state(name: str, row: Mapping[bytes, bytes]) -> EndpointState:
    fields = {text(key): text(value) for key, value in row.items()}
    return EndpointState(
        name=name,
        delivered=whole(fields.get("delivered")),
        failed=whole(fields.get("failed")),
        given_up=whole(fields.get("given_up")),
        delivered_at=parse_moment(fields.get("delivered_at")),
        failed_at=parse_moment(fields.get("failed_at")),
        last_error=fields.get("last_error"),
        disabled_at=parse_moment(fields.get("disabled_at")),
        disabled_why=fields.get("disabled_why"),
    )
