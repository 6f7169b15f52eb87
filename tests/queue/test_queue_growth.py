"""What a queue keeps is bounded by what is under way, not by all that ever was."""

from queue_world import DEFAULT, DONE, QUEUES, TTL_SECONDS, World

from imagequeue.queue.claims import FORGET_BATCH_MAX, Ending, forget

FAILED = Ending(status="failed", ttl_seconds=TTL_SECONDS, error={"code": "x", "message": "y"})


def test_registries_forget_ended_jobs_whose_time_is_over(world: World) -> None:
    """An ended job's hash goes by itself; its entry in RQ's registry goes too, and a younger one's stays."""
    worker = world.worker()
    old, failed, cancelled, young = world.fill(4)
    for claim, ending in zip(worker.claim(2), (DONE, FAILED), strict=True):
        assert worker.settle(claim, ending)
    world.cancel(cancelled)
    for registry, name in (("finished", old), ("failed", failed), ("canceled", cancelled)):
        world.raw.zadd(world.keys.registry(registry, DEFAULT), {name: 1})
    assert worker.settle(*worker.claim())
    assert world.do(forget(world.scripts, QUEUES)) == 3
    assert world.registry("finished") == {young}
    assert world.registry("failed") == world.registry("canceled") == set()


def test_what_rq_keeps_for_ever_is_not_forgotten(world: World) -> None:
    """RQ notes a job that is kept for ever with -1 (its own worker, a result_ttl of -1)."""
    world.raw.zadd(world.keys.registry("finished", DEFAULT), {"kept": -1, "over": 1})
    assert world.do(forget(world.scripts, QUEUES)) == 1
    assert world.registry("finished") == {"kept"}


def test_one_step_forgets_a_bounded_number(world: World) -> None:
    """Millions that were left by an earlier version go a few at a time, and hold up nobody."""
    registry = world.keys.registry("finished", DEFAULT)
    world.raw.zadd(registry, {f"job-{number}": 1 for number in range(FORGET_BATCH_MAX + 3)})
    assert world.do(forget(world.scripts, QUEUES)) == FORGET_BATCH_MAX
    assert world.do(forget(world.scripts, QUEUES)) == 3


def test_workers_that_died_leave_rqs_sets(world: World) -> None:
    """RQ counts the workers of a queue in a set: the dead are not in it, whether reaped in time or long after."""
    alive = world.worker()
    dead, long_dead = world.worker(), world.worker()
    world.raw.delete(f"{world.keys.rq}:worker:{long_dead.name}")
    world.put()
    for worker in (dead, long_dead):
        world.expire(worker)
    world.reap()
    for queue in QUEUES[1:2]:
        members = world.raw.smembers(f"{world.keys.rq}:workers:{queue}")
        assert members == {f"{world.keys.rq}:worker:{alive.name}".encode()}
    assert world.raw.smembers(f"{world.keys.rq}:workers") == {f"{world.keys.rq}:worker:{alive.name}".encode()}


def test_a_reaped_worker_leaves_the_sets_of_all_its_queues(world: World) -> None:
    """Also those of queues that nobody has put a job on yet."""
    dead = world.worker()
    world.expire(dead)
    world.reap()
    assert not any(world.raw.exists(f"{world.keys.rq}:workers:{queue}") for queue in QUEUES)


def test_a_worker_that_retires_leaves_queues_it_serves_no_more(world: World) -> None:
    """A queue that was suspended while the worker ran is not among those it names at its end."""
    world.put()
    worker = world.worker()
    assert world.do(worker.claims.retire(["another.queue"])) == 0
    assert not any(world.raw.exists(f"{world.keys.rq}:workers:{queue}") for queue in QUEUES)


def test_tenants_that_are_done_leave_nothing_behind(world: World) -> None:
    """Tenants may be an application's users, millions of whom ask once."""
    worker = world.worker()
    for number in range(20):
        world.put(tenant=f"user-{number}")
        worker.settle(*worker.claim())
    before = set(world.own_keys())
    for number in range(20, 60):
        world.put(tenant=f"user-{number}")
        worker.settle(*worker.claim())
    assert set(world.own_keys()) == before
    assert world.raw.hlen(f"{world.keys.own}:queue:{DEFAULT}") < 10


def test_a_tenant_that_had_its_turn_waits_while_others_wait(world: World) -> None:
    """What is forgotten of a turn is forgotten when nobody waits; as long as somebody does, it counts."""
    worker = world.worker()
    greedy, patient = world.put(tenant="greedy"), world.fill(2, tenant="patient")
    assert [claim.id for claim in worker.claim()] == [greedy]
    world.put(tenant="greedy")
    assert [claim.id for claim in worker.claim()] == patient[:1]
