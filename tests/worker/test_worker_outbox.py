"""The outbox against a real receiver, ledger and server: every message arrives, once unless something died."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from standardwebhooks.webhooks import WebhookVerificationError
from webhook_receiver import Receiver, endpoint, receiver

from imagequeue.config.keys import Keys
from imagequeue.config.webhooks import Webhook, new_secret
from imagequeue.ledger.api import JobFacts, JobFailure, WebhookDue, WebhookRow
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.outbox import OutboxQuery, WebhookMessage
from imagequeue.queue import endpoints
from imagequeue.queue.connection import connect
from imagequeue.queue.endpoints import EndpointState, read_endpoints
from imagequeue.queue.scripts import Scripts
from imagequeue.worker.http import open_transport
from imagequeue.worker.outbox import Outbox, lease_seconds
from imagequeue.worker.redelivery import TRIES_MAX
from imagequeue.worker.sender import Sender

TIMEOUT_SECONDS = 2.0
PAYLOAD = '{"type":"job.failed","timestamp":"2026-11-22T00:00:00.000000Z","data":{"id":"x"}}'


class Clock:
    """The time of its making, and what was added to it."""

    def __init__(self) -> None:
        self._start = datetime.now(UTC)
        self.ahead = timedelta()

    def now(self) -> datetime:
        """Return it."""
        return self._start + self.ahead


@dataclass(kw_only=True)
class World:
    """A ledger with an outbox, and workers that deliver it."""

    ledger: Ledger
    scripts: Scripts
    clock: Clock
    outboxes: list[Outbox]

    async def put(self, *urls: str) -> str:
        """End a job that these addresses are told of."""
        job_id = uuid4().hex
        due = tuple(WebhookDue(url=url, event="job.failed", payload=PAYLOAD) for url in urls)
        await self.ledger.record_outcome(job_id, JobFailure(code="x", message="y", webhooks=due), JobFacts())
        return job_id

    async def deliver(self) -> None:
        """Deliver all that is due now."""
        await asyncio.gather(*(outbox.flush() for outbox in self.outboxes))

    async def message(self, job_id: str) -> WebhookMessage:
        """Return the one message about a job."""
        (found,) = await self.ledger.webhooks(OutboxQuery(job_id=job_id))
        return found

    async def state(self, name: str = "hook") -> EndpointState:
        """Return how an endpoint does."""
        return (await read_endpoints(self.scripts, [name]))[name]


@pytest.fixture
def hooks() -> Iterator[Receiver]:
    """Yield a receiver."""
    with receiver() as running:
        yield running


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger without a row, to be copied."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"

    async def story() -> None:
        await (await Ledger.open(f"sqlite:///{path}")).aclose()

    asyncio.run(story())
    return path


@asynccontextmanager
async def world(server_url: str, folder: Path, configured: Sequence[Webhook], workers: int) -> AsyncIterator[World]:
    redis, clock, transport = connect(server_url), Clock(), open_transport()
    scripts = Scripts(redis, Keys.under(f"t{uuid4().hex}"))
    ledger = await Ledger.open(f"sqlite:///{folder}/ledger.db", clock=clock, commits_per_second=1000)
    sender = Sender(transport, clock, timeout_seconds=TIMEOUT_SECONDS)
    outboxes = [
        Outbox(
            ledger=ledger,
            scripts=scripts,
            sender=sender,
            configured=configured,
            clock=clock,
            timeout_seconds=TIMEOUT_SECONDS,
            chance=lambda: 0.0,
        )
        for _ in range(workers)
    ]
    try:
        yield World(ledger=ledger, scripts=scripts, clock=clock, outboxes=outboxes)
    finally:
        await transport.aclose()
        await ledger.aclose()
        await redis.aclose()


Story = Callable[[World], Awaitable[None]]
Tell = Callable[..., None]


@pytest.fixture
def tell(server_url: str, tables: Path, tmp_path: Path) -> Tell:
    """Run a story in a world with these endpoints."""
    shutil.copy(tables, tmp_path / "ledger.db")

    def run(story: Story, *configured: Webhook, workers: int = 1) -> None:
        async def told() -> None:
            async with asyncio.timeout(30), world(server_url, tmp_path, configured, workers) as made:
                await story(made)

        asyncio.run(told())

    return run


def test_a_message_arrives_signed_as_the_standard_says(hooks: Receiver, tell: Tell) -> None:
    secret = new_secret()

    async def story(world: World) -> None:
        job_id = await world.put(f"{hooks.url}/hook")
        await world.deliver()
        (got,) = hooks.messages
        assert got.verified(secret)["type"] == "job.failed"
        assert got.headers["content-type"] == "application/json"
        with pytest.raises(WebhookVerificationError):
            got.verified(new_secret())
        message = await world.message(job_id)
        assert (message.state, message.tries, got.id) == ("delivered", 1, f"msg_{message.webhook_id}")
        assert (await world.state()).delivered == 1

    tell(story, endpoint(f"{hooks.url}/hook", secret))


def test_while_secrets_are_rotated_each_of_them_verifies(hooks: Receiver, tell: Tell) -> None:
    secrets = (new_secret(), new_secret())

    async def story(world: World) -> None:
        await world.put(f"{hooks.url}/hook")
        await world.deliver()
        for secret in secrets:
            assert hooks.messages[0].verified(secret)

    tell(story, endpoint(f"{hooks.url}/hook", secrets=secrets))


def test_many_workers_deliver_each_message_once(hooks: Receiver, tell: Tell) -> None:
    async def story(world: World) -> None:
        for _ in range(100):
            await world.put(f"{hooks.url}/hook")
        await world.deliver()
        assert len(hooks.messages) == 100
        assert len({message.id for message in hooks.messages}) == 100

    tell(story, endpoint(f"{hooks.url}/hook"), workers=4)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500, 503])
def test_what_is_no_2xx_failed_and_is_sent_again_under_the_same_id(hooks: Receiver, tell: Tell, status: int) -> None:
    hooks.answer("/hook", status, location=f"{hooks.url}/elsewhere")

    async def story(world: World) -> None:
        job_id = await world.put(f"{hooks.url}/hook")
        await world.deliver()
        message = await world.message(job_id)
        assert (message.state, message.tries) == ("retrying", 1)
        assert str(status) in str(message.last_error)
        world.clock.ahead += timedelta(seconds=4.9)
        await world.deliver()
        assert len(hooks.messages) == 1
        world.clock.ahead += timedelta(seconds=0.2)
        await world.deliver()
        assert [message.path for message in hooks.messages] == ["/hook", "/hook"]
        assert len({message.id for message in hooks.messages}) == 1
        assert (await world.message(job_id)).state == "delivered"

    tell(story, endpoint(f"{hooks.url}/hook"))


def test_the_schedule_is_the_standards_and_then_a_message_is_given_up(hooks: Receiver, tell: Tell) -> None:
    hooks.answer("/hook", *[500] * TRIES_MAX)
    waits = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]

    async def story(world: World) -> None:
        job_id = await world.put(f"{hooks.url}/hook")
        for wait in waits:
            await world.deliver()
            due = (await world.message(job_id)).next_try
            assert due is not None
            assert (due - world.clock.now()).total_seconds() == wait
            world.clock.ahead += timedelta(seconds=wait)
        await world.deliver()
        message = await world.message(job_id)
        assert (message.state, message.tries, message.next_try) == ("given_up", 10, None)
        state = await world.state()
        assert (state.failed, state.given_up) == (10, 1)
        await world.ledger.redeliver_webhooks([message.webhook_id])
        await world.deliver()
        assert (await world.message(job_id)).state == "delivered"

    tell(story, endpoint(f"{hooks.url}/hook"))


def test_gone_disables_the_endpoint_until_it_is_enabled(hooks: Receiver, tell: Tell) -> None:
    hooks.answer("/hook", 410)

    async def story(world: World) -> None:
        first = await world.put(f"{hooks.url}/hook")
        await world.deliver()
        assert (await world.message(first)).state == "given_up"
        assert (await world.state()).disabled_why == "answered 410: gone"
        second = await world.put(f"{hooks.url}/hook")
        await world.deliver()
        assert len(hooks.messages) == 1
        assert "disabled" in str((await world.message(second)).last_error)
        await endpoints.enable(world.scripts, "hook")
        third = await world.put(f"{hooks.url}/hook")
        await world.deliver()
        assert (await world.message(third)).state == "delivered"

    tell(story, endpoint(f"{hooks.url}/hook"))


@pytest.mark.parametrize(("status", "after", "wait"), [(429, "120", 120), (504, "", 30), (502, "5", 30)])
def test_a_receiver_that_is_busy_gets_nothing_until_it_said(
    hooks: Receiver, tell: Tell, status: int, after: str, wait: int
) -> None:
    hooks.answer("/hook", status, **({"retry_after": after} if after else {}))

    async def story(world: World) -> None:
        busy = await world.put(f"{hooks.url}/hook")
        await world.deliver()
        due = (await world.message(busy)).next_try
        assert due is not None
        assert (due - world.clock.now()).total_seconds() == wait
        await world.put(f"{hooks.url}/hook")
        other = await world.put(f"{hooks.url}/other")
        await world.deliver()
        assert [message.path for message in hooks.messages] == ["/hook", "/other"]
        assert (await world.message(other)).state == "delivered"

    tell(story, endpoint(f"{hooks.url}/hook"), endpoint(f"{hooks.url}/other", name="other"))


def test_a_receiver_that_is_down_or_slow_holds_up_no_other(hooks: Receiver, tell: Tell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        slow = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        down = f"http://127.0.0.1:{closed.getsockname()[1]}/"

        async def story(world: World) -> None:
            late = [await world.put(slow) for _ in range(20)]
            refused = await world.put(down)
            good = await world.put(f"{hooks.url}/hook")
            delivering = asyncio.create_task(world.deliver())
            await asyncio.to_thread(hooks.wait, 1)
            assert not delivering.done()
            await delivering
            assert (await world.message(good)).state == "delivered"
            assert "no answer in 2 s" in str((await world.message(late[0])).last_error)
            assert "not reached" in str((await world.message(refused)).last_error)

        tell(
            story,
            endpoint(slow, name="slow"),
            endpoint(down, name="down"),
            endpoint(f"{hooks.url}/hook"),
        )


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"]
)
def test_private_addresses_are_not_reached_unless_allowed(hooks: Receiver, tell: Tell, host: str) -> None:
    port = hooks.url.rpartition(":")[2]
    url = f"https://{host}:{port}/hook"

    async def story(world: World) -> None:
        job_id = await world.put(url)
        await world.deliver()
        assert "no public address" in str((await world.message(job_id)).last_error)
        assert hooks.messages == []

    tell(story, endpoint(url, allow_private=False))


def test_an_address_that_nobody_configured_waits_for_the_configuration(hooks: Receiver, tell: Tell) -> None:
    async def story(world: World) -> None:
        job_id = await world.put(f"{hooks.url}/strange")
        await world.deliver()
        message = await world.message(job_id)
        assert (message.state, message.last_error) == ("retrying", "no configured endpoint has this address")
        assert hooks.messages == []

    tell(story, endpoint(f"{hooks.url}/hook"))


def test_a_message_of_a_worker_that_died_comes_back_when_its_lease_ends(hooks: Receiver, tell: Tell) -> None:
    async def story(world: World) -> None:
        job_id = await world.put(f"{hooks.url}/hook")
        assert await world.ledger.claim_webhooks(1, lease_seconds(TIMEOUT_SECONDS))  # and then nothing: it died
        await world.deliver()
        assert hooks.messages == []
        world.clock.ahead += timedelta(seconds=lease_seconds(TIMEOUT_SECONDS))
        await world.deliver()
        assert (await world.message(job_id)).tries == 2
        assert len(hooks.messages) == 1

    tell(story, endpoint(f"{hooks.url}/hook"))


def test_a_worker_that_is_told_to_stop_while_it_takes_messages_delivers_them(
    hooks: Receiver, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: World) -> None:
        outbox, claim = world.outboxes[0], world.ledger.claim_webhooks
        taken, go = asyncio.Event(), asyncio.Event()

        async def slow(count: int, seconds: float, left_out: Sequence[str] = ()) -> list[WebhookRow]:
            rows = await claim(count, seconds, left_out)
            taken.set()
            await go.wait()
            return list(rows)

        monkeypatch.setattr(world.ledger, "claim_webhooks", slow)
        await world.put(f"{hooks.url}/hook")
        running = asyncio.create_task(outbox.run())
        await taken.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        go.set()
        await outbox.finish(TIMEOUT_SECONDS)
        assert len(hooks.messages) == 1

    tell(story, endpoint(f"{hooks.url}/hook"))


def test_old_messages_are_removed_while_it_runs(hooks: Receiver, tell: Tell) -> None:
    async def story(world: World) -> None:
        job_id = await world.put(f"{hooks.url}/hook")
        await world.deliver()
        world.clock.ahead += timedelta(days=31)
        running = asyncio.create_task(world.outboxes[0].run())
        while await world.ledger.webhooks(OutboxQuery(job_id=job_id)):  # noqa: ASYNC110 - another process may do it
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await world.outboxes[0].finish(1)

    tell(story, endpoint(f"{hooks.url}/hook"))


def test_a_fault_of_ours_in_a_delivery_is_a_failed_delivery(
    hooks: Receiver, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is noted and tried again by the schedule, and given up in the end, like any other."""

    async def breaks(*_: object) -> None:
        raise UnicodeError("label empty or too long")

    monkeypatch.setattr(Sender, "send", breaks)

    async def story(world: World) -> None:
        job_id = await world.put(f"{hooks.url}/hook")
        await world.deliver()
        message = await world.message(job_id)
        assert (message.state, message.tries) == ("retrying", 1)
        assert "UnicodeError" in str(message.last_error)

    tell(story, endpoint(f"{hooks.url}/hook"))


def test_a_redis_that_is_away_costs_a_message_no_try(hooks: Receiver, tell: Tell) -> None:
    """Whether its endpoint is enabled is not known then, so it is not taken."""

    async def story(world: World) -> None:
        job_id = await world.put(f"{hooks.url}/hook")
        (outbox,) = world.outboxes
        there, nowhere = outbox._scripts, connect("redis://127.0.0.1:1")
        outbox._scripts = Scripts(nowhere, world.scripts.keys)
        await world.deliver()
        await nowhere.aclose()
        assert (await world.message(job_id)).tries == 0
        outbox._scripts = there
        await world.deliver()
        assert (await world.message(job_id)).state == "delivered"

    tell(story, endpoint(f"{hooks.url}/hook"))
