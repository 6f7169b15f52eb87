"""How a pool's suspension for want of money is worded, and read again: what is short, and until when. Pure.

The suspension itself is short, since money may be there at any time; what people want to know is when it surely is.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from imagequeue.config.clock import iso
from imagequeue.queue.record import parse_moment

PREFIX: Final = "budget: "
STARTS_ANEW: Final = "; the cap starts anew "
TO_TENANT: Final = "its organization's money is used up"
"""What a tenant is told: how much that is, is what all tenants spent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Short:
    """What a pool has no money for. `until` None: until a person acts."""

    detail: str
    until: datetime | None


def worded(short: Short) -> str:
    """Return the reason of a suspension."""
    return PREFIX + short.detail + ("" if short.until is None else STARTS_ANEW + iso(short.until))


def read(reason: str) -> Short | None:
    """Return what a suspension's reason says is short; None when it is not for want of money."""
    if not reason.startswith(PREFIX):
        return None
    detail, _, at = reason.removeprefix(PREFIX).partition(STARTS_ANEW)
    return Short(detail=detail, until=parse_moment(at))
