"""Whose an image is: every tenant's who gave it in, or whose job made it or was answered with it, by the ledger."""

from collections import OrderedDict
from typing import Final

from imagequeue.ledger.ledger import Ledger

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
            if not await self._ledger.owned_images(tenant, [sha256]):
                return False
            self._known[pair] = None
        self._known.move_to_end(pair)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return True
