"""Calls paid with credits, end to end: which of them are drawn, what a job then cost, and what an empty wallet does."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from worker_money import a_minute_passes, configure, view, with_ledger
from worker_site import WorkerSite, worker_site

from imagequeue.config.errors import ConfigError
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.wallet import GrantKind
from imagequeue.simulator.faults import Fault
from imagequeue.simulator.process import RunningSimulator

MODEL = "dall-e-2"
PACK_NANO = 260_000_000
"""Two credits at 13 cents each."""


@pytest.fixture
def site(server_url: str, simulator: RunningSimulator, tmp_path: Path) -> WorkerSite:
    """Return a site whose organization pays with one credit a call."""
    site = worker_site(server_url, simulator, tmp_path)
    configure(site, credits_per_call=1)
    return site


def grant(
    site: WorkerSite, count: int, paid_nano: int, *, kind: GrantKind, source: str, expires_at: datetime | None = None
) -> None:
    """Add credits to the wallet."""

    async def act(ledger: Ledger) -> bool:
        return await ledger.grant_credits("main", count, paid_nano, kind=kind, source=source, expires_at=expires_at)

    assert with_ledger(site, act)


def credits_left(site: WorkerSite) -> int:
    """Return how many credits can be used."""
    return with_ledger(site, lambda ledger: ledger.wallet("main")).credits


def cost_usd(site: WorkerSite, job_id: str) -> str:
    """Return what the job cost, as it is shown."""
    cost = view(site, job_id).as_json()["cost"]
    assert isinstance(cost, dict)
    return str(cost["usd"])


def test_a_call_costs_what_was_paid_for_its_credit_and_an_empty_wallet_is_waited_for(site: WorkerSite) -> None:
    """One credit for four images: first the free one that expires, then the bought ones, then none."""
    grant(site, 2, PACK_NANO, kind="purchase", source="invoice 1")
    grant(site, 1, 0, kind="monthly", source="2026-11", expires_at=datetime.now(UTC) + timedelta(days=30))
    first = site.put(model=MODEL, n=4)
    site.burst()
    assert (cost_usd(site, first), credits_left(site)) == ("0.000000000", 2)
    ids = [site.put(model=MODEL, n=4) for _ in range(3)]
    site.burst()
    (waiting,) = [name for name in ids if site.status(name) == "queued"]
    paid = [name for name in ids if name != waiting]
    assert [cost_usd(site, name) for name in paid] == ["0.130000000"] * 2
    assert [len(view(site, name).images) for name in [first, *paid]] == [4, 4, 4]
    assert (site.states(waiting), credits_left(site)) == ([], 0)
    why = view(site, waiting).waiting
    assert why is not None
    assert why.reason == "budget"
    assert "credits:main: the wallet holds fewer credits than the 1 that a call takes" in why.detail
    grant(site, 1, 500_000_000, kind="purchase", source="invoice 2")
    a_minute_passes(site)
    site.burst()
    assert (cost_usd(site, waiting), credits_left(site)) == ("0.500000000", 0)
    total = with_ledger(site, lambda ledger: ledger.summary()).total
    assert (total.settled_nano, total.images) == (PACK_NANO + 500_000_000, 16)
    assert with_ledger(site, lambda ledger: ledger.audit()).breach is None


def test_a_call_that_was_not_billed_gives_its_credit_back(site: WorkerSite) -> None:
    grant(site, 1, 130_000_000, kind="purchase", source="invoice 1")
    site.simulator.control.set_faults(Fault(kind="policy", count=1))
    name = site.put(model=MODEL)
    site.burst()
    assert (site.status(name), site.states(name), credits_left(site)) == ("failed", ["voided"], 1)


def test_a_cap_counts_what_was_paid(site: WorkerSite) -> None:
    configure(site, monthly_cap_usd="0.10")
    grant(site, 2, PACK_NANO, kind="purchase", source="invoice 1")
    dear = site.put(model=MODEL)
    site.burst()
    assert (site.status(dear), credits_left(site)) == ("queued", 2)
    grant(site, 1, 0, kind="monthly", source="2026-11", expires_at=datetime.now(UTC) + timedelta(days=30))
    a_minute_passes(site)
    site.burst()
    assert (site.status(dear), credits_left(site)) == ("finished", 2)


@pytest.mark.parametrize("count", [-1, 1001, "1", 1.5, True])
def test_the_setting_is_a_whole_number(site: WorkerSite, count: object) -> None:
    with pytest.raises(ConfigError, match=r"IMAGEQUEUE_ORGS.*credits_per_call"):
        configure(site, credits_per_call=count)
    assert json.loads(site.environ["IMAGEQUEUE_ORGS"])[0]["name"] == "main"
