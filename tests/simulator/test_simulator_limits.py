"""Ceilings on the wire: refusals with their headers, shared limit groups, separate organizations, true limits."""

import re
from collections.abc import Iterator

import httpx
import pytest

from imagequeue.simulator.config import GroupLimits, SimulatedOrg, SimulatorConfig
from imagequeue.simulator.process import RunningSimulator, running_simulator

SLOW = GroupLimits(images_per_minute=5)
TOKENS = GroupLimits(tokens_per_minute=2_000)
FAST = GroupLimits(images_per_minute=500)


@pytest.fixture
def limited(_limited_running: RunningSimulator) -> RunningSimulator:
    """Return a simulator with full buckets."""
    _limited_running.control.reset()
    return _limited_running


@pytest.fixture(scope="module")
def _limited_running() -> Iterator[RunningSimulator]:
    orgs = (
        SimulatedOrg(name="slow", limits={"gpt-image": SLOW, "dall-e-3": SLOW}),
        SimulatedOrg(name="tokens", limits={"gpt-image": TOKENS}, bucket_seconds=60),
        SimulatedOrg(name="lied-to", limits={"dall-e-3": FAST}, true_limits={"dall-e-3": SLOW}),
        SimulatedOrg(name="deep", limits={"dall-e-3": SLOW}, bucket_seconds=36),
        SimulatedOrg(name="listed", tier="3"),
    )
    with running_simulator(SimulatorConfig(orgs=orgs, image_bytes=0)) as running:
        yield running


def ask(running: RunningSimulator, org: str, model: str = "dall-e-3", **body: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer sk-sim-{org}"}
    asked = {"model": model, "prompt": "a fox", **body}
    return httpx.post(f"{running.base_url}/images/generations", json=asked, headers=headers)


def test_beyond_the_ceiling_comes_429_with_the_wait(limited: RunningSimulator) -> None:
    assert ask(limited, "slow").status_code == 200
    refused = ask(limited, "slow")
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert error["code"] == "rate_limit_exceeded"
    match = re.search(r"Limit 5, Used 5, Requested 1\. Please try again in ([0-9.]+)s\.", error["message"])
    assert match is not None
    assert 10 < float(match[1]) <= 12
    assert int(refused.headers["retry-after"]) in (11, 12)
    assert refused.headers["x-ratelimit-limit-requests"] == "5"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-reset-requests"].endswith("s")


def test_models_of_one_group_share_its_ceiling_and_others_do_not(limited: RunningSimulator) -> None:
    assert ask(limited, "slow", "gpt-image-2", quality="low").status_code == 200
    refused = ask(limited, "slow", "gpt-image-2.5-flare", quality="low")
    assert refused.status_code == 429
    assert "(for limit gpt-image)" in refused.json()["error"]["message"]
    assert ask(limited, "slow", "dall-e-3").status_code == 200


def test_organizations_do_not_share(limited: RunningSimulator) -> None:
    assert ask(limited, "slow").status_code == 200
    assert ask(limited, "lied-to").status_code == 200


def test_tokens_are_a_ceiling_of_their_own(limited: RunningSimulator) -> None:
    """One medium square image of gpt-image-2 is 1,756 tokens and a short prompt."""
    assert ask(limited, "tokens", "gpt-image-2", quality="medium").status_code == 200
    refused = ask(limited, "tokens", "gpt-image-2", quality="medium")
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "tokens"
    assert refused.headers["x-ratelimit-limit-tokens"] == "2000"


def test_the_true_ceiling_can_be_lower_than_the_published_one(limited: RunningSimulator) -> None:
    answers = [ask(limited, "lied-to") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "500"
    assert "Limit 5," in answers[1].json()["error"]["message"]


def test_the_bucket_holds_its_seconds_of_the_rate(limited: RunningSimulator) -> None:
    """5 images a minute and 36 s are three images at once; the fourth waits for 12 s of refill."""
    assert [ask(limited, "deep").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_without_own_limits_the_tiers_published_ones_hold(limited: RunningSimulator) -> None:
    headers = {"Authorization": "Bearer sk-admin-sim-listed"}
    url = f"{limited.base_url}/organization/projects/proj_listed/rate_limits"
    records = {record["model"]: record for record in httpx.get(url, headers=headers).json()["data"]}
    assert records["dall-e-3"]["max_images_per_1_minute"] == 5_000
    assert records["gpt-image-2"]["max_images_per_1_minute"] == 50
    assert records["gpt-image-2"]["max_tokens_per_1_minute"] == 800_000


def test_rate_limits_come_in_pages(limited: RunningSimulator) -> None:
    headers = {"Authorization": "Bearer sk-admin-sim-listed"}
    url = f"{limited.base_url}/organization/projects/proj_listed/rate_limits"
    whole = [record["id"] for record in httpx.get(url, headers=headers).json()["data"]]
    paged: list[str] = []
    for _ in range(len(whole)):
        query = {"limit": "4", **({"after": paged[-1]} if paged else {})}
        page = httpx.get(url, params=query, headers=headers).json()
        paged += [record["id"] for record in page["data"]]
        if not page["has_more"]:
            break
    assert paged == whole


def test_refusals_cost_nothing_and_are_counted(limited: RunningSimulator) -> None:
    for _ in range(3):
        ask(limited, "slow")
    totals, stats = limited.control.bill_totals(), limited.control.stats()
    assert (totals["requests"], totals["billed_requests"], totals["nano_usd"]) == (3, 1, 40_000_000)
    assert (stats["accepted"], stats["rate_limited"], stats["in_flight"]) == (1, 2, 0)
    assert [call["status"] for call in limited.control.calls()] == [200, 429, 429]
