"""The server's hints that a queue changed, whoever changed it: what lets an idle worker sleep and still start at once.

Client-side caching in broadcasting mode (CLIENT TRACKING ... BCAST, Redis 6 and later): the server names every key
under a prefix that a command changed. It needs no configuration of the server, and covers jobs that RQ's own client
enqueues.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, cast

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.connection import Connection
from redis.exceptions import RedisError

CHANNEL: Final = "__redis__:invalidate"
LISTEN_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 5.0

log = structlog.get_logger("imagequeue.worker")


class Hints:
    """Listens for changed keys. `working` says whether the server gives hints; without them, polling must do.

    `redis` must speak RESP2: there the hints come as messages on a channel, on the connection that asked for them.
    """

    def __init__(self, redis: Redis, prefixes: Sequence[str], hint: Callable[[Sequence[bytes]], None]) -> None:
        self._redis = redis
        self._prefixes = prefixes
        self._hint = hint
        self.working = False

    async def listen(self) -> None:
        """Pass hints on, for ever: a broken connection is made again, a refusal is asked again later."""
        this = asyncio.current_task()
        while not _is_cancelled(this):
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                log.debug("no hints from the server", error=str(error))
            self.working = False
            await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            await self._track(channel)
            await channel.subscribe(CHANNEL)
            self.working = True
            self._hint(())  # what changed before is not told
            this = asyncio.current_task()
            while not _is_cancelled(this):
                message = await channel.get_message(timeout=LISTEN_SECONDS)
                if message is not None:
                    self._hint(message["data"] or ())

    async def _track(self, channel: PubSub) -> None:
        """Ask for hints on the channel's own connection, before it subscribes and takes no more commands."""
        await channel.connect()  # type: ignore[no-untyped-call]  # redis-py has no types here
        connection = cast("Connection", channel.connection)  # typed as None before it connects
        await connection.send_command("CLIENT", "ID")
        own = await connection.read_response()
        named = [word for prefix in self._prefixes for word in ("PREFIX", prefix)]
        await connection.send_command("CLIENT", "TRACKING", "ON", "REDIRECT", str(own), "BCAST", *named)
        await connection.read_response()


def _is_cancelled(task: asyncio.Task[object] | None) -> bool:
    """A client library may take a cancellation for a timeout of its own; it is still asked for."""
    return task is not None and task.cancelling() > 0
