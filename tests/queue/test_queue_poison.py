"""A job that kills its workers ends as poison; the jobs that were beside it do not."""

from queue_world import DEFAULT, TTL_SECONDS, World, job

from imagequeue.queue.entries import Entry, enqueue

JOBS = 12
ROUNDS_MAX = 400
CRASHES_MAX = 10


def test_jobs_beside_a_poisonous_one_are_told_apart_from_it(world: World) -> None:
    """A worker takes all that is due and dies of the poison if that is among it; else it ends what it took."""
    ids = world.fill(JOBS)
    poison, deaths, told = ids[0], 0, ""
    for _ in range(ROUNDS_MAX):
        worker = world.worker()
        claims = {claim.id: claim for claim in worker.claim(JOBS)}
        if poison in claims and claims[poison].kind == "poison":
            told = "poison"
            worker.settle(claims.pop(poison))
        if poison in claims:
            deaths += 1
            world.expire(worker)
            world.reap()
        else:
            assert all(worker.settle(claim) for claim in claims.values() if claim.kind == "run")
            assert all(claim.kind == "run" for claim in claims.values())
            worker.retire()
        world.check()
        if told:
            break
        next_due(world)
    assert (told, deaths) == ("poison", CRASHES_MAX)
    finished = [name for name in ids if world.field(name, "status") == "finished"]
    assert sorted(finished) == sorted(ids)


def next_due(world: World) -> None:
    """Let the time come at which the next delayed job is due, for it alone."""
    registry = world.keys.registry("scheduled", DEFAULT)
    if world.raw.llen(world.keys.queue(DEFAULT)):
        return
    first = world.raw.zrange(registry, 0, 0)
    if first:
        world.raw.zadd(registry, {first[0]: 1})
        world.script("promote", TTL_SECONDS, DEFAULT)


def test_a_job_returns_at_once_from_the_first_workers_that_died(world: World) -> None:
    """Twice is no suspicion: machines die too."""
    world.put()
    for _ in range(2):
        worker = world.worker()
        assert [claim.kind for claim in worker.claim()] == ["run"]
        world.expire(worker)
        assert world.reap() == 1
    assert len(world.worker().claim()) == 1


def test_suspects_with_like_names_do_not_come_back_together(world: World) -> None:
    entries = [Entry(id=f"like-{number}", job=job(), tokens=0) for number in range(10)]
    world.do(enqueue(world.scripts, entries, result_ttl_seconds=TTL_SECONDS, timeout_seconds=60))
    for _ in range(3):
        worker = world.worker()
        assert len(worker.claim(10)) == 10
        world.expire(worker)
        assert world.reap() == 10
    registry = world.keys.registry("scheduled", DEFAULT)
    due = sorted(score for _, score in world.raw.zrange(registry, 0, -1, withscores=True))
    assert len(due) == len(entries)
    assert due[-1] - due[0] > 2.0
