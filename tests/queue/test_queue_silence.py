"""Who is silent, one worker or the server? Only the first may cost a worker its claims, and that is quick."""

from queue_world import LEASE_US, Worker, World


def heard(world: World, *, ago_us: int) -> None:
    """Let the server have heard a worker for the last time so long ago; negative: by a clock that was ahead."""
    key = f"{world.keys.own}:heard"
    world.raw.hset(key, "at", int(world.raw.hget(key, "at")) - ago_us)


def shift_leases(world: World, by_us: int) -> None:
    workers = f"{world.keys.own}:workers"
    for name, score in world.raw.zrange(workers, 0, -1, withscores=True):
        world.raw.zadd(workers, {name: score + by_us})


def reap(world: World, reaper: Worker) -> int:
    return int(world.script("reap", 100, reaper.name)[0])


def with_claim(world: World) -> Worker:
    world.put()
    worker = world.worker()
    assert len(worker.claim()) == 1
    worker.renew()
    return worker


def test_a_worker_that_was_away_does_not_hold_up_the_recovery_of_another(world: World) -> None:
    """The server heard others meanwhile, so it was not the server."""
    dead, frozen, reaper = with_claim(world), with_claim(world), world.worker()
    world.expire(dead)
    world.expire(frozen)
    reaper.renew()
    assert frozen.renew()
    assert reap(world, reaper) == 1
    assert len(world.claimed()) == 1


def test_after_the_server_was_away_every_worker_gets_time_to_say_that_it_lives(world: World) -> None:
    slow, quick = with_claim(world), world.worker()
    quick.renew()
    heard(world, ago_us=LEASE_US)
    shift_leases(world, -LEASE_US - 1)
    quick.renew()
    assert reap(world, quick) == 0
    assert slow.renew()
    assert world.raw.pttl(f"{world.keys.own}:grace") <= 3000


def test_the_first_to_look_after_the_server_was_away_gives_nobody_up(world: World) -> None:
    """A lease may just outlast the silence; its holder knows no more than the others."""
    slow, lucky = with_claim(world), world.worker()
    lucky.renew()
    heard(world, ago_us=LEASE_US - 1_000_000)
    shift_leases(world, -LEASE_US + 500_000)
    world.raw.zincrby(f"{world.keys.own}:workers", LEASE_US, lucky.name)
    world.raw.zincrby(f"{world.keys.own}:workers", -1_000_000, slow.name)
    assert reap(world, lucky) == 0
    lucky.renew()
    assert slow.renew()


def test_who_was_dead_before_the_server_was_away_is_given_up_at_once(world: World) -> None:
    dead, slow, reaper = with_claim(world), with_claim(world), world.worker()
    reaper.renew()
    world.expire(dead)
    heard(world, ago_us=LEASE_US)
    workers = f"{world.keys.own}:workers"
    world.raw.zincrby(workers, -LEASE_US - 1, slow.name)
    reaper.renew()
    assert reap(world, reaper) == 1
    assert not dead.renew()
    assert slow.renew()


def test_a_server_clock_that_is_set_back_prolongs_no_lease(world: World) -> None:
    dead, reaper = with_claim(world), world.worker()
    reaper.renew()
    heard(world, ago_us=-3_600_000_000)
    shift_leases(world, 3_600_000_000 - LEASE_US)  # the dead one's lease ran out by that clock
    reaper.renew()
    assert reap(world, reaper) == 1
    assert not dead.renew()
