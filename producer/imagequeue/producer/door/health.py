"""Whether the door lives, and whether what it needs can be reached."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from redis.exceptions import RedisError
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.config.errors import ImageQueueError
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.serving import route

PART_SECONDS_MAX: Final = 5.0


def health_routes() -> list[Route]:
    """Return the routes of health; they need no key and tell nothing but names of parts."""
    return [
        route("/healthz", "GET", show_alive, scope=None),
        route("/readyz", "GET", show_ready, scope=None),
    ]


async def show_alive(asked: Asked) -> Response:
    """Answer as long as this process does."""
    return JSONResponse({"status": "alive"})


async def show_ready(asked: Asked) -> Response:
    """Say which of queue, ledger and store can be reached; 503 unless all can."""
    door = asked.door
    parts = {"queue": door.scripts.redis.ping(), "ledger": door.ledger.ping(), "store": door.store.ping()}
    answers = await asyncio.gather(*(_reached(part) for part in parts.values()))
    reached = dict(zip(parts, answers, strict=True))
    ready = all(answers)
    status = "ready" if ready else "not ready"
    shown = {name: "reachable" if answer else "not reachable" for name, answer in reached.items()}
    headers = {} if ready else {"Retry-After": "5"}
    return JSONResponse({"status": status, **shown}, 200 if ready else 503, headers)


async def _reached(part: Awaitable[object]) -> bool:
    try:
        async with asyncio.timeout(PART_SECONDS_MAX):
            await part
    except (ImageQueueError, RedisError, OSError, TimeoutError):
        return False
    return True
