"""Credits: which grants pay for an operation, and what it then cost. Pure.

A credit is worth what was paid for it: 115 for $15 are 13 cents each, free ones nothing. The grant that expires first
pays first. A part of a grant costs its share of what is left of the price, rounded down, so that the whole grant costs
exactly its price.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

GrantKind = Literal["monthly", "bonus", "purchase", "grant"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """Credits that were given or bought together. `expires_at_us` None: never."""

    grant_id: int
    credits: int
    paid_nano: int
    expires_at_us: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class GrantRow:
    """A grant as it is listed: what was given or bought, what was paid, and what is left of both."""

    grant_id: int
    org: str
    kind: GrantKind
    credits: int
    credits_left: int
    paid_nano: int
    paid_left_nano: int
    granted_at: datetime
    expires_at: datetime | None
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """What one operation takes from one grant."""

    grant_id: int
    credits: int
    paid_nano: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Wallet:
    """What an organization can still use: credits, and what was paid for them."""

    org: str
    credits: int
    worth_nano: int
    next_expiry: datetime | None


def draw(grants: Sequence[Grant], count: int) -> tuple[Draw, ...] | None:
    """Return what pays for `count` credits, first what expires first; None when there are not as many."""
    draws, missing = [], count
    for grant in sorted(grants, key=_expiry):
        taken = min(missing, grant.credits)
        if taken:
            paid_nano = grant.paid_nano * taken // grant.credits
            draws.append(Draw(grant_id=grant.grant_id, credits=taken, paid_nano=paid_nano))
            missing -= taken
    return None if missing else tuple(draws)


def without(grants: Sequence[Grant], draws: Sequence[Draw]) -> list[Grant]:
    """Return what is left of the grants."""
    taken = {one.grant_id: one for one in draws}
    return [
        replace(
            grant,
            credits=grant.credits - taken[grant.grant_id].credits,
            paid_nano=grant.paid_nano - taken[grant.grant_id].paid_nano,
        )
        if grant.grant_id in taken
        else grant
        for grant in grants
    ]


def _expiry(grant: Grant) -> tuple[bool, int, int]:
    return grant.expires_at_us is None, grant.expires_at_us or 0, grant.grant_id
