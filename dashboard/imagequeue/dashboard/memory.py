"""Remembers for a moment what was found or made, so that many viewers cost little more than one."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

REMEMBERED_MAX: Final = 500

Thing = TypeVar("Thing")


class Memory(Generic[Thing]):
    """The last things, by name; so many at most, the oldest goes first."""

    def __init__(self) -> None:
        self._things: OrderedDict[object, tuple[float, Thing]] = OrderedDict()
        self._making: dict[object, asyncio.Task[Thing]] = {}

    async def shared(self, name: object, fresh_seconds: float, make: Callable[[], Awaitable[Thing]]) -> Thing:
        """Return a thing that is fresh enough, or make it: once, however many ask meanwhile, for whom it fails too."""
        found = self.recall(name, fresh_seconds)
        if found is not None:
            return found
        if name not in self._making:
            task = self._making[name] = asyncio.ensure_future(self._made(name, make))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # heard, though all may have left
        return await asyncio.shield(self._making[name])

    async def _made(self, name: object, make: Callable[[], Awaitable[Thing]]) -> Thing:
        try:
            thing = await make()
        finally:
            is_wanted = self._making.get(name) is asyncio.current_task()  # not so when all was forgotten meanwhile
            if is_wanted:
                del self._making[name]
        if is_wanted:
            self.note(name, thing)
        return thing

    def recall(self, name: object, fresh_seconds: float) -> Thing | None:
        """Return a thing that is fresh enough."""
        found = self._things.get(name)
        return found[1] if found is not None and time.monotonic() - found[0] < fresh_seconds else None

    def note(self, name: object, thing: Thing) -> None:
        """Remember a thing."""
        self._things[name] = (time.monotonic(), thing)
        self._things.move_to_end(name)
        while len(self._things) > REMEMBERED_MAX:
            self._things.popitem(last=False)

    def clear(self) -> None:
        """Forget everything, also what is being made now."""
        self._things.clear()
        self._making.clear()
