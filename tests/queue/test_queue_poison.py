"""A job that kills its workers ends as poison; the jobs that were beside it do not."""

from queue_world import TTL_SECONDS, World

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
    registry = world.keys.registry("scheduled", "dall-e-3.default")
    if world.raw.llen(world.keys.queue("dall-e-3.default")):
        return
    first = world.raw.zrange(registry, 0, 0)
    if first:
        world.raw.zadd(registry, {first[0]: 1})
        world.script("promote", TTL_SECONDS, "dall-e-3.default")


def test_a_job_returns_at_once_from_the_first_workers_that_died(world: World) -> None:
    """Twice is no suspicion: machines die too."""
    world.put()
    for _ in range(2):
        worker = world.worker()
        assert [claim.kind for claim in worker.claim()] == ["run"]
        world.expire(worker)
        assert world.reap() == 1
    assert len(world.worker().claim()) == 1
