"""To a tenant's key neither a wait nor the status tells what all tenants spent, or of another's jobs. Pure."""

from datetime import UTC, datetime

from imagequeue.config.catalog import load_catalog
from imagequeue.config.orgs import Org
from imagequeue.producer.door.showing import view_json
from imagequeue.producer.door.tenant_status import status_of_tenant
from imagequeue.queue import budget
from imagequeue.queue.ceilings import pools_of
from imagequeue.queue.pools import PoolState
from imagequeue.queue.record import JobRecord
from imagequeue.queue.status import HoldStatus, PoolStatus, QueueStatus, Status, totals_of
from imagequeue.queue.views import Waiting, view_of_record
from imagequeue.queue.waits import Scene, why_queued

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
POOL = "main|dall-e-3"
SPENT = "month of main: 999.96 of 1000.00 dollars are used or held"
WORDED = budget.worded(budget.Short(detail=SPENT, until=NOW))


def detail_of(record: JobRecord, waiting: Waiting | None, *, to_tenant: bool, joins_others: bool = False) -> str:
    view = view_of_record(record, None, (), waiting=waiting, link=lambda _: "", joins_others=joins_others)
    shown = view_json(view, "", to_tenant=to_tenant)["waiting"]
    assert isinstance(shown, dict)
    return str(shown["detail"])


def test_a_wait_for_an_organizations_money_names_no_sum() -> None:
    pools = pools_of(load_catalog(), [Org(name="main", base_url="http://127.0.0.1:9/v1", tier="5")])
    states = {POOL: PoolState(name=POOL, suspended=WORDED)}
    scene = Scene(now=NOW, pools=pools, pace_fraction=0.9, workers=1, states=states)
    record = JobRecord(id="x", status="queued", queue="dall-e-3.default")
    waiting = why_queued(record, None, scene)
    assert SPENT in detail_of(record, waiting, to_tenant=False)
    told = detail_of(record, waiting, to_tenant=True)
    assert told == f"{POOL} is suspended: its organization's money is used up"


def test_a_job_that_joined_anothers_call_does_not_name_its_job() -> None:
    wait = {"reason": "joined", "detail": "waits for job 4711, which asks for the same images"}
    record = JobRecord(id="x", status="deferred", queue="dall-e-3.default", wait=wait)
    assert "4711" in detail_of(record, None, to_tenant=False, joins_others=True)
    assert "4711" in detail_of(record, None, to_tenant=True), "within a tenant it is one of its own"
    assert "4711" not in detail_of(record, None, to_tenant=True, joins_others=True)


def queue(queued: int) -> QueueStatus:
    return QueueStatus(
        name="dall-e-3.high",
        model="dall-e-3",
        priority="high",
        queued=queued,
        running=0,
        waiting=0,
        parked=0,
        failed=0,
        oldest_s=None,
        served=True,
    )


def test_the_status_keeps_what_all_share_and_leaves_out_what_all_add_up_to() -> None:
    pool = PoolStatus(
        name=POOL,
        org="main",
        models=("dall-e-3",),
        images_per_minute=500.0,
        tokens_per_minute=None,
        source="tier 1",
        pace_images_per_minute=450.0,
        factor=1.0,
        used_share=0.8,
        paused_until=NOW,
        pause_reason="slow_down",
        suspended=WORDED,
        suspended_until=None,
        images_started=7,
        calls_refused=3,
        trouble="server_error: of another's job",
    )
    holds = [HoldStatus(tenant=name, reason="budget", detail="its own cap", until=None) for name in ("red", "blue")]
    status = Status(
        at=NOW,
        suspended=False,
        totals=totals_of((queue(9),)),
        queues=(queue(9),),
        pools=(pool,),
        workers=(),
        held_tenants=tuple(holds),
    )
    shown = status_of_tenant(status, "red", (queue(2),), at_least=False)
    assert isinstance(shown["pools"], list)
    (told,) = shown["pools"]
    assert (told["pace_images_per_minute"], told["pause_reason"]) == (450.0, "slow_down")
    assert told["suspended"] == budget.TO_TENANT
    for name in ("used_share", "images_started", "calls_refused", "effective_images_per_minute"):
        assert told[name] is None
    assert "another" not in str(shown)
    assert "999" not in str(shown)
    assert (shown["totals"], shown["held_tenants"]) == (
        {"queued": 2, "running": 0, "waiting": 0, "parked": 0, "failed": 0, "joined": 0},
        [{"tenant": "red", "reason": "budget", "detail": "its own cap", "until": None}],
    )
