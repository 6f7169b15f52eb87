"""Connections to Redis or Valkey: with deadlines, and without retries that would run a command twice."""

from collections.abc import Mapping
from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    DefaultParser,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import ResponseError
from redis.typing import EncodableT

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


class _Packing:
    """Writes commands with hiredis; redis-py reads with it, but where it is asynchronous it joins piece to piece.

    A step that queues 500 jobs is a command of 8,000 arguments: joined so they take eight times as long.
    """

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        """Return a command as it is sent."""
        packed: list[bytes] = HiredisRespSerializer().pack(*args)  # type: ignore[arg-type]  # redis-py's own says list
        return packed


class _Tcp(_Packing, Connection):
    pass


class _Tls(_Packing, SSLConnection):
    pass


class _Unix(_Packing, UnixDomainSocketConnection):
    pass


CONNECTIONS: Final[Mapping[type[AbstractConnection], type[AbstractConnection]]] = {
    Connection: _Tcp,
    SSLConnection: _Tls,
    UnixDomainSocketConnection: _Unix,
}
"""What stands for each kind of connection that a URL names."""


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
    pool.connection_class = CONNECTIONS[pool.connection_class]
    return Redis.from_pool(pool)
