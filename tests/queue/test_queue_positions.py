"""RQ's list and our lines hold the same ids, whatever we and RQ's own client do to them in whatever order."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from queue_world import DEFAULT, World
from rq import Queue

from imagequeue.config.job import FUNCTION_NAME
from imagequeue.queue.claims import Claim

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["put", "claim", "back", "settle", "cancel", "push", "push front", "twice", "remove", "rq cancel", "look"]
        ),
        st.integers(0, 1000),
    ),
    max_size=40,
)
LOOKS_MAX = 20


def pick(names: list[str], number: int) -> str | None:
    """Return one of the names, None when there is none."""
    return names[number % len(names)] if names else None


class Script:
    """Carries out steps and remembers the ids that must still be served."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.queue = Queue(DEFAULT, connection=world.raw, serializer="json")
        self.worker = world.worker()
        self.claims: dict[str, Claim] = {}
        self.alive: set[str] = set()

    def step(self, what: str, number: int) -> None:
        """Do one thing to the queue."""
        world, chosen = self.world, pick(self.world.listed(), number)
        if what == "put":
            self.alive.add(world.put(tenant=f"t{number % 3}"))
        elif what in ("push", "push front"):
            words = {"prompt": "a cat", "tenant": f"t{number % 3}"}
            self.alive.add(str(self.queue.enqueue(FUNCTION_NAME, words, at_front=what == "push front").id))
        elif what == "claim":
            self.claims |= {claim.id: claim for claim in self.worker.claim(1 + number % 3)}
        elif what == "look":
            world.take_in()
        elif what in ("back", "settle"):
            self._end(what, number)
        elif chosen is not None:
            self._change(what, chosen)

    def _end(self, what: str, number: int) -> None:
        name = pick(sorted(self.claims), number)
        if name is None:
            return
        claim = self.claims.pop(name)
        if what == "back":
            assert self.worker.requeue(claim)
        else:
            assert self.worker.settle(claim)
            self.alive.discard(name)

    def _change(self, what: str, name: str) -> None:
        if what == "twice":
            self.queue.push_job_id(name)
        elif what == "remove":
            self.queue.remove(name)
            self.world.raw.hset(self.world.keys.job(name), "status", "canceled")
            self.alive.discard(name)
        elif what == "cancel" and self.world.cancel(name) == "queued":
            self.alive.discard(name)
        elif what == "rq cancel" and self.world.status(name) == "queued":
            job = self.queue.fetch_job(name)
            assert job is not None
            job.cancel()
            self.alive.discard(name)

    def serve_all(self) -> list[str]:
        """Serve until nothing is left; returns the ids in the order of service."""
        served = list(self.claims)
        for _ in range(LOOKS_MAX):
            answer = self.worker.ask(64)
            served += [claim.id for claim in answer.claims]
            for queue in answer.foreign:
                self.world.take_in(queue)
        return served


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_every_job_is_served_once_whatever_was_done_to_the_list(rq_world: World, steps: list[tuple[str, int]]) -> None:
    rq_world.raw.flushdb()  # a database of this test's own
    script = Script(rq_world)
    for what, number in steps:
        script.step(what, number)
    served = script.serve_all()
    assert len(served) == len(set(served))
    assert set(served) == script.alive
    assert rq_world.listed() == []
    assert rq_world.lines() == {}


OURS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "put", "claim", "back", "settle", "cancel"]), st.integers(0, 1000)),
    max_size=40,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=OURS)
def test_our_own_steps_keep_list_lines_and_positions_equal(rq_world: World, steps: list[tuple[str, int]]) -> None:
    rq_world.raw.flushdb()  # a database of this test's own
    script = Script(rq_world)
    for what, number in steps:
        script.step(what, number)
        rq_world.check(exact=True)


def test_taking_from_the_middle_of_a_long_list_needs_no_search(world: World) -> None:
    """Fifty jobs of a tenant at the far end of 5,000 others: each taken by its position, LPOS never called."""
    for _ in range(10):
        world.fill(500, tenant="large")
    small = world.fill(50, tenant="small")
    world.raw.config_resetstat()
    worker = world.worker()
    served = {claim.id for _ in range(10) for claim in worker.claim(10)}
    assert set(small) <= served
    assert "cmdstat_lpos" not in world.raw.info("commandstats")
    world.check()
