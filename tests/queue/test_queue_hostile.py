"""What anybody with access to Redis may write: nothing of it is ever run, and nothing of it stops the queue."""

import json
import os
import pickle
import random
import resource
import sys
import zlib
from pathlib import Path

import pytest
from hostile_hashes import NAMES, Explosive, hostile
from queue_world import DEFAULT, HIGH, Worker, World, plan, pool
from redis.exceptions import ResponseError

from imagequeue.config.job import FUNCTION_NAME
from imagequeue.queue.payload import DATA_BYTES_MAX
from imagequeue.queue.record import read_records

FUZZED = int(os.environ.get("FUZZED_HASHES", "2000"))
LOOKS_MAX = 100
BOMB_BYTES = 400_000_000
GROWTH_BYTES_MAX = 10_000_000

VALID = json.dumps([FUNCTION_NAME, None, [{"prompt": "a cat"}], {}]).encode()
TYPED = 40
"""One in so many fuzzed ids is of a key that is no hash."""


def plant(world: World, name: str, data: bytes, **fields: str | bytes) -> None:
    """Write a job hash as a stranger would, and put its id on the queue."""
    hash_fields = {"data": data, "status": "queued", "origin": DEFAULT, "created_at": "2026-01-01T00:00:00Z", **fields}
    world.raw.hset(world.keys.job(name), mapping=hash_fields)
    world.raw.rpush(world.keys.queue(DEFAULT), name)


def take_all_in(world: World, worker: Worker) -> None:
    """Look until nothing foreign is left."""
    for _ in range(LOOKS_MAX):
        if not worker.ask(0).foreign:
            return
        world.take_in()
    raise AssertionError("foreign jobs are left")


@pytest.mark.parametrize("name", NAMES)
def test_no_other_function_is_ever_run(world: World, tmp_path: Path, name: str) -> None:
    before = set(sys.modules)
    touched = tmp_path / "touched"
    call: list[object] = [name, None, [f"touch {touched}"], {}]
    plant(world, "bad", zlib.compress(json.dumps(call).encode()), success_callback_name="os.abort")
    worker = world.worker()
    take_all_in(world, worker)
    assert worker.claim() == ()
    assert world.places() == {"bad": [f"failed {DEFAULT}"]}
    assert "only imagequeue.worker.tasks.image_job is ever run" in world.error("bad")
    assert not touched.exists()
    assert set(sys.modules) == before


@pytest.mark.parametrize("compress", [True, False])
def test_pickles_are_not_opened(world: World, tmp_path: Path, compress: bool) -> None:  # noqa: FBT001  # a parameter
    data = pickle.dumps(Explosive(tmp_path / "touched"))
    plant(world, "pickled", zlib.compress(data) if compress else data)
    take_all_in(world, world.worker())
    assert world.places() == {"pickled": [f"failed {DEFAULT}"]}
    assert "not pickle" in world.error("pickled")
    assert not (tmp_path / "touched").exists()


def test_a_zlib_bomb_costs_no_memory(world: World) -> None:
    """A few hundred KiB that unfold to 400 MB are given up after one MiB."""
    engine = zlib.compressobj(9)
    block = b" " * 1_000_000
    bomb = b"".join(engine.compress(block) for _ in range(BOMB_BYTES // len(block))) + engine.flush()
    plant(world, "bomb", bomb)
    worker = world.worker()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    take_all_in(world, worker)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < GROWTH_BYTES_MAX
    assert world.places() == {"bomb": [f"failed {DEFAULT}"]}
    assert "bytes of JSON are accepted" in world.error("bomb")


def test_too_much_data_does_not_leave_the_server(world: World) -> None:
    plant(world, "big", b"x" * (DATA_BYTES_MAX + 1))
    take_all_in(world, world.worker())
    assert f"found {DATA_BYTES_MAX + 1}" in world.error("big")


@pytest.mark.parametrize("kind", ["string", "list", "set", "stream"])
def test_a_job_key_of_another_type_is_dropped_with_a_reason(world: World, kind: str) -> None:
    key = world.keys.job("odd")
    makers = {"string": ("SET", key, "x"), "list": ("RPUSH", key, "x"), "set": ("SADD", key, "x")}
    world.raw.execute_command(*makers.get(kind, ("XADD", key, "*", "a", "b")))
    world.raw.rpush(world.keys.queue(DEFAULT), "odd")
    good = world.put()
    worker = world.worker()
    take_all_in(world, worker)
    assert [claim.id for claim in worker.claim(5)] == [good]
    assert world.listed() == []
    assert "data" in world.raw.hget(f"{world.keys.own}:unreadable", "odd").decode()


@pytest.mark.parametrize("name", ["a b", "a:b", "x" * 65, "é", "a\nb", "../x", "%s", "\xff"])
def test_an_id_that_is_none_is_refused(world: World, name: str) -> None:
    plant(world, name, VALID)
    take_all_in(world, world.worker())
    assert world.listed() == []
    assert "letters, digits" in world.error(name)


@pytest.mark.parametrize("status", ["", "QUEUED", "runing", "\x00", "created", "é" * 100, "1"])
def test_a_status_that_is_none_does_not_keep_a_good_job_from_running(world: World, status: str) -> None:
    plant(world, "one", VALID, status=status)
    worker = world.worker()
    take_all_in(world, worker)
    assert [(claim.id, claim.kind) for claim in worker.claim(5)] == [("one", "run")]


def test_a_status_spoiled_while_queued_is_named_malformed(world: World) -> None:
    name = world.put()
    world.raw.hset(world.keys.job(name), "status", "gibberish")
    assert [claim.kind for claim in world.worker().claim()] == ["malformed"]


@pytest.mark.parametrize("command", [("SET", "x"), ("HSET", "a", "b"), ("SADD", "a")])
def test_a_queue_key_of_another_type_stops_only_that_queue(world: World, command: tuple[str, ...]) -> None:
    name, *rest = command
    world.raw.execute_command(name, world.keys.queue(DEFAULT), *rest)
    other = world.put(priority="high")
    assert [claim.id for claim in world.worker().claim(5)] == [other]


OUR_NUMBERS = ("iq_age", "iq_pos", "iq_n", "iq_tokens", "iq_tries", "iq_deliveries", "iq_deadline", "iq_crashes")


@pytest.mark.parametrize("garbage", ["abc", "inf", "-5", "9" * 40, ""])
def test_our_own_numbers_spoiled_while_queued_lose_nothing(world: World, garbage: str) -> None:
    """Through claim, return, death, delay and cancelling, with every number of ours overwritten before each step."""

    def spoil(name: str) -> None:
        world.raw.hset(world.keys.job(name), mapping=dict.fromkeys(OUR_NUMBERS, garbage))

    name, other = world.fill(2)
    spoil(name)
    worker = world.worker()
    claim = next(claim for claim in worker.claim(2) if claim.id == name)
    spoil(name)
    assert worker.requeue(claim, counts=True)
    spoil(name)
    claim = worker.claim()[0]
    assert worker.requeue(claim, delay_us=1_000_000)
    spoil(name)
    world.due()
    world.promote()
    worker.claim()
    world.expire(worker)
    spoil(name)
    assert world.reap() == 2
    world.check()
    spoil(name)
    assert world.script("revive", name, "high") == b"queued"
    assert world.cancel(name) == "queued"
    assert world.places() == {name: ["canceled dall-e-3.high"], other: [f"list {DEFAULT}"]}


def plant_fuzzed(world: World, chance: random.Random, names: list[str], touched: Path) -> None:
    """Write hostile hashes, some of them on two queues or more than once on one, and keys that are no hashes."""
    for number, name in enumerate(names):
        if number % TYPED == 0:
            world.raw.set(world.keys.job(name), chance.randbytes(20))
            world.raw.rpush(world.keys.queue(DEFAULT), name)
            continue
        found = hostile(chance, touched)
        plant(world, name, found.data, **found.fields)
        for _ in range(found.listed - 1):
            world.raw.rpush(world.keys.queue(chance.choice((DEFAULT, DEFAULT, HIGH))), name)


def test_fuzzed_hashes_stop_nothing(world: World, tmp_path: Path) -> None:
    """Each ends in a registry or is served as a good job; the honest jobs among them are all served."""
    touched = tmp_path / "touched"
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)  # noqa: T201  # shown when the test fails
    chance = random.Random(seed)  # noqa: S311  # a test's dice
    before = set(sys.modules)
    honest = set(world.fill(20))
    names = [f"fuzz-{number}" for number in range(FUZZED)]
    plant_fuzzed(world, chance, names, touched)
    honest |= set(world.fill(20))
    worker = world.worker()
    served: set[str] = set()
    for _ in range(FUZZED):
        try:
            answer = worker.ask(64)
        except ResponseError as error:
            raise AssertionError(f"claim: {error}") from error
        for claim in answer.claims:
            assert claim.kind in ("run", "expired", "cancelled", "malformed", "poison")
            assert worker.settle(claim)
            served.add(claim.id)
        for queue in answer.foreign:
            world.take_in(queue)
        if not answer.claims and not answer.foreign:
            break
    assert honest <= served
    assert world.listed() == world.listed(HIGH) == []
    assert not touched.exists()
    places = world.places()
    hashes = [name for number, name in enumerate(names) if number % TYPED]
    queued = [name for name in hashes if name not in places and world.status(name) == "queued"]
    assert not queued
    assert set(sys.modules) == before


@pytest.mark.parametrize(("field", "pace"), [("iq_n", {"image_us": 1000.0}), ("iq_tokens", {"token_us": 1.0})])
def test_a_number_that_no_job_has_does_not_stop_a_pool(world: World, field: str, pace: dict[str, float]) -> None:
    """Whoever may write a job hash could make one start take all the pace of years."""
    name, other = world.fill(2)
    world.raw.hset(world.keys.job(name), field, "9999999999999999")
    worker = world.worker(plan(pool(**pace)))
    assert [claim.id for claim in worker.claim()] == [name]
    answer = worker.ask()
    assert [claim.id for claim in answer.claims] == [other] or answer.wait_us in range(1, 600_000_000)


@pytest.mark.parametrize("garbage", ["9" * 5_000, "9" * 19, "²", "-1", ""])
def test_a_number_that_is_none_is_read_as_if_none_were_there(world: World, garbage: str) -> None:
    (name,) = world.fill(1)
    world.raw.hset(world.keys.job(name), mapping={"iq_n": garbage, "iq_tokens": garbage})
    record = world.do(read_records(world.scripts, [name]))[name]
    assert (record.n, record.tokens) == (1, 0)
