"""How a cap that a call would pass is told to people. Pure."""

from imagequeue.config.money import format_usd
from imagequeue.config.orgs import Org
from imagequeue.ledger.api import CapReached


def cap_detail(cap: CapReached, org: Org) -> str:
    """Return which cap it is and how far it is used; for credits, what the wallet lacks."""
    if cap.kind == "credits":
        return (
            f"{cap.scope}: the wallet holds fewer credits than the {org.credits_per_call} that a call takes; "
            "`imagequeue ledger credits purchase` adds some"
        )
    return f"{cap.scope}: {format_usd(cap.used_nano)} of {format_usd(cap.limit_nano)} dollars are used or held"
