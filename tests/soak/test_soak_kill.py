"""Workers killed, stopped and paused at random under load: nothing lost, nothing settled twice, every cent known."""

import os
import random

import pytest
from soak import SoakPlan, soak

KILLS = 60
JOBS = 2500
BACK_SECONDS_MAX = 20.0  # other tests run beside it; `make soak` holds it to the lease and two seconds


@pytest.mark.kill
@pytest.mark.timeout(480)
def test_sixty_kills_lose_nothing_and_the_ledger_is_the_bill() -> None:
    """SOAK_SEED replays a run; the seed stands in the line that is shown when this fails."""
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(10**9))
    report = soak(SoakPlan(kills=KILLS, jobs=JOBS, seed=seed, back_seconds_max=BACK_SECONDS_MAX))
    print(report.line())  # noqa: T201  # shown when the test fails
    assert report.done["kill"] == KILLS
    assert report.taken_seconds
    assert report.audits > KILLS
    assert report.problems == [], f"seed {seed}; what happened is in {report.log}"
