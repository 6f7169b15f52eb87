"""Every kind of fault of the provider, held for minutes against a worker each, some side by side.

Jobs come all the while. Each site has its own organization, key prefix, ledger and store; the provider and Redis are
shared. In the end `ledger reconcile` settles the books with the provider's reports; then they must be its bill.
"""

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from faults_combined import reconciled
from faults_provider import GIVES_UP, KINDS, PERSON, held_fault, job_errors, resume
from faults_scene import LATENCY, reasons
from soak_check import Findings, findings
from soak_processes import WorkerProcess, wait_until
from soak_site import Site, beside, running_site

from imagequeue.config.money import format_usd

MODEL: Final = "gpt-image-2"
"""Priced by the tokens that an answer tells, so that an answer without them matters."""
ATTEMPTS: Final = 12
"""Enough for a job to outlive some minutes."""
BEFORE_SECONDS_MAX: Final = 30.0
AFTER_SECONDS: Final = 5.0
REST_SECONDS_MAX: Final = 180.0
TICK_SECONDS: Final = 1.0
LOOK_TICKS: Final = 5
"""One look at a site's status in so many seconds: what it says stays for longer."""
SETTLING_SECONDS: Final = 5.0
"""What was in flight when the fault began ends, and the pool learns of it."""
RECOVERY_SECONDS_MAX: Final = 10.0
CALL_SECONDS: Final = "2"
PAUSES: Final = frozenset({"rate_limit", "slow_down", "error_in_200"})
PROBE_SECONDS: Final = 1.0
GONE: Final = frozenset({"model_not_found", "unverified"})
HARMLESS: Final = frozenset({"negative_usage", "twice"})
"""The images came all the same: nothing is wrong that a status could tell."""


@dataclass(kw_only=True)
class Stage:
    """One site under one kind of fault."""

    kind: str
    site: Site
    worker: WorkerProcess
    reasons: dict[str, None] = field(default_factory=dict)
    due: float = 0.0
    rest_seconds: float = 0.0

    def feed(self, jobs: float) -> None:
        """Enqueue so many jobs, parts of one kept for the next time."""
        self.due += jobs
        whole = math.floor(self.due)
        self.due -= whole
        self.site.enqueue(whole, Random(len(self.site.acked)), max_attempts=ATTEMPTS)  # noqa: S311  # dice

    def look(self) -> None:
        """Note what `imagequeue status` says."""
        self.reasons.update(dict.fromkeys(reasons(self.site)))

    @property
    def at_rest(self) -> bool:
        """Whether every job has ended."""
        return self.site.ended() >= len(self.site.acked)


@dataclass(frozen=True, kw_only=True)
class Held:
    """What one kind did.

    `during`: calls while it lasted. `blind`: those of them that came although the pool was known to be of no use; None
    where each job's own waits decide. `recovered_seconds`: from its end to the first image; `rest_seconds`: to the end
    of the last job.
    """

    kind: str
    seconds: float
    during: int
    blind: int | None
    recovered_seconds: float | None
    rest_seconds: float
    doubted: int
    in_doubt_after: int
    settled_nano: int
    bill_nano: int
    peak_mb: int
    reasons: tuple[str, ...]
    errors: tuple[str, ...]
    status: int | None
    found: Findings

    @property
    def problems(self) -> list[str]:
        """Everything that is not as promised."""
        found = self.found
        problems = found.after_reconciling(self.in_doubt_after, self.settled_nano, self.bill_nano)
        if self.blind:
            problems.append(f"{self.blind} calls while blind")
        if self.recovered_seconds is None or self.recovered_seconds > RECOVERY_SECONDS_MAX:
            problems.append(f"recovered after {self.recovered_seconds} s")
        if self.kind not in HARMLESS and not (self.reasons or self.errors):
            problems.append("no reason was told")
        if self.kind not in HARMLESS | GIVES_UP and not self.reasons:
            problems.append("the status told no reason")
        if self.kind not in GIVES_UP and found.failed:
            problems.append(f"{found.failed} jobs failed")
        return problems + ([f"the worker ended with {self.status}"] if self.status else [])

    def line(self) -> str:
        """Return the figures in one line."""
        found = self.found
        return (
            f"{self.kind}: {self.seconds:.0f} s; jobs {found.jobs}, lost {found.lost}, settled twice "
            f"{found.settled_twice}, failed {found.failed}, calls {found.calls}, "
            f"calls per job {self.calls_per_job:.2f}, during it {self.during}, while blind {self.blind}, "
            f"in doubt {self.doubted} -> {self.in_doubt_after}, "
            f"bill {format_usd(self.bill_nano)} ledger {format_usd(self.settled_nano)}, "
            f"recovered {_seconds(self.recovered_seconds)}, all ended {self.rest_seconds:.1f} s, "
            f"worker at most {self.peak_mb} MB, problems {len(self.problems)}, reason: {self.reason}"
        )

    def row(self) -> str:
        """Return the figures as a row of the table in docs/reliability.md."""
        found = self.found
        blind = "-" if self.blind is None else str(self.blind)
        books = "yes" if self.settled_nano == self.bill_nano else "NO"
        return (
            f"| {self.kind} | {found.jobs} ({found.failed}) | {found.lost} / {found.settled_twice} "
            f"| {self.calls_per_job:.2f} | {self.during} | {blind} | {self.doubted} / {self.in_doubt_after} "
            f"| {books}, ${format_usd(self.bill_nano)} | {_seconds(self.recovered_seconds)} | {self.reason[:90]} |"
        )

    @property
    def calls_per_job(self) -> float:
        """Calls of the provider for each job."""
        return self.found.calls / max(self.found.jobs, 1)

    @property
    def reason(self) -> str:
        """What was told: by the status, else by the jobs."""
        return (*self.reasons, *self.errors, "")[0]


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


def hold(kinds: Sequence[str], *, seconds: float, rate: float, at_once: int) -> Iterator[Held]:
    """Hold each kind for so long while `rate` jobs a second come; yield what was seen."""
    for start in range(0, len(kinds), at_once):
        yield from _group(kinds[start : start + at_once], seconds, rate)


def groups_of(kinds: Sequence[str] = KINDS, at_once: int = 1) -> list[str]:
    """Return the kinds in an order that spreads those that look alike over the groups."""
    groups = math.ceil(len(kinds) / at_once)
    return [kind for first in range(groups) for kind in kinds[first::groups]]


def _group(kinds: Sequence[str], seconds: float, rate: float) -> list[Held]:
    with running_site(orgs=tuple(kinds), latency=LATENCY) as main:
        stages = [_stage(main, kind) for kind in kinds]
        try:
            _at_work(stages, rate)
            main.simulator.control.set_faults(*(held_fault(kind) for kind in kinds))
            begun = time.monotonic()
            _feed(stages, seconds, rate)
            for stage in stages:
                stage.look()
            main.simulator.control.set_faults()
            healed = time.monotonic()
            for stage in stages:
                if stage.kind in PERSON | GONE:
                    resume(stage.site)
            _feed(stages, min(AFTER_SECONDS, seconds), rate, look=False)
            _until_rest(stages, healed)
            peaks = {stage.kind: _peak_mb(stage.worker.pid) for stage in stages}
            statuses = {stage.kind: stage.worker.end() for stage in stages}
        finally:
            for stage in stages:
                stage.worker.process.kill()
                stage.worker.process.join()
        calls = main.simulator.control.calls()
        return [_held(stage, calls, begun, healed, peaks[stage.kind], statuses[stage.kind]) for stage in stages]


def _stage(main: Site, kind: str) -> Stage:
    site = beside(main, kind, port=main.port, org=kind, model=MODEL, IMAGEQUEUE_CALL_TIMEOUT_SECONDS=CALL_SECONDS)
    return Stage(kind=kind, site=site, worker=site.nursery.start())


def _at_work(stages: Sequence[Stage], rate: float) -> None:
    for stage in stages:
        stage.feed(max(rate, 1.0))
    for stage in stages:
        wait_until(f"{stage.kind} is at work", BEFORE_SECONDS_MAX, lambda stage=stage: stage.at_rest)


def _feed(stages: Sequence[Stage], seconds: float, rate: float, *, look: bool = True) -> None:
    begun = time.monotonic()
    for tick in range(round(seconds / TICK_SECONDS)):
        for place, stage in enumerate(stages):
            stage.feed(rate * TICK_SECONDS)
            if look and tick % LOOK_TICKS == place % LOOK_TICKS:
                stage.look()
        time.sleep(max(begun + (tick + 1) * TICK_SECONDS - time.monotonic(), 0.0))


def _until_rest(stages: Sequence[Stage], healed: float) -> None:
    """Wait for every site, and note when each came to rest."""
    left = {stage.kind: stage for stage in stages}

    def all_at_rest() -> bool:
        for kind, stage in list(left.items()):
            if stage.at_rest:
                stage.rest_seconds = time.monotonic() - healed
                del left[kind]
        return not left

    wait_until("all jobs ended", REST_SECONDS_MAX, all_at_rest, pause_seconds=TICK_SECONDS / 2)


def _peak_mb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def _held(
    stage: Stage, calls: Sequence[dict[str, Any]], begun: float, healed: float, peak_mb: int, status: int | None
) -> Held:
    mine = [call for call in calls if call["org"] == stage.kind]
    during = [call["arrived_seconds"] for call in mine if begun <= call["arrived_seconds"] < healed]
    made = [
        call["ended_seconds"]
        for call in mine
        if call["arrived_seconds"] >= healed and call["status"] == 200 and call["fault"] is None
    ]
    doubted, after, settled, billed = asyncio.run(reconciled(stage.site))
    return Held(
        kind=stage.kind,
        seconds=healed - begun,
        during=len(during),
        blind=_blind(stage.kind, [at for at in during if at >= begun + SETTLING_SECONDS], healed - begun),
        recovered_seconds=min(made) - healed if made else None,
        rest_seconds=stage.rest_seconds,
        doubted=doubted,
        in_doubt_after=after,
        settled_nano=settled,
        bill_nano=billed,
        peak_mb=peak_mb,
        reasons=tuple(stage.reasons),
        errors=tuple(job_errors(stage.site)),
        status=status,
        found=asyncio.run(findings(stage.site, resolve=False)),
    )


def _blind(kind: str, calls: Sequence[float], seconds: float) -> int | None:
    """Calls beyond those allowed: none where a person has to act, one probe each second where the pool pauses."""
    if kind in PERSON | GONE:
        return len(calls)
    if kind in PAUSES:
        return max(len(calls) - math.ceil(seconds / PROBE_SECONDS), 0)
    return None
