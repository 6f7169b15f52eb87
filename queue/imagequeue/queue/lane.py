"""Scripts over one connection that is kept, for whoever asks again and again: half the CPU of a trip by the pool.

Taking a connection, asking whether it still lives and giving it back costs more than the command. Only the first to ask
has the lane; whoever comes while it is taken goes by the pool, so that nobody waits for anybody. That a connection was
closed is only found out by using it: QueueUnavailable then, and the next one connects anew. So a lane is for what is
asked for again after a lost reply, as jobs are queued.
"""

from collections.abc import Sequence
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from imagequeue.config.keys import Keys
from imagequeue.queue.scripts import Argument, Scripts, digest

EVALSHA: Final = "EVALSHA"


class Lane(Scripts):
    """Runs scripts as `Scripts` does. The connection goes with its pool when that is closed."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        super().__init__(redis, keys)
        self._connection: AbstractConnection | None = None
        self._taken = False

    async def _evaluate(self, name: str, arguments: Sequence[Argument]) -> Any:
        if self._taken:
            return await super()._evaluate(name, arguments)
        self._taken = True
        try:
            return await self._by_lane(name, arguments)
        except exceptions.NoScriptError:  # nothing ran
            return await super()._evaluate(name, arguments)
        finally:
            self._taken = False

    async def _by_lane(self, name: str, arguments: Sequence[Argument]) -> Any:
        if self._connection is None:
            pool = self.redis.connection_pool
            self._connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it so
        await self._connection.send_command(EVALSHA, digest(name), 0, *arguments)  # it connects anew when it is broken
        return await self._connection.read_response()
