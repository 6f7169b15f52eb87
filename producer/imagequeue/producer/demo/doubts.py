"""Settles what is in doubt with the provider's bill: an unanswered call is on it, or it was never made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from imagequeue.ledger.api import AttemptRow
from imagequeue.ledger.ledger import Ledger
from imagequeue.producer.demo.provider import BillLine

BY: Final = "demo"


@dataclass(frozen=True, kw_only=True)
class Settled:
    """How many calls in doubt turned out billed, and how many not."""

    billed: int = 0
    not_billed: int = 0


async def settle_doubts(ledger: Ledger, attempts: Iterable[AttemptRow], bill: Iterable[BillLine]) -> Settled:
    """Resolve every attempt in doubt by its name on the bill."""
    charged: Mapping[str, int] = {line.name: line.nano_usd for line in bill}
    billed = not_billed = 0
    for row in attempts:
        if row.state != "in_doubt":
            continue
        usd_nano = charged.get(row.client_request_id or f"{row.job_id}-{row.n}")
        if usd_nano is None:
            await ledger.resolve(row.attempt_id, "not_billed", reason="not on the provider's bill", by=BY)
            not_billed += 1
        else:
            await ledger.resolve(row.attempt_id, "billed", usd_nano, reason="on the provider's bill", by=BY)
            billed += 1
    return Settled(billed=billed, not_billed=not_billed)
