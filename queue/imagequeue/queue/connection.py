"""Connections to Redis or Valkey: with deadlines, and without retries that would run a command twice."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import DefaultParser
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

CONNECT_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 10.0
CONNECTIONS_MAX = 16


class ServerRefuses(ResponseError):
    """The server answers, and takes no command now: a script runs on and on, or its disk or a replica is missing."""


class _Parser(DefaultParser):  # type: ignore[valid-type,misc]  # redis-py chooses it when it is imported: hiredis or not
    """Knows the refusals that pass by themselves or by a hand of the operator, which redis-py takes for mistakes."""

    EXCEPTION_CLASSES = {  # noqa: RUF012 - the base class's own shape
        **DefaultParser.EXCEPTION_CLASSES,
        "BUSY": ServerRefuses,
        "MISCONF": ServerRefuses,
        "NOREPLICAS": ServerRefuses,
    }


def connect(
    url: str, *, answer_seconds: float = ANSWER_SECONDS_MAX, connections: int = CONNECTIONS_MAX, protocol: int = 3
) -> Redis:
    """Return a client of the server at `url`; nothing is sent until it is used. `protocol` is RESP's version, 2 or 3.

    redis-py by default sends a command up to ten times more when the connection breaks, also when the server had run
    it: one reset after an RPUSH queues a job twice. Here each command is sent once; what must survive a lost reply
    says how.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        timeout=answer_seconds,
        socket_timeout=answer_seconds,
        socket_connect_timeout=CONNECT_SECONDS_MAX,
        protocol=protocol,
        retry=Retry(NoBackoff(), 0),
        max_connections=connections,
        health_check_interval=30,
        parser_class=_Parser,
    )
    return Redis.from_pool(pool)
