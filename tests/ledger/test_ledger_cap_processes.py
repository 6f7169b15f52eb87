"""One cap, eight processes: it is never passed, and it is used up to the last image that fits.

SOAK_FULL=1 races for each kind of cap, `-s` prints the figures.
"""

import asyncio
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import IO, cast

import cap_racer
import pytest
from ledger_values import opened

PROCESSES = 8
PRICE_NANO = 40_000_000
CAP_NANO = 200 * PRICE_NANO + 39_999_999


KINDS = ["org_month", "tenant_day", "tenant_month", "tenant_total"] if os.environ.get("SOAK_FULL") else ["org_month"]


@pytest.mark.parametrize("kind", KINDS)
def test_eight_processes_use_a_cap_up_to_the_last_image_and_never_pass_it(ledger_url: str, kind: str) -> None:
    with ExitStack() as stack:
        racers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, cap_racer.__file__, ledger_url, str(CAP_NANO), str(PRICE_NANO), f"p{at}", kind],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for at in range(PROCESSES)
        ]
        for racer in racers:
            assert cast("IO[str]", racer.stdout).readline() == "ready\n"
        for racer in racers:
            cast("IO[str]", racer.stdin).write("go\n")
            cast("IO[str]", racer.stdin).flush()
        held = [int(cast("IO[str]", racer.stdout).readline()) for racer in racers]
    sys.stdout.write(f"{kind}: {sum(held)} of 200 images fit, by process {held}; overshoot {max(0, sum(held) - 200)}\n")
    assert sum(held) == 200

    async def books() -> int:
        async with opened(ledger_url) as ledger:
            return (await ledger.summary()).total.held_nano

    assert asyncio.run(books()) == 200 * PRICE_NANO
