"""What the ledger's tests start from: a clock that stands still, holds, answers, and an open ledger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from imagequeue.config.clock import Clock
from imagequeue.ledger.api import Ending, Held, HoldRequest, ImageRecord, Settlement
from imagequeue.ledger.ledger import Ledger

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass
class ManualClock:
    """A clock that stands until it is moved."""

    moment: datetime = NOON

    def now(self) -> datetime:
        """Return the moment that was set."""
        return self.moment

    def forward(self, **time: float) -> None:
        """Move on by the arguments of a timedelta."""
        self.moment += timedelta(**time)


def request(job_id: str | None = None, **changes: Any) -> HoldRequest:
    """Return a hold of one image for $0.04, with changes."""
    values: dict[str, Any] = {
        "job_id": job_id or uuid4().hex,
        "lease_token": "lease",
        "org": "main",
        "model": "dall-e-3",
        "tenant": "default",
        "priority": "default",
        "operation": "generation",
        "images": 1,
        "upper_bound_nano": 40_000_000,
        "catalog_version": "2026-11-21",
    }
    return HoldRequest(**(values | changes))


def image(sha256: str = "ab" * 32) -> ImageRecord:
    return ImageRecord(sha256=sha256, bytes=1234, width=1024, height=1024, format="png", revised_prompt="a fox")


def settlement(usd_nano: int = 40_000_000, **changes: Any) -> Settlement:
    values: dict[str, Any] = {
        "usd_nano": usd_nano,
        "images": (image(),),
        "sent_at": NOON,
        "ended_at": NOON + timedelta(seconds=15),
        "status_code": 200,
        "request_id": uuid4().hex,
    }
    return Settlement(**(values | changes))


def ending(**changes: Any) -> Ending:
    return Ending(**({"ended_at": NOON, "status_code": 429, "error_code": "rate_limit_exceeded"} | changes))


@asynccontextmanager
async def opened(url: str, clock: Clock | None = None) -> AsyncIterator[Ledger]:
    """Open a ledger; at the end its books must be right."""
    ledger = await Ledger.open(url, clock=clock or ManualClock(), commits_per_second=1_000)
    try:
        yield ledger
        (await ledger.audit()).raise_for_breach()
    finally:
        await ledger.aclose()


async def held(ledger: Ledger, job_id: str | None = None, **changes: Any) -> Held:
    """Hold, which must succeed."""
    result = await ledger.hold(request(job_id, **changes))
    assert isinstance(result, Held), result
    return result
