"""What the last audit of the ledger found, for metrics: `<own>:audited`, JSON of when it ran and whether it held."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from imagequeue.queue.scripts import Scripts


@dataclass(frozen=True, kw_only=True)
class Audited:
    """The last audit."""

    at: datetime
    breach: bool


async def note_audit(scripts: Scripts, audited: Audited) -> None:
    """Keep what an audit found, in place of the one before."""
    value = json.dumps([int(audited.at.timestamp()), audited.breach])
    await scripts.redis.set(f"{scripts.keys.own}:audited", value)


async def last_audit(scripts: Scripts) -> Audited | None:
    """Return the last audit, None when there was none."""
    value = await scripts.redis.get(f"{scripts.keys.own}:audited")
    if value is None:
        return None
    seconds, breach = json.loads(value)
    return Audited(at=datetime.fromtimestamp(seconds, UTC), breach=bool(breach))
