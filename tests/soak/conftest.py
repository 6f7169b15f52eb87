"""The tests of this folder start many processes; those of one file stay on one machine share."""

from collections.abc import Iterator

import pytest
from soak_site import Site, running_site

from imagequeue.simulator.latency import Latency


@pytest.fixture(scope="module")
def quick_site() -> Iterator[Site]:
    """Yield a server and a provider that answers in 20 ms; tests take sites of their own beside it."""
    with running_site(latency=Latency(seconds=0.02)) as site:
        yield site
