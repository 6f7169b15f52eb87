"""What workers measure: each figure's name, meaning, labels and bounds, as workers write and the door shows it.

Names are Prometheus': base units, `_seconds`, `_total`. Bounds are fixed, so that the counts of any number of workers
add up. Labels come from the configuration and from fixed words, so that their number is bounded.
"""

from dataclasses import dataclass
from typing import Final

ROUND_TRIP: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CALL: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A counter (no `bounds`), or a histogram of seconds with these upper bounds of its buckets."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


CLAIMS: Final = Measure(
    name="imagequeue_claim_duration_seconds",
    help="How long one claim took, the server's answer included.",
    bounds=ROUND_TRIP,
)
CALLS: Final = Measure(
    name="imagequeue_call_duration_seconds",
    help="How long one call of the image API took, by what it came to.",
    labels=("pool", "outcome"),
    bounds=CALL,
)
ATTEMPTS: Final = Measure(
    name="imagequeue_attempts",
    help="Calls of the image API that ended, by what they came to.",
    labels=("pool", "model", "outcome"),
)
LOOP_LAG: Final = Measure(
    name="imagequeue_event_loop_lag_seconds",
    help="How much later than asked for a worker's event loop woke, four times a second.",
    bounds=ROUND_TRIP,
)
HOLDS: Final = Measure(
    name="imagequeue_ledger_hold_duration_seconds",
    help="How long a job waited for the ledger to commit its hold.",
    bounds=ROUND_TRIP,
)
COMMITS: Final = Measure(
    name="imagequeue_ledger_commit_duration_seconds",
    help="How long one transaction of the ledger took.",
    bounds=ROUND_TRIP,
)
STORES: Final = Measure(
    name="imagequeue_store_duration_seconds",
    help="How long it took to make one image durable.",
    bounds=ROUND_TRIP,
)
MEASURES: Final = (CLAIMS, CALLS, ATTEMPTS, LOOP_LAG, HOLDS, COMMITS, STORES)
"""All of them, in the order in which they are shown."""
