"""The tests of this folder start many processes; those of one file stay on one machine share."""

from collections.abc import Iterator

import pytest
from soak_processes import server_binary
from soak_site import Site, running_site

from imagequeue.simulator.latency import Latency


@pytest.fixture(scope="module", params=["valkey", "redis"])
def quick_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Yield each kind of server with a provider that answers in 20 ms; tests take sites of their own beside it."""
    try:
        server_binary(request.param)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with running_site(kind=request.param, latency=Latency(seconds=0.02)) as site:
        yield site
