"""All scripts against a model in Python: after every step, in any order, each job has the one place it should have."""

from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from queue_server import RunningServer
from queue_world import DONE, QUEUES, TTL_SECONDS, Worker, World, job

from imagequeue.config.errors import IdempotencyConflict
from imagequeue.config.job import PRIORITIES
from imagequeue.config.keys import Keys
from imagequeue.queue.claims import Claim, Ending

EXAMPLES = 25
STEPS = 30
WORKERS_MAX = 4
FAILED = Ending(status="failed", ttl_seconds=TTL_SECONDS, error={"code": "x", "message": "y"})
CHOICE = st.integers(0, 10_000)


@dataclass(kw_only=True)
class Modelled:
    """Where a job should be."""

    place: str  # queued, claimed, scheduled, deferred, finished, failed, canceled
    queue: str
    holder: str = ""
    cancel_asked: bool = False


class QueueMachine(RuleBasedStateMachine):
    """Does to the queue what workers, clients, crashes and time do."""

    url: str

    @initialize()
    def open(self) -> None:
        """Begin with an empty queue and one worker."""
        prefix = f"t{uuid4().hex}"
        self.world = World(self.url, Keys(rq=prefix, own=f"{prefix}:iq"))
        self.jobs: dict[str, Modelled] = {}
        self.workers: dict[str, Worker] = {}
        self.dead: list[Worker] = []
        self.claims: list[tuple[Worker, Claim]] = []  # all ever given, so stale ones too
        self.silent: set[str] = set()
        self.be_born()

    def teardown(self) -> None:
        """Let the connection go."""
        if hasattr(self, "world"):
            self.world.__exit__(None, None, None)

    def pick(self, number: int) -> str | None:
        """Return one of all jobs."""
        names = sorted(self.jobs)
        return names[number % len(names)] if names else None

    # -- clients ------------------------------------------------------------------------------------------------------

    @rule(priority=st.sampled_from(PRIORITIES), tenant=st.sampled_from("ab"), many=st.integers(1, 3))
    def enqueue(self, priority: str, tenant: str, many: int) -> None:
        """New jobs."""
        for name in self.world.fill(many, priority=priority, tenant=tenant):
            self.jobs[name] = Modelled(place="queued", queue=f"dall-e-3.{priority}")

    @rule(number=CHOICE)
    def enqueue_again(self, number: int) -> None:
        """A client whose reply was lost asks again."""
        name = self.pick(number)
        if name is not None:
            words = self.jobs[name].queue.rpartition(".")[2], self.world.field(name, "iq_tenant") or "default"
            original = job(priority=words[0], tenant=words[1])
            with suppress(IdempotencyConflict):  # when its priority was changed meanwhile
                (accepted,) = self.world.add(original, ids=[name])
                assert not accepted.created

    @rule(number=CHOICE)
    def cancel(self, number: int) -> None:
        """A person cancels."""
        name = self.pick(number)
        if name is None:
            return
        model = self.jobs[name]
        self.world.cancel(name)
        if model.place == "claimed":
            model.cancel_asked = True
        elif model.place in ("queued", "scheduled", "deferred"):
            model.place = "canceled"

    @rule(number=CHOICE, priority=st.sampled_from(("", *PRIORITIES)))
    def revive(self, number: int, priority: str) -> None:
        """A person tries again, or changes the priority."""
        name = self.pick(number)
        if name is None:
            return
        model = self.jobs[name]
        self.world.script("revive", name, priority)
        if model.place in ("queued", "scheduled", "deferred", "failed", "canceled"):
            model.place, model.cancel_asked = "queued", False
            if priority:
                model.queue = f"dall-e-3.{priority}"

    # -- workers ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.workers) < WORKERS_MAX)
    @rule()
    def be_born(self) -> None:
        """A worker starts."""
        worker = self.world.worker()
        self.workers[worker.name] = worker

    def alive(self, number: int) -> Worker | None:
        """Return one of the workers that were not given up."""
        names = sorted(self.workers)
        return self.workers[names[number % len(names)]] if names else None

    @rule(number=CHOICE, most=st.integers(1, 4))
    def claim(self, number: int, most: int) -> None:
        """A worker claims; it gets only what is queued, and no less when enough is."""
        worker = self.alive(number)
        if worker is None:
            return
        queued = {name for name, model in self.jobs.items() if model.place == "queued"}
        given = worker.claim(most)
        assert len(given) == min(most, len(queued))
        for claim in given:
            assert claim.id in queued
            assert (claim.kind == "cancelled") == self.jobs[claim.id].cancel_asked
            self.jobs[claim.id].place, self.jobs[claim.id].holder = "claimed", f"{worker.name} {claim.delivery}"
            self.claims.append((worker, claim))

    def any_claim(self, number: int) -> tuple[Worker, Claim, bool] | None:
        """Return one of all claims ever given, and whether it still holds."""
        if not self.claims:
            return None
        worker, claim = self.claims[number % len(self.claims)]
        model = self.jobs[claim.id]
        holds = model.place == "claimed" and model.holder == f"{worker.name} {claim.delivery}"
        return worker, claim, holds

    @rule(number=CHOICE, good=st.booleans())
    def settle(self, number: int, good: bool) -> None:  # noqa: FBT001  # drawn
        """A worker settles, in time or much too late."""
        found = self.any_claim(number)
        if found is not None:
            worker, claim, holds = found
            assert worker.settle(claim, DONE if good else FAILED) == holds
            if holds:
                self.jobs[claim.id].place = "finished" if good else "failed"
                self.jobs[claim.id].cancel_asked = False

    @rule(number=CHOICE, delay_us=st.sampled_from([0, 3_600_000_000, -1]))
    def requeue(self, number: int, delay_us: int) -> None:
        """A worker gives a job back, in time or much too late."""
        found = self.any_claim(number)
        if found is None:
            return
        worker, claim, holds = found
        assert worker.requeue(claim, delay_us=delay_us, counts=True) == holds
        if holds:
            model = self.jobs[claim.id]
            back = "queued" if delay_us == 0 else "scheduled" if delay_us > 0 else "deferred"
            model.place = "queued" if model.cancel_asked else back

    @rule(number=CHOICE)
    def renew(self, number: int) -> None:
        """A worker renews."""
        worker = self.alive(number)
        if worker is not None:
            assert worker.renew()
            self.silent.discard(worker.name)

    @rule(number=CHOICE)
    def retire(self, number: int) -> None:
        """A worker leaves."""
        worker = self.alive(number)
        if worker is not None:
            worker.retire()
            del self.workers[worker.name]
            self.silent.discard(worker.name)
            self._back_in_line({worker.name})

    # -- time and crashes ---------------------------------------------------------------------------------------------

    @rule(number=CHOICE)
    def crash(self, number: int) -> None:
        """A worker falls silent, and its lease runs out."""
        worker = self.alive(number)
        if worker is not None:
            self.world.expire(worker)
            self.silent.add(worker.name)

    @rule()
    def reap(self) -> None:
        """Another worker looks for the dead."""
        self.world.reap()
        for name in self.silent:
            self.dead.append(self.workers.pop(name))
        self._back_in_line(self.silent)
        self.silent = set()

    def _back_in_line(self, gone: set[str]) -> None:
        for model in self.jobs.values():
            if model.place == "claimed" and model.holder.partition(" ")[0] in gone:
                model.place = "queued"

    @rule()
    def promote(self) -> None:
        """The time of every delayed job comes."""
        for queue in QUEUES:
            self.world.due(queue)
        self.world.promote()
        for model in self.jobs.values():
            if model.place == "scheduled":
                model.place = "queued"

    # -- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def each_job_is_where_it_should_be(self) -> None:
        """Exactly one place each, the model's; and what is kept twice agrees."""
        if not hasattr(self, "world"):
            return
        places = {name: where[0] for name, where in self.world.check().items()}
        expected = {}
        for name, model in self.jobs.items():
            word = {"queued": f"list {model.queue}", "claimed": f"claim {model.holder.partition(' ')[0]}"}
            expected[name] = word.get(model.place, f"{model.place} {model.queue}")
        assert places == expected


def test_every_job_is_in_exactly_one_place_after_every_step(valkey: RunningServer) -> None:
    machine = type("OnThisServer", (QueueMachine,), {"url": valkey.url()})
    bounds = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(machine, settings=bounds)
