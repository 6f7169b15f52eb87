"""Many faults and kills in one run, one after the other, by a seed; then the provider's report settles the books."""

import asyncio
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import faults_ledger
import faults_redis
from faults_scene import Fault, Scene, scene
from soak_check import Findings, findings
from soak_log import EventLog
from soak_processes import wait_until
from soak_site import LedgerKind, Site

from imagequeue.config.money import format_usd
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.provider_reports import fetch_bill
from imagequeue.ledger.reconciling import reconcile_day
from imagequeue.simulator.faults import Fault as ProviderFault

WORKERS: Final = 3
JOBS_PER_ACT: Final = 12
FAULT_SECONDS: Final = (0.2, 1.0)
CALM_SECONDS: Final = 0.2
REST_SECONDS_MAX: Final = 240.0
PROVIDER: Final = (
    "rate_limit",
    "slow_down",
    "conflict",
    "server_error",
    "bad_gateway",
    "overloaded",
    "gateway_timeout",
    "error_in_200",
    "reset",
    "billed_server_error",
    "billed_gateway_timeout",
    "billed_reset",
    "truncated",
    "truncated_json",
    "html",
    "wrong_base64",
    "not_an_image",
    "broken_image",
    "empty",
    "empty_data",
)
"""All that need no person and no long wait; every one strikes half of the calls for its time."""
REDIS: Final[dict[str, Fault]] = {
    "redis restarted": faults_redis.restarted,
    "redis frozen": faults_redis.frozen,
    "redis busy": faults_redis.busy,
    "redis read-only": faults_redis.read_only,
    "redis full": faults_redis.full,
}
LEDGER: Final[dict[LedgerKind, dict[str, Fault]]] = {
    "sqlite": {"ledger locked": faults_ledger.locked},
    "postgresql": {"ledger crashed": faults_ledger.crashed, "ledger cut off": faults_ledger.cut_off},
}
KILL: Final = "kill"
PAUSE: Final = "pause"


@dataclass(frozen=True, kw_only=True)
class CombinedPlan:
    """What to do."""

    faults: int
    kills: int
    seed: int
    ledger: LedgerKind = "sqlite"
    server: str = "valkey"

    @property
    def name(self) -> str:
        """What its log is called."""
        return f"combined-{self.server}-{self.ledger}-{self.seed}"

    def acts(self) -> list[str]:
        """Return what is done, in order: the same seed, the same acts."""
        dice = random.Random(self.seed)  # noqa: S311  # dice
        kinds = [*PROVIDER, *REDIS, *LEDGER[self.ledger], PAUSE]
        faults = [kinds[index % len(kinds)] for index in range(self.faults)]
        acts = [*faults, *[KILL] * self.kills]
        dice.shuffle(acts)
        return acts


@dataclass(frozen=True, kw_only=True)
class CombinedReport:
    """What was found: before the reconciliation, and after it."""

    plan: CombinedPlan
    seconds: float
    doubted: int
    in_doubt_after: int
    settled_nano: int
    bill_nano: int
    found: Findings
    statuses: tuple[int | None, ...]
    log: str

    @property
    def problems(self) -> list[str]:
        """Everything that is not as promised."""
        problems = self.found.after_reconciling(self.in_doubt_after, self.settled_nano, self.bill_nano)
        return problems + [f"a worker ended with {code}" for code in self.statuses if code != 0]

    def line(self) -> str:
        """Return the figures in one line."""
        found, plan = self.found, self.plan
        return (
            f"server={plan.server} ledger={plan.ledger} seed={plan.seed} faults={plan.faults} kills={plan.kills} "
            f"jobs={found.jobs} lost={found.lost} settled_twice={found.settled_twice} succeeded={found.succeeded} "
            f"failed={found.failed} calls={found.calls} in_doubt={self.doubted} "
            f"in_doubt_after_reconciling={self.in_doubt_after} "
            f"bill={format_usd(self.bill_nano)} ledger={format_usd(self.settled_nano)} "
            f"problems={len(self.problems)} seconds={self.seconds:.0f} events={self.log}"
        )


def combined(plan: CombinedPlan) -> CombinedReport:
    """Carry out a plan."""
    begun = time.monotonic()
    log = EventLog(EventLog.path_of(plan.name))
    with scene(ledger=plan.ledger, kind=plan.server, workers=WORKERS, seed=plan.seed) as stage:
        try:
            for act in plan.acts():
                log.note(act)
                stage.enqueue(JOBS_PER_ACT)
                _act(stage, plan, act)
                time.sleep(CALM_SECONDS)
            stage.site.simulator.control.set_faults()
            log.note("healed")
            wait_until("all jobs ended", REST_SECONDS_MAX, lambda: stage.site.ended() >= len(stage.site.acked))
        finally:
            statuses = stage.end()
            log.note("ended", statuses=statuses)
        doubted, after, settled, billed = asyncio.run(reconciled(stage.site))
        report = CombinedReport(
            plan=plan,
            seconds=time.monotonic() - begun,
            doubted=doubted,
            in_doubt_after=after,
            settled_nano=settled,
            bill_nano=billed,
            found=asyncio.run(findings(stage.site, resolve=False)),
            statuses=statuses,
            log=str(log.path),
        )
    for problem in report.problems:
        log.note("problem", text=problem)
    log.close()
    return report


def _act(stage: Scene, plan: CombinedPlan, act: str) -> None:
    seconds = stage.random.uniform(*FAULT_SECONDS)
    fault = {**REDIS, **LEDGER[plan.ledger]}.get(act)
    if act == KILL:
        _kill(stage)
    elif act == PAUSE:
        victim = stage.random.choice(stage.workers)
        victim.pause()
        time.sleep(seconds * 3)
        victim.wake()
    elif fault is not None:
        with fault(stage):
            time.sleep(seconds)
    else:
        stage.site.simulator.control.set_faults(ProviderFault(kind=act, probability=0.5))
        time.sleep(seconds)
        stage.site.simulator.control.set_faults()


def _kill(stage: Scene) -> None:
    number = stage.random.randrange(len(stage.workers))
    stage.workers[number].signal(signal.SIGKILL)
    stage.workers[number].process.join()
    stage.workers[number] = stage.site.nursery.start()


async def reconciled(site: Site) -> tuple[int, int, int, int]:
    """Compare every day of the bill, as `ledger reconcile` does.

    Returns how many attempts were in doubt before and after, what the ledger says was spent, and the bill.
    """
    bill = site.bill()
    ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
    try:
        before = (await ledger.summary()).total.in_doubt
        for day in sorted({datetime.fromtimestamp(row["at"], UTC).date().isoformat() for row in bill}):
            org = site.settings.orgs[0]
            await reconcile_day(ledger, org, day, _fetcher(site), complete=True)
        after = (await ledger.summary()).total
    finally:
        await ledger.aclose()
    billed = sum(row["nano_usd"] for row in bill if row["billed"])
    return before, after.in_doubt, after.settled_nano, billed


def _fetcher(site: Site) -> Callable[..., object]:
    return lambda org, day: fetch_bill(org, day, orgs=site.settings.orgs)
