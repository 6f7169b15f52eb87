"""Kills workers at random for as long as it is told, heals, and checks that nothing was lost and every cent is known.

    .venv/bin/python tests/soak/soak.py --kills 1000 --jobs 100000 --server valkey|redis --ledger sqlite|postgresql
        [--seed N]

The seed decides who is struck, how and when, and how long the provider takes; it is printed first, and the same seed
strikes the same way again (processes still interleave as the machine likes).
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from soak_chaos import Chaos
from soak_check import Findings, findings
from soak_log import EventLog
from soak_processes import wait_until
from soak_site import LEASE_SECONDS, LedgerKind, Site, running_site

from imagequeue.config.money import format_usd
from imagequeue.simulator.faults import Fault

WORKERS = 4
FAULTS = (
    Fault(kind="billed_reset", probability=0.004),
    Fault(kind="truncated", probability=0.004),
    Fault(kind="billed_server_error", probability=0.004),
    Fault(kind="server_error", probability=0.004),
)  # none that pauses the pool: a pause would hide how soon a dead worker's jobs are taken up
REST_SECONDS_MAX = 120.0  # and what is still queued at the end, at the least pace
PACE_MIN = 20.0  # jobs a second
STRIKES_PER_KILL_MAX = 10
BACKLOG_MAX = 5_000
"""Jobs queued at once: more would only prove that a queue can be long."""
ENQUEUED_AT_ONCE_MAX = 500  # while the harness enqueues it does not look


@dataclass(frozen=True, kw_only=True)
class SoakPlan:
    """What to do. `kills` counts SIGKILL alone; pauses and stops come on top.

    Jobs are enqueued a few after each strike, so that there is always something to lose.
    """

    kills: int
    jobs: int
    seed: int
    server: str = "valkey"
    ledger: LedgerKind = "sqlite"
    back_seconds_max: float = LEASE_SECONDS + 2
    """How long what a killed worker held may take to be back in line; more on a machine that does other things too."""

    @property
    def name(self) -> str:
        """What its log is called."""
        return f"soak-{self.server}-{self.ledger}-{self.seed}"


@dataclass(frozen=True, kw_only=True)
class SoakReport:
    """What was done, and what was found."""

    plan: SoakPlan
    done: dict[str, int]
    seconds: float
    returned_seconds: tuple[float, ...]
    taken_seconds: tuple[float, ...]
    taken_high_seconds: tuple[float, ...]
    unseen_seconds: float
    unseen: int
    misplaced: tuple[str, ...]
    audits: int
    statuses: tuple[int | None, ...]
    unasked: tuple[str, ...]
    findings: Findings
    log: Path

    @property
    def problems(self) -> list[str]:
        """Everything that is not as promised."""
        found = self.findings
        problems = list(found.problems)
        problems += [f"{name} had no single place at some moment" for name in self.misplaced]
        problems += self.unasked
        problems += [f"a worker that was asked to end: exit status {code}" for code in self.statuses if code != 0]
        if found.lost or found.settled_twice or found.ledger_nano != found.bill_nano:
            problems.append("lost, settled twice, or a ledger that is not the bill")
        if percentile(self.returned_seconds, 1) > self.plan.back_seconds_max:
            problems.append(f"a job was back in line only after {percentile(self.returned_seconds, 1):.1f} s")
        return problems

    def line(self) -> str:
        """Return the figures in one line."""
        found, plan = self.findings, self.plan
        acts = ", ".join(f"{count} {name}" for name, count in sorted(self.done.items()))
        return (
            f"server={plan.server} ledger={plan.ledger} seed={plan.seed} strikes={sum(self.done.values())} ({acts}) "
            f"jobs={found.jobs} lost={found.lost} settled_twice={found.settled_twice} succeeded={found.succeeded} "
            f"failed={found.failed} calls={found.calls} calls_per_job={found.calls / max(found.jobs, 1):.4f} "
            f"in_doubt={found.doubted} images={found.files} "
            f"bill={format_usd(found.bill_nano)} ledger={format_usd(found.ledger_nano)} "
            f"back_in_line {_spread(self.returned_seconds)} "
            f"taken_up {_spread(self.taken_seconds)} high {_spread(self.taken_high_seconds)} "
            f"of {len(self.taken_seconds)} (lease {LEASE_SECONDS:g}s, looks at most {self.unseen_seconds:.2f}s apart, "
            f"{self.unseen} came back while nobody looked) "
            f"audits={self.audits} "
            f"problems={len(self.problems)} seconds={self.seconds:.0f}"
        )


def _spread(seconds: Sequence[float]) -> str:
    return f"p50={percentile(seconds, 0.5):.2f}s p100={percentile(seconds, 1):.2f}s"


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the time that this share of the jobs did not exceed; 0 when there are none."""
    ordered = sorted(seconds)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def soak(plan: SoakPlan) -> SoakReport:
    """Carry out a plan."""
    begun = time.monotonic()
    dice = random.Random(plan.seed)  # noqa: S311  # dice, not a secret
    log = EventLog(EventLog.path_of(plan.name))
    log.note("begun", **asdict(plan))
    with running_site(kind=plan.server, ledger=plan.ledger, seed=plan.seed, faults=FAULTS) as site:
        chaos = Chaos(site=site, random=dice, workers=[site.nursery.start() for _ in range(WORKERS)], log=log)
        try:
            _storm(plan, site, chaos)
            chaos.heal()
            log.note("healed", queued=len(site.acked) - site.ended())
            rest_seconds = REST_SECONDS_MAX + (len(site.acked) - site.ended()) / PACE_MIN
            wait_until("all jobs ended", rest_seconds, lambda: _at_rest(site, chaos))
        finally:
            statuses = tuple(chaos.end())
            log.note("ended", statuses=statuses)
        report = SoakReport(
            plan=plan,
            done=dict(chaos.done),
            seconds=time.monotonic() - begun,
            returned_seconds=tuple(chaos.recovery.returned_seconds),
            taken_seconds=tuple(chaos.recovery.taken_seconds),
            taken_high_seconds=tuple(chaos.recovery.taken_high_seconds),
            unseen_seconds=chaos.recovery.unseen_seconds,
            unseen=chaos.recovery.unseen,
            misplaced=tuple(sorted(chaos.misplaced)),
            audits=chaos.audits,
            statuses=statuses,
            unasked=tuple(chaos.unasked),
            findings=asyncio.run(findings(site)),
            log=log.path,
        )
    for problem in report.problems:
        log.note("problem", text=problem)
    log.note("report", line=report.line())
    log.close()
    return report


def _storm(plan: SoakPlan, site: Site, chaos: Chaos) -> None:
    """Strike until there were enough kills; bounded, since a strike needs two workers at peace."""
    for _ in range(plan.kills * STRIKES_PER_KILL_MAX):
        if chaos.done["kill"] >= plan.kills:
            break
        _enqueue(plan, site, chaos, plan.jobs * (chaos.done["kill"] + 1) // plan.kills)
        chaos.calm()
        chaos.strike()
    else:
        raise AssertionError(f"only {chaos.done['kill']} of {plan.kills} kills: workers do not come back")
    until = time.monotonic() + REST_SECONDS_MAX + (plan.jobs - site.ended()) / PACE_MIN
    while len(site.acked) < plan.jobs:
        if time.monotonic() > until:
            raise AssertionError(f"only {site.ended()} of {plan.jobs} jobs ended: workers do not work")
        _enqueue(plan, site, chaos, plan.jobs)
        chaos.calm()


def _enqueue(plan: SoakPlan, site: Site, chaos: Chaos, due: int) -> None:
    room = BACKLOG_MAX - (len(site.acked) - site.ended())
    site.enqueue(max(0, min(due - len(site.acked), room, ENQUEUED_AT_ONCE_MAX)), chaos.random)


def _at_rest(site: Site, chaos: Chaos) -> bool:
    chaos.look()
    return site.ended() >= len(site.acked) and not chaos.recovery.waiting and chaos.all_at_work


def main(arguments: Sequence[str]) -> int:
    """Soak as told by the command line."""
    parser = argparse.ArgumentParser(description="kill workers at random; prove that nothing is lost")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--server", choices=("valkey", "redis"), default="valkey")
    parser.add_argument("--ledger", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    told = parser.parse_args(arguments)
    plan = SoakPlan(kills=told.kills, jobs=told.jobs, seed=told.seed, server=told.server, ledger=told.ledger)
    print(f"soak: {plan}", flush=True)  # noqa: T201  # a command's output
    print(f"events: {EventLog.path_of(plan.name)}", flush=True)  # noqa: T201
    try:
        report = soak(plan)
    except AssertionError as error:
        print(f"soak: FAILED without figures: {error}")  # noqa: T201
        return 1
    for problem in report.problems[:50]:
        print(problem)  # noqa: T201
    print(report.line(), "soak: FAILED" if report.problems else "soak: passed", sep="\n")  # noqa: T201
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
