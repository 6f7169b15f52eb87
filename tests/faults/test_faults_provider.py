"""Every fault that the simulated provider knows, each met by a site of its own."""

import pytest
from faults_provider import GIVES_UP, KINDS, PERSON, provider_faults

HITS = 1
JOBS = 3
HALVES = (KINDS[: len(KINDS) // 2], KINDS[len(KINDS) // 2 :])


@pytest.mark.kill
@pytest.mark.timeout(240)
@pytest.mark.parametrize("kinds", HALVES, ids=["first half", "second half"])
def test_whatever_the_provider_does_every_cent_is_known(kinds: tuple[str, ...]) -> None:
    for seen in provider_faults(kinds, jobs=JOBS, hits=HITS):
        print(seen.line())  # noqa: T201  # shown when the test fails
        assert seen.problems == [], seen.fault
        if seen.fault in GIVES_UP:
            assert seen.found.failed > 0, seen.fault
            assert any(reason.startswith("job: ") for reason in seen.reasons), seen.fault
        else:
            assert seen.found.succeeded == JOBS, seen.fault
        if seen.fault in PERSON:
            assert any(reason.startswith("pool: ") for reason in seen.reasons), seen.fault
