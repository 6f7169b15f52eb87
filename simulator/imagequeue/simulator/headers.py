"""The headers of every answer: request id, organization, version, time taken, and what is left of the limits."""

import time
from typing import Final

from imagequeue.simulator.bucket import Bucket, Gate
from imagequeue.simulator.config import GroupLimits, SimulatedOrg
from imagequeue.simulator.provider import org_id

API_VERSION: Final = "2020-10-01"


def answer_headers(*, request_id: str, org: SimulatedOrg | None, arrived_seconds: float) -> dict[str, str]:
    """Return the headers that every answer carries; `arrived_seconds` is monotonic."""
    headers = {
        "x-request-id": request_id,
        "openai-version": API_VERSION,
        "openai-processing-ms": str(int((time.monotonic() - arrived_seconds) * 1000)),
    }
    if org is not None:
        headers["openai-organization"] = org_id(org)
    return headers


def limit_headers(published: GroupLimits, gate: Gate) -> dict[str, str]:
    """Return x-ratelimit-*: the published ceiling, and what the real bucket has left.

    Images are told as `requests`: no official text knows a header for images.
    """
    now = time.monotonic()
    return {
        **_dimension("requests", published.images_per_minute, gate.images, now),
        **_dimension("tokens", published.tokens_per_minute, gate.tokens, now),
    }


def _dimension(name: str, limit_per_minute: float | None, bucket: Bucket | None, now: float) -> dict[str, str]:
    if limit_per_minute is None or bucket is None:
        return {}
    return {
        f"x-ratelimit-limit-{name}": f"{limit_per_minute:.10g}",
        f"x-ratelimit-remaining-{name}": str(max(0, int(bucket.level(now)))),
        f"x-ratelimit-reset-{name}": reset_text(bucket.full_in_seconds(now)),
    }


def reset_text(seconds: float) -> str:
    """Return a duration as the provider writes it: `0s`, `12ms`, `1.5s`, `6m0s`."""
    milliseconds = round(max(0.0, seconds) * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"
