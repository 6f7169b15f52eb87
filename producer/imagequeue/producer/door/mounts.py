"""Parts that live beside the API under the same address, such as the dashboard: found by entry point, never imported.

An entry point of the group `imagequeue.mounts` names a function that takes a MountContext and returns Starlette
routes. Everything in the context comes from parts below the door, so that a mount needs nothing of the door itself.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Final, Protocol

import structlog
from starlette.requests import Request
from starlette.routing import BaseRoute

from imagequeue.config.catalog import Catalog
from imagequeue.config.settings import Settings
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.acts import Acts
from imagequeue.queue.reading import JobReader
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.status import Status
from imagequeue.store.store import ImageStore

GROUP: Final = "imagequeue.mounts"
HOME: Final = "dashboard"
"""The mount that `/` leads to, under `/dashboard/`."""

log = structlog.get_logger("imagequeue.door")


class StatusSource(Protocol):
    """Reads the status, shared among all who ask within a second."""

    async def read(self) -> Status:
        """Return a status at most a second old."""
        ...


class Key(Protocol):
    """A key that opens the door. `tenant` None: any."""

    @property
    def id(self) -> str:
        """Its public id."""
        ...

    @property
    def tenant(self) -> str | None:
        """The only tenant whose things it may see and change."""
        ...

    @property
    def scopes(self) -> Sequence[str]:
        """What it may do: `submit`, `read`, `admin` (which includes the others)."""
        ...


@dataclass(frozen=True, kw_only=True)
class MountContext:
    """What a mounted part works with.

    `is_open()` says that nobody needs a key; each request must then pass `check_same_machine`, which raises an
    ImageQueueError for those of other sites' pages. Otherwise `key_of(token)` gives the active key that a token is.
    `is_closing()` says that the door was told to stop: what lasts, such as a stream, must end then.
    """

    settings: Settings
    catalog: Catalog
    scripts: Scripts
    ledger: Ledger
    store: ImageStore
    reader: JobReader
    acts: Acts
    status: StatusSource
    is_open: Callable[[], bool]
    is_closing: Callable[[], bool]
    key_of: Callable[[str], Key | None]
    check_same_machine: Callable[[Request], None]


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """The routes of all mounts, and the names of those that could be loaded."""

    routes: tuple[BaseRoute, ...] = ()
    names: tuple[str, ...] = ()


def installed_mounts() -> list[EntryPoint]:
    """Return the entry points of all mounts by name; none is loaded."""
    return sorted(entry_points(group=GROUP), key=lambda part: part.name)


def mount_all(context: MountContext, parts: Iterable[EntryPoint]) -> Mounted:
    """Return the routes of the parts; one that cannot be loaded is logged and harms no other."""
    routes: list[BaseRoute] = []
    names: list[str] = []
    for part in parts:
        try:
            routes += part.load()(context)
        except Exception:  # a boundary: whatever a part does when loaded, the door opens; the log says so
            log.exception("a part cannot be mounted", part=part.name)
        else:
            names.append(part.name)
    return Mounted(routes=tuple(routes), names=tuple(names))
