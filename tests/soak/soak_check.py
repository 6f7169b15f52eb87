"""What must be true when everything has come to rest: queue, ledger, files and the provider's bill tell one story."""

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from soak_site import Site

from imagequeue.ledger.api import AttemptRow, Decision, ImageRecord, Outcome
from imagequeue.ledger.ledger import Ledger
from imagequeue.queue.auditing import audit
from imagequeue.queue.connection import connect
from imagequeue.queue.scripts import Scripts
from imagequeue.store.store import open_store

BILLED_STATES = ("settled", "reconciled")
BATCH = 5000
FILES_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found; `problems` is empty when all is well."""

    jobs: int
    succeeded: int
    failed: int
    lost: int
    settled_twice: int
    calls: int
    called_again: int
    doubted: int
    bill_nano: int
    ledger_nano: int
    files: int
    problems: tuple[str, ...]

    def after_reconciling(self, in_doubt: int, settled_nano: int, bill_nano: int) -> list[str]:
        """Return everything that is not as promised once the ledger was reconciled."""
        problems = list(self.problems)
        if self.lost or self.settled_twice:
            problems.append("lost or settled twice")
        if in_doubt or settled_nano != bill_nano:
            problems.append("the reconciled ledger is not the bill")
        return problems


async def findings(site: Site, *, resolve: bool = True) -> Findings:
    """Compare everything; attempts in doubt are first resolved by the provider's bill, as a person would.

    Without `resolve` they were resolved before, by the provider's reports: these tell how many calls of a minute were
    billed and not which, so that only the sums are compared.
    """
    ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
    try:
        return await _compare(site, ledger, resolve=resolve)
    finally:
        await ledger.aclose()


async def _compare(site: Site, ledger: Ledger, *, resolve: bool) -> Findings:
    bill = site.bill()
    billed = {row["client_request_id"]: row["nano_usd"] for row in bill if row["billed"]}
    problems: list[str] = []
    doubted = await _resolve(ledger, site, billed) if resolve else 0
    attempts, outcomes = await _read(ledger, site)
    problems += _money(attempts, billed) if resolve else []
    problems += _jobs(site, attempts, outcomes)
    problems += await _files(site, outcomes)
    problems += await _audited(site)
    breach = (await ledger.audit()).breach
    problems += [f"ledger audit: {breach}"] if breach else []
    statuses = Counter(site.statuses().values())
    calls = Counter(row["client_request_id"].rpartition("-")[0] for row in bill)
    rows = [row for each in attempts.values() for row in each]
    return Findings(
        jobs=len(site.acked),
        succeeded=statuses["finished"],
        failed=statuses["failed"],
        lost=len(site.acked) - statuses["finished"] - statuses["failed"] - statuses["canceled"],
        settled_twice=_settled_twice(site),
        calls=len(bill),
        called_again=sum(count - 1 for count in calls.values()),
        doubted=doubted,
        bill_nano=sum(billed.values()),
        ledger_nano=sum(row.usd_nano for row in rows if row.state in BILLED_STATES),
        files=sum(len(outcome.images) for outcome in outcomes.values()),
        problems=tuple(problems),
    )


async def _read(ledger: Ledger, site: Site) -> tuple[dict[str, tuple[AttemptRow, ...]], dict[str, Outcome]]:
    attempts: dict[str, tuple[AttemptRow, ...]] = {}
    outcomes: dict[str, Outcome] = {}
    for start in range(0, len(site.acked), BATCH):
        ids = site.acked[start : start + BATCH]
        attempts |= await ledger.attempts(ids)
        outcomes |= await ledger.outcomes(ids)
    return attempts, outcomes


async def _resolve(ledger: Ledger, site: Site, billed: Mapping[str, int]) -> int:
    attempts, _ = await _read(ledger, site)
    doubted = [row for rows in attempts.values() for row in rows if row.state == "in_doubt"]

    async def resolve(row: AttemptRow) -> bool:
        nano = billed.get(f"{row.job_id}-{row.n}")
        decision: Decision = "not_billed" if nano is None else "billed"
        return await ledger.resolve(row.attempt_id, decision, nano, reason="the provider's bill", by="soak")

    assert all(await asyncio.gather(*map(resolve, doubted)))
    return len(doubted)


def _money(attempts: Mapping[str, tuple[AttemptRow, ...]], billed: Mapping[str, int]) -> list[str]:
    """Every attempt costs what the bill says, and the bill has nothing that we do not know of."""
    problems: list[str] = []
    known: set[str] = set()
    for row in (row for rows in attempts.values() for row in rows):
        name = f"{row.job_id}-{row.n}"
        known.add(name)
        cost = row.usd_nano if row.state in BILLED_STATES else 0
        if row.state == "held":
            problems.append(f"{name} is still held")
        elif cost != billed.get(name, 0):
            problems.append(f"{name} ({row.state}) costs {cost}, the bill says {billed.get(name, 0)}")
    problems += [f"{name} is on the bill and not in the ledger" for name in set(billed) - known]
    return problems


def _jobs(site: Site, attempts: Mapping[str, tuple[AttemptRow, ...]], outcomes: Mapping[str, Outcome]) -> list[str]:
    """Every acknowledged job ended once, in the queue as in the ledger, with one settled attempt if it succeeded."""
    expected = {"finished": "succeeded", "failed": "failed"}
    problems = [f"{name} has no single place" for name in site.misplaced(site.acked)]
    for name, status in site.statuses().items():
        outcome = outcomes.get(name)
        if expected.get(status) != (outcome.status if outcome else None):
            problems.append(f"{name} is {status or 'gone'} in the queue, {outcome and outcome.status} in the ledger")
        settled = sum(row.state == "settled" for row in attempts.get(name, ()))
        if settled != (status == "finished"):
            problems.append(f"{name} ({status}) has {settled} settled attempts")
    return problems


async def _audited(site: Site) -> list[str]:
    """What `imagequeue audit` finds in the queue."""
    client = connect(f"redis://127.0.0.1:{site.port}/0")
    try:
        found = await audit(Scripts(client, site.keys), models=[site.model])
    finally:
        await client.aclose()
    return [f"audit: {each.id} {each.finding}: {each.detail}" for each in found.findings]


def _settled_twice(site: Site) -> int:
    with site.redis.pipeline(transaction=False) as pipe:
        for name in site.acked:
            pipe.xlen(f"{site.keys.result_prefix}{name}")
        return sum(length > 1 for length in pipe.execute())


async def _files(site: Site, outcomes: Mapping[str, Outcome]) -> list[str]:
    """Every image of the ledger is there, whole; a killed writer's leftovers can be swept away."""
    store = open_store(site.settings.store_url)
    images = [image for outcome in outcomes.values() for image in outcome.images]
    whole: list[bool] = []

    async def is_whole(image: ImageRecord) -> bool:
        data = await store.get(image.sha256)
        return data is not None and len(data) == image.bytes and hashlib.sha256(data).hexdigest() == image.sha256

    try:
        await store.sweep_temporary(0)
        for start in range(0, len(images), FILES_AT_ONCE):
            whole += await asyncio.gather(*map(is_whole, images[start : start + FILES_AT_ONCE]))
    finally:
        await store.aclose()
    damaged = [image.sha256 for image, good in zip(images, whole, strict=True) if not good]
    problems = [f"image {sha256[:12]} is missing or damaged" for sha256 in damaged]
    return problems + [f"a leftover file: {path}" for path in _leftovers(site)]


def _leftovers(site: Site) -> list[Any]:
    folder = Path(unquote(urlsplit(site.settings.store_url).path))
    kept = defaultdict(list)
    for path in folder.rglob("*"):
        if path.is_file():
            kept[len(path.stem) == 64].append(path)
    return kept[False]
