"""Remembers for a moment what was found or made, so that many viewers cost little more than one."""

import time
from collections import OrderedDict
from typing import Final, Generic, TypeVar

REMEMBERED_MAX: Final = 500

Thing = TypeVar("Thing")


class Memory(Generic[Thing]):
    """The last things, by name; so many at most, the oldest goes first."""

    def __init__(self) -> None:
        self._things: OrderedDict[object, tuple[float, Thing]] = OrderedDict()

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
        """Forget everything."""
        self._things.clear()
