"""A pool's switch over HTTP: suspend and resume an organization's limit group. For keys of the admin scope."""

import math
from collections.abc import Mapping
from typing import Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.config.errors import JobRefused, NotFound
from imagequeue.producer.door.jobs import body_fields
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.problems import forbidden
from imagequeue.producer.door.serving import route
from imagequeue.queue.pools import pool_name
from imagequeue.queue.switches import BY_HAND, Switches

REASON_CHARACTERS_MAX: Final = 200
MINUTES_MAX: Final = 525_600
"""A year."""
US_PER_MINUTE: Final = 60_000_000


def switch_routes() -> list[Route]:
    """Return the routes of switches."""
    return [
        route("/v1/pools/{org}/{group}/suspend", "POST", suspend_pool, scope="admin"),
        route("/v1/pools/{org}/{group}/resume", "POST", resume_pool, scope="admin"),
    ]


async def suspend_pool(asked: Asked) -> Response:
    """Start no more calls in a pool, for `minutes` or until it is resumed; calls in flight go on."""
    fields = await body_fields(asked, ("reason", "minutes"))
    reason, for_us = _reason(fields), _for_us(fields)
    pool = await _pool(asked)
    changed = await Switches(asked.door.scripts).suspend_pool(pool, reason=reason, for_us=for_us)
    return _switched(pool, suspended=True, changed=changed)


async def resume_pool(asked: Asked) -> Response:
    """End a pool's suspension and pause, and forget what lowered its pace."""
    await body_fields(asked, ())
    pool = await _pool(asked)
    return _switched(pool, suspended=False, changed=await Switches(asked.door.scripts).resume_pool(pool))


async def _pool(asked: Asked) -> str:
    """The pool of the path; NotFound when there is none, Problem 403 for a tenant's key: pools are everybody's."""
    if asked.caller.tenant is not None:
        raise forbidden("pools are shared by all tenants; a key without a tenant is needed")
    name = pool_name(str(asked.request.path_params["org"]), str(asked.request.path_params["group"]))
    if name not in {pool.name for pool in (await asked.door.status.read()).pools}:
        raise NotFound("pool: there is none of this organization and limit group; /v1/status lists them")
    return name


def _reason(fields: Mapping[str, object]) -> str:
    reason = fields.get("reason", BY_HAND)
    if not isinstance(reason, str) or not 1 <= len(reason) <= REASON_CHARACTERS_MAX:
        raise JobRefused("reason", f"1 to {REASON_CHARACTERS_MAX} characters are accepted")
    return reason


def _for_us(fields: Mapping[str, object]) -> int:
    minutes = fields.get("minutes", 0)
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 <= minutes <= MINUTES_MAX:
        raise JobRefused("minutes", f"a number from 0 (until it is resumed) to {MINUTES_MAX} is accepted")
    return math.ceil(minutes * US_PER_MINUTE)


def _switched(pool: str, *, suspended: bool, changed: bool) -> Response:
    return JSONResponse({"pool": pool, "suspended": suspended, "changed": changed})
