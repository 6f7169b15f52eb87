"""How the calls of the last minutes went: how long they took, how many failed. Looks at so many of the newest only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from imagequeue.ledger.committer import IDS_PER_WRITER
from imagequeue.ledger.moments import microseconds
from imagequeue.ledger.schema import attempt, writer

WRITERS_MAX: Final = 32
ATTEMPTS_PER_WRITER_MAX: Final = 200
REFUSED: Final = 429
ANSWERED: Final = ("settled", "reconciled")


@dataclass(frozen=True, kw_only=True, slots=True)
class RecentCalls:
    """Calls that ended from a moment on, of the newest by each process that books: so many at most.

    `refused` for their rate, which is no failure; `failed` otherwise, without images. Seconds are those of the calls
    that brought images, None when there were none. `error_rate` is the share of failed ones in those not refused.
    """

    calls: int
    answered: int
    refused: int
    failed: int
    p50_s: float | None
    p95_s: float | None

    @property
    def error_rate(self) -> float | None:
        """The failed part of the calls that were not refused; None when there were none."""
        counted = self.answered + self.failed
        return self.failed / counted if counted else None

    def as_json(self) -> dict[str, object]:
        """Return JSON values."""
        rate = self.error_rate
        return {
            "calls": self.calls,
            "answered": self.answered,
            "refused": self.refused,
            "failed": self.failed,
            "error_rate": None if rate is None else round(rate, 6),
            "p50_s": self.p50_s,
            "p95_s": self.p95_s,
        }


Row = tuple[str, int | None, int, int]
"""State, status code, when sent and when ended."""


def recent_calls(connection: Connection, since: datetime) -> RecentCalls:
    """Return how the calls went that ended from `since` on; batches are none."""
    newest = select(writer.c.id).order_by(writer.c.id.desc()).limit(WRITERS_MAX)
    rows: list[Row] = []
    for writer_id in connection.execute(newest).scalars():
        rows += _of_writer(connection, writer_id, microseconds(since))
    return figures(rows)


def figures(rows: Sequence[Row]) -> RecentCalls:
    """Return the figures of some calls. Pure."""
    answered = sorted((ended - sent) / 1_000_000 for state, _, sent, ended in rows if state in ANSWERED)
    refused = sum(1 for state, code, _, _ in rows if state not in ANSWERED and code == REFUSED)
    return RecentCalls(
        calls=len(rows),
        answered=len(answered),
        refused=refused,
        failed=len(rows) - len(answered) - refused,
        p50_s=_quantile(answered, 0.5),
        p95_s=_quantile(answered, 0.95),
    )


def _of_writer(connection: Connection, writer_id: int, since_us: int) -> list[Row]:
    first = writer_id * IDS_PER_WRITER
    columns = (attempt.c.state, attempt.c.status_code, attempt.c.sent_at_us, attempt.c.ended_at_us, attempt.c.delivery)
    newest = select(*columns).where(attempt.c.id >= first, attempt.c.id < first + IDS_PER_WRITER)
    rows = connection.execute(newest.order_by(attempt.c.id.desc()).limit(ATTEMPTS_PER_WRITER_MAX))
    return [
        (state, code, sent_us, ended_us)
        for state, code, sent_us, ended_us, delivery in rows
        if delivery == "now" and sent_us is not None and ended_us is not None and ended_us >= since_us
    ]


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that `share` of all do not exceed (the nearest rank)."""
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 6) if ordered else None
