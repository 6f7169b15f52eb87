"""The commands of webhooks on a real queue and ledger: what is shown, sent again, switched off and on."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from imagequeue.config.settings import Settings, load_settings
from imagequeue.config.webhooks import new_secret
from imagequeue.ledger.api import JobFacts, JobFailure, WebhookDue
from imagequeue.ledger.ledger import Ledger
from imagequeue.producer.checkup.webhooks import judge_webhooks
from imagequeue.producer.door.webhook_metrics import WebhookFigures
from imagequeue.producer.open_queue import opened_queue
from imagequeue.queue.webhook_health import WebhookHealth, read_webhook_health

Command = Callable[..., tuple[int, str, str]]

SECRET = new_secret()
URL = "https://shop.example/hooks"


class Site:
    """Commands with one endpoint, and the ledger behind them."""

    def __init__(self, settings: Settings, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = settings
        self.command = command
        self.monkeypatch = monkeypatch

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command and return its exit code and what it printed."""
        return self.command(*arguments)

    def json(self, *arguments: str) -> Any:
        """Run a command that must work and return what it prints."""
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    def failed_message(self) -> None:
        """Put a message into the outbox that was given up."""

        async def story() -> None:
            ledger = await Ledger.open(self.settings.ledger_url.get_secret_value())
            due = WebhookDue(url=URL, event="job.failed", payload='{"type":"job.failed","data":{"id":"x"}}')
            await ledger.record_outcome("job", JobFailure(code="x", message="y", webhooks=(due,)), JobFacts(tenant="t"))
            (row,) = await ledger.claim_webhooks(1, 30)
            await ledger.webhook_failed(row, "answered 500", None)
            await ledger.aclose()

        asyncio.run(story())

    async def health(self) -> WebhookHealth:
        """Return how webhooks do."""
        async with opened_queue(self.settings) as queue:
            return await read_webhook_health(queue.scripts, await queue.ledger(), self.settings.webhooks)


@pytest.fixture
def site(environ: dict[str, str], imagequeue: Command, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a site of the test's own."""
    hook = {"name": "shop", "url": URL, "secret": "env:HOOK"}
    mine = {"IMAGEQUEUE_WEBHOOKS": json.dumps([hook]), "HOOK": SECRET}
    for name, value in mine.items():
        monkeypatch.setenv(name, value)
    return Site(load_settings({**environ, **mine}), imagequeue, monkeypatch)


def test_messages_are_listed_shown_and_sent_again(site: Site) -> None:
    site.failed_message()
    listed = site.json("webhooks", "list", "--state", "given_up", "--tenant", "t", "--endpoint", "shop")
    (message,) = listed["messages"]
    assert (message["state"], message["last_error"], message["job_id"]) == ("given_up", "answered 500", "job")
    assert [endpoint["name"] for endpoint in listed["endpoints"]] == ["shop"]
    assert SECRET not in json.dumps(listed)
    assert site.json("webhooks", "show", message["id"])["payload"]["type"] == "job.failed"
    assert '\n  "type": "job.failed",\n' in site.run("webhooks", "show", message["id"])[1], "line by line"
    assert message["id"] in site.run("webhooks", "list")[1]
    assert site.json("webhooks", "redeliver", "--given-up") == {"due": 1, "ids": [message["id"]]}
    again = site.json("webhooks", "list")["messages"][0]
    assert (again["state"], again["tries"]) == ("retrying", 0)


def test_an_endpoint_is_disabled_and_enabled_and_status_and_doctor_say_so(site: Site) -> None:
    assert site.json("webhooks", "disable", "shop", "--reason", "moving") == {"name": "shop", "disabled": True}
    (endpoint,) = site.json("status")["webhooks"]["endpoints"]
    assert (endpoint["disabled"], endpoint["disabled_why"]) == (True, "moving")
    (finding,) = judge_webhooks(asyncio.run(site.health()))
    assert (finding.status, finding.says) == ("warn", "shop is disabled: moving")
    assert "disabled: moving" in site.run("status")[1]
    assert site.json("webhooks", "enable", "shop") == {"name": "shop", "disabled": False}
    assert [one.status for one in judge_webhooks(asyncio.run(site.health()))] == ["ok"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "msg_1"), "message msg_1: there is none of this id"),
        (("show", "nonsense"), "id: a message id is msg_ and a number"),
        (("enable", "nope"), "endpoint nope: there is none of this name; configured: shop"),
        (("list", "--state", "lost"), "state: accepted: waiting, retrying, delivered, given_up"),
        (("redeliver",), "message ids or --given-up are needed"),
    ],
)
def test_what_is_wrong_is_one_line(site: Site, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = site.run("webhooks", *arguments)
    assert code != 0
    assert said in err
    assert err.count("\n") == 1


def test_a_secret_is_made_that_the_configuration_takes(site: Site) -> None:
    site.monkeypatch.setenv("HOOK", site.run("webhooks", "secret")[1].strip())
    assert site.json("webhooks", "list", "--limit", "0")["messages"] == []


def test_prometheus_gets_a_figure_for_each_endpoint(site: Site) -> None:
    site.failed_message()
    site.json("webhooks", "disable", "shop")
    registry = CollectorRegistry()
    registry.register(WebhookFigures(asyncio.run(site.health())))
    text = generate_latest(registry).decode()
    assert 'imagequeue_webhook_disabled{endpoint="shop"} 1.0' in text
    assert 'imagequeue_webhooks_failed_total{endpoint="shop"} 0.0' in text
    assert "imagequeue_webhooks_waiting 0.0" in text
