"""What the door's handlers work with: built once by the composition root, and one value for each request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from imagequeue.config.catalog import Catalog
from imagequeue.config.clock import Clock
from imagequeue.config.settings import Settings
from imagequeue.ledger.ledger import Ledger
from imagequeue.producer.client import AsyncImageQueue
from imagequeue.producer.door.access import Access, Caller
from imagequeue.producer.door.announcements import Announcements
from imagequeue.producer.door.budgets import Budgets
from imagequeue.producer.door.gathering import Gathering
from imagequeue.producer.door.ownership import ImageOwners
from imagequeue.producer.door.rates import Rates
from imagequeue.producer.door.recent import RecentAgreement, RecentCounts, RecentStatus
from imagequeue.producer.inputs import Inputs
from imagequeue.queue.acts import Acts
from imagequeue.queue.reading import JobReader
from imagequeue.queue.scripts import Scripts
from imagequeue.store.store import ImageStore


@dataclass(frozen=True, kw_only=True)
class Door:
    """Everything behind the door."""

    settings: Settings
    catalog: Catalog
    clock: Clock
    queue: AsyncImageQueue
    gathering: Gathering
    scripts: Scripts
    ledger: Ledger
    store: ImageStore
    reader: JobReader
    acts: Acts
    status: RecentStatus
    tenant_counts: RecentCounts
    agreement: RecentAgreement
    announcements: Announcements
    access: Access
    rates: Rates
    budgets: Budgets
    owners: ImageOwners
    inputs: Inputs


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request of somebody who was let in."""

    request: Request
    door: Door
    caller: Caller

    @property
    def base_url(self) -> str:
        """Where this door is for the client, without a slash at its end: the public address, or as it was asked."""
        return (self.door.settings.public_url or str(self.request.base_url)).rstrip("/")


Handler = Callable[[Asked], Awaitable[Response]]
