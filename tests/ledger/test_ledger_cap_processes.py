"""One cap, eight processes: it is never passed, and it is used up to the last image that fits.

SOAK_FULL=1 races for each kind of cap, `-s` prints the figures.
"""

import asyncio
import os
import sys

import pytest
from cap_racer import racer
from ledger_values import opened
from ready_process import forking

from imagequeue.ledger.api import CapKind

PROCESSES = 8
PRICE_NANO = 40_000_000
CAP_NANO = 200 * PRICE_NANO + 39_999_999


ENDED_SECONDS_MAX = 60.0
KINDS = ("org_month", "tenant_day", "tenant_month", "tenant_total") if os.environ.get("SOAK_FULL") else ("org_month",)


@pytest.mark.parametrize("kind", KINDS)
def test_eight_processes_use_a_cap_up_to_the_last_image_and_never_pass_it(ledger_url: str, kind: CapKind) -> None:
    processes = forking()
    together, told = processes.Barrier(PROCESSES), processes.Queue()
    racers = [
        processes.Process(target=racer, args=(ledger_url, CAP_NANO, PRICE_NANO, f"p{at}", kind, together, told))
        for at in range(PROCESSES)
    ]
    for process in racers:
        process.start()
    held = [told.get(timeout=ENDED_SECONDS_MAX) for _ in racers]
    for process in racers:
        process.join(ENDED_SECONDS_MAX)
        assert process.exitcode == 0
    sys.stdout.write(f"{kind}: {sum(held)} of 200 images fit, by process {held}; overshoot {max(0, sum(held) - 200)}\n")
    assert sum(held) == 200

    async def books() -> int:
        async with opened(ledger_url) as ledger:
            return (await ledger.summary()).total.held_nano

    assert asyncio.run(books()) == 200 * PRICE_NANO
