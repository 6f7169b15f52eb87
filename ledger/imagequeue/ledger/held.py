"""The attempts that this process holds, remembered, so that their rows are not read again when they end.

Nothing but its end changes the row of a held attempt (triggers refuse it), and the update that ends one asks for the
state that it was in: a memory that another process has overtaken changes no row, and the transaction starts over with
what the database says. A row here is what its hold wrote: the columns of its end that hold nothing yet are not in it.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final, cast

from imagequeue.ledger.rows import AttemptColumns
from imagequeue.ledger.transaction import Parameters

HELD_MAX: Final = 8_192
"""Rows of some 2 kB; beyond it the oldest are forgotten, and read again when they end."""


class HeldAttempts:
    """Rows of held attempts by id, the oldest first."""

    def __init__(self) -> None:
        self._rows: dict[int, AttemptColumns] = {}

    @property
    def rows(self) -> Mapping[int, AttemptColumns]:
        """Every row that is remembered."""
        return self._rows

    def note(self, begun: Iterable[Parameters], ended: Iterable[Parameters]) -> None:
        """Take over what a committed transaction inserted, and forget what it resolved."""
        for row in begun:
            self._rows[cast("int", row["id"])] = cast("AttemptColumns", row)
        for row in ended:
            self._rows.pop(cast("int", row["key"]), None)
        for key in list(islice(self._rows, max(0, len(self._rows) - HELD_MAX))):
            del self._rows[key]
