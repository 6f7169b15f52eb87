"""What providers said of organizations: limits they report, models they do not serve, and what their answers taught.

Two things lower a pool's ceilings below the known ones, and never raise them: the limit that the headers of answers
name, and a share learned from refusals at pace (pool.lua), which comes back by a tenth of itself each minute.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from imagequeue.config.catalog import Limits
from imagequeue.queue.ceilings import Lowered
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text

RECOVERY_PER_MINUTE: Final = 0.1
"""Of a learned share: it is tried that much higher each minute."""
GONE_SECONDS: Final = 600.0
"""So long a model counts as not served after its provider said so; then one job tries it again."""
SHARE_STEPS: Final = 100
"""A share is used in whole hundredths, so that the pace does not change at every look."""


@dataclass(frozen=True, kw_only=True)
class Gone:
    """That a model is not served, in its provider's own words, and until when that counts."""

    reason: str
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What providers said. `limits` and `lowered` go by pool name, `gone`, said lately, by (organization, model)."""

    limits: Mapping[str, Limits]
    gone: Mapping[tuple[str, str], Gone]
    lowered: Mapping[str, Lowered]


async def read_reported(scripts: Scripts) -> Reported:
    """Return what providers said so far, whichever worker asked them."""
    pipe = scripts.redis.pipeline(transaction=False)
    pipe.hgetall(_limits_key(scripts))
    pipe.hgetall(_gone_key(scripts))
    pipe.hgetall(_said_key(scripts))
    pipe.hgetall(_learned_key(scripts))
    pipe.time()
    limits, gone, said, learned, (seconds, _) = await pipe.execute()
    return Reported(
        limits={text(name): _limits(value) for name, value in limits.items()},
        gone={_pair(text(field)): _gone(value) for field, value in gone.items() if _is_gone(value, int(seconds))},
        lowered=_lowered(said, learned, int(seconds)),
    )


async def report_limits(scripts: Scripts, pool: str, limits: Limits) -> None:
    """Note what the provider says a pool's ceilings are; they count unless the configuration has its own."""
    value = {
        "images_per_minute": limits.images_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "source": limits.source,
    }
    await scripts.redis.hset(_limits_key(scripts), pool, json.dumps(value))


async def report_said(scripts: Scripts, pool: str, model: str, limits: Limits | None) -> None:
    """Note which ceilings the headers of a model's answers name; None: they name none any more."""
    field = f"{pool}|{model}"
    if limits is None:
        await scripts.redis.hdel(_said_key(scripts), field)
        return
    value = {"images_per_minute": limits.images_per_minute, "tokens_per_minute": limits.tokens_per_minute}
    await scripts.redis.hset(_said_key(scripts), field, json.dumps({**value, "source": limits.source}))


async def forget_said(scripts: Scripts, pool: str) -> None:
    """Forget what headers named; the next answers name it again."""
    fields = [text(name) for name in await scripts.redis.hkeys(_said_key(scripts))]
    mine = [name for name in fields if name.rpartition("|")[0] == pool]
    if mine:
        await scripts.redis.hdel(_said_key(scripts), *mine)


async def report_gone(scripts: Scripts, org: str, model: str, *, reason: str, at: str) -> None:
    """Note that an organization does not serve a model, in its provider's own words."""
    await scripts.redis.hset(_gone_key(scripts), f"{org}|{model}", json.dumps({"reason": reason, "at": at}))


def _limits_key(scripts: Scripts) -> str:
    return f"{scripts.keys.own}:limits"


def _gone_key(scripts: Scripts) -> str:
    return f"{scripts.keys.own}:unserved"


def _said_key(scripts: Scripts) -> str:
    return f"{scripts.keys.own}:said"


def _learned_key(scripts: Scripts) -> str:
    return f"{scripts.keys.own}:learned"


def _lowered(said: Mapping[bytes, bytes], learned: Mapping[bytes, bytes], now_seconds: int) -> dict[str, Lowered]:
    """What lowers each pool: the lowest limit said of any of its models, and its learned share now."""
    found: dict[str, list[Limits]] = {}
    for field, value in said.items():
        found.setdefault(text(field).rpartition("|")[0], []).append(_limits(value))
    shares = {text(name): json.loads(value) for name, value in learned.items()}
    return {
        pool: Lowered(
            images_per_minute=_least(limits.images_per_minute for limits in found.get(pool, ())),
            tokens_per_minute=_least(limits.tokens_per_minute for limits in found.get(pool, ())),
            said_by=next((limits.source for limits in found.get(pool, ())), ""),
            share=share_now(shares[pool]["share"], now_seconds - shares[pool]["at"]) if pool in shares else 1.0,
            reason=str(shares[pool]["reason"]) if pool in shares else "",
        )
        for pool in {*found, *shares}
    }


def share_now(share: float, age_seconds: float) -> float:
    """Return what a share learned so long ago has become: a tenth more each minute, in whole hundredths, up to 1."""
    grown = share * (1 + RECOVERY_PER_MINUTE * max(age_seconds, 0.0) / 60)
    return min(max(int(grown * SHARE_STEPS), 1) / SHARE_STEPS, 1.0)


def _least(rates: Iterable[float | None]) -> float | None:
    return min((rate for rate in rates if rate is not None), default=None)


def _limits(value: bytes) -> Limits:
    stored = json.loads(value)
    return Limits(
        images_per_minute=stored["images_per_minute"],
        tokens_per_minute=stored["tokens_per_minute"],
        source=stored["source"],
    )


def _gone(value: bytes) -> Gone:
    said = json.loads(value)
    until = datetime.fromisoformat(said["at"]) + timedelta(seconds=GONE_SECONDS)
    return Gone(reason=str(said["reason"]), until=until.astimezone(UTC))


def _is_gone(value: bytes, now_seconds: int) -> bool:
    at = datetime.fromisoformat(json.loads(value)["at"])
    return abs(now_seconds - at.timestamp()) < GONE_SECONDS


def _pair(field: str) -> tuple[str, str]:
    org, _, model = field.partition("|")
    return org, model
