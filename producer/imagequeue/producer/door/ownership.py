"""Whose an image is: every tenant's with a succeeded job that has it among its images, by the ledger."""

import json
from collections import OrderedDict
from typing import Final

from sqlalchemy import Connection, select

from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.schema import outcome

KNOWN_MAX: Final = 10_000


class ImageOwners:
    """Asks the ledger, and remembers who was an owner: that never ends. Who was not may become one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def owns(self, tenant: str, sha256: str) -> bool:
        """Return whether an image is one of a tenant's."""
        pair = (tenant, sha256)
        if pair not in self._known:
            if not await self._ledger.read(lambda connection: _owns(connection, tenant, sha256)):
                return False
            self._known[pair] = None
        self._known.move_to_end(pair)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return True


def _owns(connection: Connection, tenant: str, sha256: str) -> bool:
    """The text only finds candidates: a revised prompt may hold any digest that somebody wrote into a prompt."""
    mine = outcome.c.tenant == tenant
    query = select(outcome.c.images).where(mine, outcome.c.images.contains(sha256, autoescape=True))
    rows = connection.execution_options(stream_results=True).execute(query).scalars()
    return any(image["sha256"] == sha256 for row in rows for image in json.loads(row))
