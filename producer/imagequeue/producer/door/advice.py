"""Advice over HTTP: what would help in the longer run. It is about all tenants, so a tenant's key may not see it."""

from redis.exceptions import RedisError
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.config.errors import QueueUnavailable
from imagequeue.producer.advice.advise import advise
from imagequeue.producer.advice.gathering import gather_facts
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.problems import forbidden
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.serving import route


def advice_routes() -> list[Route]:
    """Return the route of advice."""
    return [route("/v1/advice", "GET", show_advice, scope="read")]


async def show_advice(asked: Asked) -> Response:
    """Show the findings, as `imagequeue advice --json` does."""
    check_known(asked.request.query_params, ())
    if asked.caller.tenant is not None:
        raise forbidden("advice is about all tenants; a key without a tenant is needed")
    door = asked.door
    try:
        facts = await gather_facts(door.settings, door.catalog, door.scripts, door.ledger, door.clock.now())
    except RedisError as error:
        raise QueueUnavailable(f"the Redis server cannot be used now: {error}") from error
    return JSONResponse({"findings": [finding.as_json() for finding in advise(facts)]})
