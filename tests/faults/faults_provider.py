"""Faults of the provider: every kind the simulator knows, each met by a site of its own."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from faults_scene import LATENCY, REST_SECONDS_MAX, Seen, reasons
from redis import Redis
from soak_check import findings
from soak_processes import WorkerProcess, wait_until
from soak_site import Site, beside, running_site

from imagequeue.queue import pools
from imagequeue.queue.connection import connect
from imagequeue.queue.scripts import Scripts
from imagequeue.simulator.faults import REFUSALS, SPOILINGS, Fault

KINDS: Final = tuple(sorted(REFUSALS | SPOILINGS))
AT_ONCE: Final = 16
"""Sites at work at the same time: each has a worker process."""
SLOW: Final = frozenset({"hang", "billed_hang", "drip"})
SLOW_CALL_SECONDS: Final = "2"
"""So long a call may take where the fault is that it takes longer."""
CALL_SECONDS: Final = "30"
"""Elsewhere: no answer may be missed because sixteen workers share two processors."""
HELD_UP_SECONDS: Final = 6.0
"""Of a hang or a drip: longer than a call may take."""
RETRY_AFTER_SECONDS: Final = 1
HUGE_BYTES: Final = 70_000_000
BIG: Final = frozenset({"huge_body", "gzip_bomb"})
PERSON: Final = frozenset({"insufficient_quota", "billing_hard_limit", "invalid_key"})
"""What suspends the pool until a person resumes it; the cause has to be mended first."""
GIVES_UP: Final = frozenset({"policy", "model_not_found", "unverified"})
"""What ends jobs as failed, with the provider's reason."""
LOOK_SECONDS: Final = 0.5


@dataclass(kw_only=True)
class Stage:
    """One site under one kind of fault."""

    kind: str
    site: Site
    worker: WorkerProcess
    reasons: dict[str, None] = field(default_factory=dict)

    @property
    def is_suspended(self) -> bool:
        """Whether the status said so."""
        return any(reason.startswith("pool:") for reason in self.reasons)

    @property
    def at_rest(self) -> bool:
        """Whether every job has ended; looks for reasons on the way, and resumes what only a person may."""
        if self.site.ended() >= len(self.site.acked):
            return True
        found = reasons(self.site)
        self.reasons.update(dict.fromkeys(found))
        return False


def provider_faults(
    kinds: Sequence[str], *, jobs: int, hits: int | None = None, seconds: float = 0.0, probability: float = 1.0
) -> Iterator[Seen]:
    """Let every kind strike the first `hits` calls of its site, or all calls for `seconds`; yield what was seen."""
    for start in range(0, len(kinds), AT_ONCE):
        yield from _group(kinds[start : start + AT_ONCE], jobs, hits, seconds, probability)


def _group(kinds: Sequence[str], jobs: int, hits: int | None, seconds: float, probability: float) -> list[Seen]:
    with running_site(orgs=tuple(kinds), latency=LATENCY) as main:
        main.simulator.control.set_faults(*(held_fault(kind, hits, probability) for kind in kinds))
        stages = [_stage(main, kind, jobs) for kind in kinds]
        begun = time.monotonic()
        try:
            while time.monotonic() < begun + seconds:
                for stage in stages:
                    _ = stage.at_rest
                time.sleep(LOOK_SECONDS)
            _until_suspended([stage for stage in stages if stage.kind in PERSON])
            main.simulator.control.set_faults(*([] if hits is None else _left(kinds, hits, probability)))
            healed = time.monotonic()
            for stage in stages:
                if stage.kind in PERSON:
                    resume(stage.site)
            for stage in stages:
                wait_until(
                    f"jobs under {stage.kind} ended",
                    REST_SECONDS_MAX,
                    lambda stage=stage: stage.at_rest,
                    pause_seconds=LOOK_SECONDS,
                )
            statuses = {stage.kind: stage.worker.end() for stage in stages}
        finally:
            for stage in stages:
                stage.worker.process.kill()
                stage.worker.process.join()
        return [_seen(stage, statuses[stage.kind], healed - begun) for stage in stages]


def _left(kinds: Sequence[str], hits: int, probability: float) -> list[Fault]:
    """What goes on when a person has mended the cause of a suspension: every other kind."""
    return [held_fault(kind, hits, probability) for kind in kinds if kind not in PERSON]


def held_fault(kind: str, hits: int | None = None, probability: float = 1.0) -> Fault:
    """Return the rule that lets a kind strike its organization's calls, the first `hits` of them or all."""
    return Fault(
        kind=kind,  # type: ignore[arg-type]  # one of KINDS
        org=kind,
        count=hits,
        probability=min(probability, 0.1) if kind in BIG and hits is None else probability,
        seconds=HELD_UP_SECONDS if kind in SLOW else 0.0,
        retry_after_seconds=RETRY_AFTER_SECONDS if kind in ("rate_limit", "slow_down", "overloaded") else None,
        bytes=HUGE_BYTES,
    )


def _stage(main: Site, kind: str, jobs: int) -> Stage:
    seconds = SLOW_CALL_SECONDS if kind in SLOW else CALL_SECONDS
    site = beside(main, kind, port=main.port, org=kind, IMAGEQUEUE_CALL_TIMEOUT_SECONDS=seconds)
    site.enqueue(jobs, Random(1))  # noqa: S311  # dice
    return Stage(kind=kind, site=site, worker=site.nursery.start())


def _until_suspended(stages: Sequence[Stage]) -> None:
    for stage in stages:
        wait_until(f"{stage.kind} suspends", REST_SECONDS_MAX, lambda stage=stage: stage.at_rest or stage.is_suspended)


def resume(site: Site) -> None:
    """Resume every pool, as a person does who has mended the cause."""
    asyncio.run(_resumed(site))


async def _resumed(site: Site) -> None:
    client = connect(f"redis://127.0.0.1:{site.port}/0")
    scripts = Scripts(client, site.keys)
    for pool in await pools.states(scripts):
        await pools.resume(scripts, pool)
    await client.aclose()


def _seen(stage: Stage, status: int | None, seconds: float) -> Seen:
    return Seen(
        fault=stage.kind,
        seconds=seconds,
        found=asyncio.run(findings(stage.site)),
        blind_calls=None,
        resumed_seconds=None,
        reasons=(*stage.reasons, *job_errors(stage.site)),
        statuses=(status,),
    )


def job_errors(site: Site) -> list[str]:
    """Return why jobs failed, once each."""
    with Redis(port=site.port) as client:
        errors = {client.hget(site.keys.job(name), "iq_error") for name in site.acked}
    return sorted(f"job: {error.decode()}" for error in errors if error)
