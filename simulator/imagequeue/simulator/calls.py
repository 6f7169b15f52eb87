"""The log of calls: when each arrived, what became of it, how many were in flight. For measuring pace."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

CALLS_MAX: Final = 2_000_000


@dataclass(kw_only=True, slots=True)
class Call:
    """One request to an image endpoint. Times are monotonic seconds; `status` 0 means none yet, or none was sent."""

    request_id: str
    client_request_id: str | None
    org: str
    model: str
    n: int
    arrived_seconds: float
    ended_seconds: float | None = None
    status: int = 0
    accepted: bool = False
    fault: str | None = None


@dataclass(kw_only=True, slots=True)
class CallLog:
    """Calls in order of arrival, and the calls that are accepted and not yet ended."""

    calls: list[Call] = field(default_factory=list)
    in_flight: int = 0
    peak_in_flight: int = 0

    def arrive(self, call: Call) -> None:
        """Log an arrival; beyond CALLS_MAX the oldest tenth is forgotten."""
        if len(self.calls) >= CALLS_MAX:
            del self.calls[: CALLS_MAX // 10]
        self.calls.append(call)

    def accept(self, call: Call) -> None:
        """Note that the call passed all checks and its work begins."""
        call.accepted = True
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def end(self, call: Call) -> None:
        """Note the end of a call."""
        call.ended_seconds = time.monotonic()
        if call.accepted:
            self.in_flight -= 1

    def clear(self) -> None:
        """Forget all calls; those in flight still count."""
        self.calls.clear()
        self.peak_in_flight = self.in_flight

    def stats(self) -> dict[str, object]:
        """Return counts by status, first and last accepted start, and accepted starts and images per second."""
        accepted = [call for call in self.calls if call.accepted]
        first = accepted[0].arrived_seconds if accepted else None
        starts: Counter[int] = Counter()
        images: Counter[int] = Counter()
        for call in accepted:
            second = int(call.arrived_seconds - (first or 0.0))
            starts[second] += 1
            images[second] += call.n
        return {
            "calls": len(self.calls),
            "accepted": len(accepted),
            "images": sum(call.n for call in accepted),
            "rate_limited": sum(call.status == 429 for call in self.calls),
            "by_status": {
                str(status): count for status, count in sorted(Counter(c.status for c in self.calls).items())
            },
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "first_start_seconds": first,
            "last_start_seconds": accepted[-1].arrived_seconds if accepted else None,
            "starts_per_second": [starts[second] for second in range(max(starts, default=-1) + 1)],
            "images_per_second": [images[second] for second in range(max(images, default=-1) + 1)],
        }
