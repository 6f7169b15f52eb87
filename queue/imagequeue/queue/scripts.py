"""The Lua scripts: loaded from their files once, sent by hash, each under its name."""

import functools
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from redis import exceptions
from redis.asyncio import Redis

from imagequeue.config.errors import QueueUnavailable
from imagequeue.config.keys import Keys
from imagequeue.queue.connection import ServerRefuses

Argument = str | bytes | int | float

INCLUDE = "-- include: "
TROUBLE = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.MasterDownError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    ServerRefuses,
)


@functools.cache
def source(name: str) -> str:
    """Return the text of a script with the file it includes in front."""
    text = (files("imagequeue.queue") / "lua" / f"{name}.lua").read_text(encoding="utf-8")
    first, _, rest = text.partition("\n")
    if not first.startswith(INCLUDE):
        return text
    included = first.removeprefix(INCLUDE).removesuffix(".lua")
    return f"{source(included)}\n{rest}"


@functools.cache
def digest(name: str) -> str:
    """Return the hash under which the server knows a script."""
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


def unavailable(error: Exception) -> QueueUnavailable:
    """Return what is told of a server that cannot run a script now."""
    return QueueUnavailable(f"the Redis server cannot be used now: {error}")


class Scripts:
    """Runs scripts against one server under one set of keys."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys

    async def run(self, name: str, arguments: Sequence[Argument]) -> Any:
        """Return what script `name` answers; QueueUnavailable when the server cannot run it now.

        After QueueUnavailable it is not known whether it ran: the reply may have been lost.
        """
        try:
            return await self._evaluate(name, (self.keys.rq, self.keys.own, *arguments))
        except TROUBLE as error:
            raise unavailable(error) from error

    async def load(self, name: str) -> None:
        """Make a script known to the server."""
        await self.redis.script_load(source(name))

    async def _evaluate(self, name: str, arguments: Sequence[Argument]) -> Any:
        try:
            return await self.redis.evalsha(digest(name), 0, *arguments)
        except exceptions.NoScriptError:  # a new server, or one whose scripts were flushed; nothing ran
            await self.load(name)
            return await self.redis.evalsha(digest(name), 0, *arguments)
