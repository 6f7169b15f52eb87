"""What providers said of organizations: the limits they report, and the models they do not serve."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from imagequeue.config.catalog import Limits
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What providers said. `limits` goes by pool name; `gone` holds (organization, model)."""

    limits: Mapping[str, Limits]
    gone: frozenset[tuple[str, str]]


async def read_reported(scripts: Scripts) -> Reported:
    """Return what providers said so far, whichever worker asked them."""
    pipe = scripts.redis.pipeline(transaction=False)
    pipe.hgetall(_limits_key(scripts))
    pipe.hkeys(_gone_key(scripts))
    limits, gone = await pipe.execute()
    return Reported(
        limits={text(name): _limits(value) for name, value in limits.items()},
        gone=frozenset(_pair(text(field)) for field in gone),
    )


async def report_limits(scripts: Scripts, pool: str, limits: Limits) -> None:
    """Note what the provider says a pool's ceilings are; they count unless the configuration has its own."""
    value = {
        "images_per_minute": limits.images_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "source": limits.source,
    }
    await scripts.redis.hset(_limits_key(scripts), pool, json.dumps(value))


async def report_gone(scripts: Scripts, org: str, model: str, *, reason: str, at: str) -> None:
    """Note that an organization does not serve a model, in its provider's own words."""
    await scripts.redis.hset(_gone_key(scripts), f"{org}|{model}", json.dumps({"reason": reason, "at": at}))


def _limits_key(scripts: Scripts) -> str:
    return f"{scripts.keys.own}:limits"


def _gone_key(scripts: Scripts) -> str:
    return f"{scripts.keys.own}:unserved"


def _limits(value: bytes) -> Limits:
    stored = json.loads(value)
    return Limits(
        images_per_minute=stored["images_per_minute"],
        tokens_per_minute=stored["tokens_per_minute"],
        source=stored["source"],
    )


def _pair(field: str) -> tuple[str, str]:
    org, _, model = field.partition("|")
    return org, model
