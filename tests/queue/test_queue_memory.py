"""A server at its memory limit: what frees memory goes on to the last job, what would fill it is refused at once."""

from collections.abc import Iterator

import pytest
from queue_server import RunningServer
from queue_world import TTL_SECONDS, World, job

from imagequeue.config.errors import QueueUnavailable
from imagequeue.config.keys import Keys
from imagequeue.queue import pools
from imagequeue.queue.claims import Ending


@pytest.fixture
def full(own_valkey: RunningServer) -> Iterator[World]:
    """Yield a queue whose server can be filled."""
    with World(own_valkey.url(), Keys()) as made:
        made.raw.config_set("maxmemory-policy", "noeviction")
        yield made


def fill_up(world: World) -> None:
    """From now on the server has no memory to give."""
    world.raw.config_set("maxmemory", 1)


def test_a_full_server_drains_to_the_last_job(full: World) -> None:
    """Register, claim, renew, requeue, reap, promote, settle and retire, with maxmemory at one byte."""
    full.fill(60)
    dead = full.worker()
    dead.claim(10)
    full.expire(dead)
    fill_up(full)
    worker = full.worker()
    assert full.reap() == 10
    assert worker.renew()
    first, second, third, *_ = worker.claim(5)
    assert worker.requeue(first, delay_us=1, counts=True)
    assert worker.requeue(second)
    assert full.cancel(third.id) == "started"
    full.promote()
    full.do(pools.refuse(full.scripts, "main|dall-e-3", wait_us=1, reason="429"))
    full.do(pools.resume(full.scripts, "main|dall-e-3"))
    done = 0
    held = worker.held()
    while held:
        for claim in held:
            ending = Ending(status="finished" if done % 3 else "failed", ttl_seconds=TTL_SECONDS, error={"code": "x"})
            assert worker.settle(claim, ending)
            done += 1
        held = worker.claim(7)
    assert done == 60
    worker.retire()
    full.raw.config_set("maxmemory", 0)
    full.check()
    assert full.claimed() == {}


def test_a_full_server_refuses_new_jobs_and_takes_none_of_a_batch(full: World) -> None:
    fill_up(full)
    with pytest.raises(QueueUnavailable):
        full.add(*(job() for _ in range(5)))
    full.raw.config_set("maxmemory", 0)
    assert full.places() == {}
    assert full.put()


def test_cancelling_works_on_a_full_server(full: World) -> None:
    ids = full.fill(3)
    fill_up(full)
    assert [full.cancel(name) for name in ids] == ["queued"] * 3
    full.raw.config_set("maxmemory", 0)
    full.check()
