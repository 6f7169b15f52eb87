"""Single flight and the cache inside the queue: who makes the call, who follows, and that nobody is left behind."""

import json
from collections.abc import Sequence
from uuid import uuid4

import pytest
from queue_world import DEFAULT, HIGH, LOW, QUEUES, TTL_SECONDS, Worker, World, job, plan, pool, statuses

from imagequeue.queue import claims as queue_claims
from imagequeue.queue.auditing import audit
from imagequeue.queue.claims import PARKED, Claim, Ending
from imagequeue.queue.entries import Accepted, Entry, enqueue
from imagequeue.queue.flights import Flight, Mode

FORM = "1-aaaa"
STORED = json.dumps({"version": 1, "images": []})
DONE = Ending(status="finished", ttl_seconds=TTL_SECONDS, value={}, stored=STORED, stored_seconds=1000, source="made")
SERVED = Ending(status="finished", ttl_seconds=TTL_SECONDS, value={}, source="cached")
FAILED = Ending(status="failed", ttl_seconds=TTL_SECONDS, error={"code": "x", "message": "x", "retryable": False})


def ask(world: World, many: int = 1, *, form: str = FORM, mode: Mode = "use", **words: object) -> list[Accepted]:
    """Enqueue jobs that ask for the same, in one call."""
    entries = [Entry(id=uuid4().hex, job=job(**words), flight=Flight(form=form, mode=mode)) for _ in range(many)]
    return world.do(enqueue(world.scripts, entries, result_ttl_seconds=TTL_SECONDS, timeout_seconds=300))


def ids_of(accepted: Sequence[Accepted]) -> list[str]:
    return [one.id for one in accepted]


def one(claims: Sequence[Claim]) -> Claim:
    (claim,) = claims
    return claim


def findings(world: World, *, repair: bool = False) -> list[str]:
    found = world.do(audit(world.scripts, models=["dall-e-3"], repair=repair))
    return sorted(finding.finding for finding in found.findings)


def serve_all(worker: Worker) -> list[str]:
    """Take and end everything that a stored result answers; returns which jobs."""
    served: list[str] = []
    while claims := worker.claim(64):
        for claim in claims:
            assert claim.kind == "cached"
            assert worker.settle(claim, SERVED)
            served.append(claim.id)
    return served


def test_a_hundred_that_ask_for_the_same_make_one_call_and_all_end(world: World) -> None:
    ids = ids_of(ask(world, 100))
    worker = world.worker()
    assert statuses(world, ids) == {"queued": 1, "deferred": 99}
    world.check()
    assert findings(world) == []
    leader = one(worker.claim(100))
    assert (leader.id, leader.kind) == (ids[0], "run")
    assert worker.settle(leader, DONE)
    assert sorted(serve_all(worker)) == sorted(ids[1:])
    assert statuses(world, ids) == {"finished": 100}
    world.check()
    assert findings(world) == []
    assert not world.raw.keys(f"{world.keys.own}:joined:*")
    assert not world.raw.exists(f"{world.keys.own}:flights", f"{world.keys.own}:answered")


def test_a_follower_says_whom_it_waits_for_and_stands_in_rqs_registry(world: World) -> None:
    leader, follower = ids_of(ask(world, 2))
    assert world.registry("deferred") == {follower}
    assert json.loads(world.field(follower, "iq_wait") or "")["detail"].startswith(f"waits for job {leader}")
    assert world.raw.zscore(world.keys.registry("deferred", DEFAULT), follower) < 0


def test_followers_wait_for_no_pace(world: World) -> None:
    slow = plan(pool(image_us=3_600_000_000, burst_us=1.0))
    ids = ids_of(ask(world, 5))
    world.fill(10)
    worker = world.worker(slow)
    leader = one(worker.claim(64))
    assert worker.settle(leader, DONE)
    answer = worker.ask(64)
    assert sorted(claim.id for claim in answer.claims) == sorted(ids[1:])
    assert {claim.kind for claim in answer.claims} == {"cached"}


@pytest.mark.parametrize(
    "how", ["fails", "is cancelled", "is cancelled while it runs", "is parked", "is of another model"]
)
def test_when_the_leader_brings_no_images_exactly_one_follower_makes_the_call(world: World, how: str) -> None:
    ids = ids_of(ask(world, 10))
    worker = world.worker()
    if how == "is cancelled":
        world.cancel(ids[0])
    else:
        leader = one(worker.claim(64))
        if how == "fails":
            worker.settle(leader, FAILED)
        elif how == "is parked":
            worker.requeue(leader, delay_us=PARKED, why={"reason": "doubt", "detail": ""})
        elif how == "is of another model":
            worker.settle(leader, Ending(status="finished", ttl_seconds=TTL_SECONDS, value={}, source="made"))
        else:
            world.cancel(leader.id)
            worker.requeue(leader)
            (cancelled,) = worker.claim()
            worker.settle(cancelled, Ending(status="canceled", ttl_seconds=TTL_SECONDS))
    assert statuses(world, ids[1:]) == {"queued": 1, "deferred": 8}
    assert json.loads(world.field(ids[5], "iq_wait") or "")["detail"].startswith(f"waits for job {ids[1]}")
    assert findings(world) == []
    world.check()
    second = one(worker.claim(64))
    assert (second.id, second.kind) == (ids[1], "run")
    worker.settle(second, DONE)
    assert sorted(serve_all(worker)) == sorted(ids[2:])


@pytest.mark.parametrize("how", ["dies", "leaves"])
def test_a_leader_whose_worker_goes_keeps_its_followers(world: World, how: str) -> None:
    ids = ids_of(ask(world, 5))
    gone, worker = world.worker(), world.worker()
    assert one(gone.claim(64)).id == ids[0]
    if how == "dies":
        world.expire(gone)
        assert world.reap() == 1
    else:
        assert gone.retire() == 1
    assert statuses(world, ids) == {"queued": 1, "deferred": 4}
    assert findings(world) == []
    again = one(worker.claim(64))
    assert (again.id, again.delivery) == (ids[0], 2)
    worker.settle(again, DONE)
    assert len(serve_all(worker)) == 4


def test_a_worker_that_dies_while_it_serves_followers_leaves_none_behind(world: World) -> None:
    ids = ids_of(ask(world, 5))
    gone, worker = world.worker(), world.worker()
    gone.settle(one(gone.claim(64)), DONE)
    assert len(gone.claim(3)) == 3
    world.expire(gone)
    world.reap()
    assert findings(world) == []
    assert sorted(serve_all(worker)) == sorted(ids[1:])


def test_a_stored_result_answers_at_once_and_only_its_own_form(world: World) -> None:
    worker = world.worker()
    ask(world)
    worker.settle(one(worker.claim(64)), DONE)
    same, other = ask(world)[0], ask(world, form="1-bbbb")[0]
    assert (same.stored, other.stored) == (STORED, None)
    assert (world.status(same.id), world.status(other.id)) == ("deferred", "queued")
    assert world.script("deliver", 3, same.id, TTL_SECONDS, "value") == [1]
    assert world.script("deliver", 3, same.id, TTL_SECONDS, "value") == [0]
    assert world.status(same.id) == "finished"
    assert world.registry("finished") >= {same.id}
    assert world.registry("deferred") == set()
    world.check()


def test_what_its_enqueuer_left_undone_a_worker_ends(world: World) -> None:
    worker = world.worker()
    ask(world)
    worker.settle(one(worker.claim(64)), DONE)
    left = ask(world)[0].id
    assert worker.claim(64) == ()
    assert 0 < (worker.ask(64).wait_us or 0) <= 2_000_000
    assert int(world.script("pending", *QUEUES)) == 1
    world.raw.zadd(f"{world.keys.own}:answered", {left: 1})
    assert serve_all(worker) == [left]


def test_a_result_whose_images_are_gone_is_forgotten_and_one_job_makes_the_call(world: World) -> None:
    worker = world.worker()
    ask(world)
    worker.settle(one(worker.claim(64)), DONE)
    ids = ids_of(ask(world, 3))
    assert world.script("evict", FORM, STORED, ids[1]) == 1
    assert world.script("evict", FORM, STORED, "") == 0
    for each in (ids[0], ids[2]):
        world.raw.zadd(f"{world.keys.own}:answered", {each: 1})
    claim = one(worker.claim(64))
    assert (claim.id, claim.kind) == (ids[1], "run")
    assert findings(world) == []
    worker.settle(claim, DONE)
    assert sorted(serve_all(worker)) == sorted([ids[0], ids[2]])


def test_a_refresh_makes_its_own_call_and_replaces_the_result(world: World) -> None:
    worker = world.worker()
    ask(world)
    worker.settle(one(worker.claim(64)), DONE)
    fresh = ask(world, 2, mode="refresh")
    assert [each.stored for each in fresh] == [None, None]
    newer = Ending(status="finished", ttl_seconds=TTL_SECONDS, value={}, stored="newer", stored_seconds=1000)
    first, second = worker.claim(64)
    worker.settle(first, newer)
    assert ask(world)[0].stored == "newer"
    worker.settle(second, FAILED)
    assert ask(world)[0].stored == "newer"


def test_a_job_that_uses_the_cache_keeps_a_result_that_a_refresh_stored_meanwhile(world: World) -> None:
    worker = world.worker()
    ask(world)
    slow = one(worker.claim(64))
    ask(world, mode="refresh")
    fresh = one(worker.claim(64))
    worker.settle(fresh, Ending(status="finished", ttl_seconds=9, value={}, stored="newer", stored_seconds=1000))
    worker.settle(slow, DONE)
    assert ask(world)[0].stored == "newer"


def test_a_more_urgent_job_does_not_wait_behind_a_less_urgent_one(world: World) -> None:
    low = ids_of(ask(world, 2, priority="low"))
    (urgent,) = ids_of(ask(world, priority="high"))
    assert statuses(world, [urgent, *low]) == {"queued": 1, "deferred": 2}
    assert world.listed(HIGH) == [urgent]
    assert world.listed(LOW) == []
    assert findings(world) == []
    world.check()


def test_a_tenant_that_is_held_makes_nobody_else_wait(world: World) -> None:
    (held,) = ids_of(ask(world, tenant="red"))
    world.script("tenant", "hold", "red", "{}")
    (free,) = ids_of(ask(world, tenant="blue"))
    worker = world.worker()
    assert one(worker.claim(64)).id == free
    assert world.status(held) == "deferred"


def test_a_job_that_nobody_may_wait_for_makes_its_own_call(world: World) -> None:
    alone = ids_of(ask(world, 2, mode="alone"))
    worker = world.worker()
    first, second = worker.claim(64)
    assert {first.id, second.id} == set(alone)
    worker.settle(first, DONE)
    assert ask(world, mode="alone")[0].stored == STORED


def test_a_follower_whose_deadline_comes_expires_without_a_call(world: World) -> None:
    ids = ids_of(ask(world, 3))
    worker = world.worker()
    leader = one(worker.claim(64))
    world.raw.hset(world.keys.job(ids[1]), "iq_deadline", 1)
    world.raw.zadd(f"{world.keys.own}:answered", {ids[1]: 1})
    expired = one(worker.claim(64))
    assert (expired.id, expired.kind) == (ids[1], "expired")
    worker.settle(expired, FAILED)
    assert world.status(ids[2]) == "deferred"
    worker.settle(leader, DONE)
    assert serve_all(worker) == [ids[2]]


def test_a_delayed_job_joins_when_its_time_comes(world: World) -> None:
    worker = world.worker()
    (first,) = ids_of(ask(world))
    (second,) = ids_of(ask(world, not_before="2100-01-01T00:00:00Z"))
    assert world.status(second) == "scheduled"
    world.due()
    world.promote()
    assert world.status(second) == "deferred"
    worker.settle(one(worker.claim(64)), DONE)
    assert serve_all(worker) == [second]
    assert world.status(first) == "finished"


def test_a_leader_that_was_deleted_is_replaced(world: World) -> None:
    ids = ids_of(ask(world, 4))
    world.raw.delete(world.keys.job(ids[0]))
    assert findings(world) == ["unled"] * 3
    assert world.do(queue_claims.tend(world.scripts)) == 0
    world.raw.zadd(f"{world.keys.own}:flights", {FORM: 1})
    assert world.do(queue_claims.tend(world.scripts)) == 1
    assert findings(world) == []
    assert statuses(world, ids[1:]) == {"queued": 1, "deferred": 2}


def test_the_audit_mends_followers_without_a_leader(world: World) -> None:
    ids = ids_of(ask(world, 4))
    world.raw.delete(world.keys.job(ids[0]), f"{world.keys.own}:flight:{FORM}")
    world.raw.zrem(f"{world.keys.own}:joined:{FORM}", ids[2])
    assert findings(world, repair=True) == ["unled"] * 2 or findings(world) == []
    assert findings(world) == []
    assert statuses(world, ids[1:]) == {"queued": 1, "deferred": 2}
    assert len(world.worker().claim(64)) == 1


def test_cancelling_a_follower_leaves_the_others(world: World) -> None:
    ids = ids_of(ask(world, 4))
    assert world.cancel(ids[2]) == "deferred"
    worker = world.worker()
    worker.settle(one(worker.claim(64)), DONE)
    assert sorted(serve_all(worker)) == sorted([ids[1], ids[3]])
    assert world.status(ids[2]) == "canceled"


def test_more_followers_than_one_step_answers_all_end(world: World) -> None:
    ids = [each for _ in range(3) for each in ids_of(ask(world, 400))]
    worker = world.worker()
    worker.settle(one(worker.claim(64)), DONE)
    served: list[str] = []
    while len(served) < len(ids) - 1:
        served += serve_all(worker)
        world.raw.zadd(f"{world.keys.own}:flights", {FORM: 1}, xx=True)
        world.do(queue_claims.tend(world.scripts))
    assert sorted(served) == sorted(ids[1:])
    assert not world.raw.exists(f"{world.keys.own}:joined:{FORM}")


def test_a_retried_job_joins_the_call_under_way(world: World) -> None:
    (first,) = ids_of(ask(world))
    worker = world.worker()
    worker.settle(one(worker.claim(64)), FAILED)
    ask(world)
    assert world.script("revive", first, "") == b"joined"
    assert world.status(first) == "deferred"
    worker.settle(one(worker.claim(64)), DONE)
    assert serve_all(worker) == [first]


def test_a_cancelled_job_joins_no_call_that_another_makes(world: World) -> None:
    """The leader is cancelled while it runs, and a follower makes the call: the first does not wait for its images."""
    first, second = ids_of(ask(world, 2))
    worker = world.worker()
    leader = one(worker.claim(64))
    world.cancel(first)
    worker.requeue(leader)
    assert {claim.id: claim.kind for claim in worker.claim(64)} == {first: "cancelled", second: "run"}
    world.check()
