"""The command `audit`: whether every job is in exactly one place."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from imagequeue.queue.auditing import Audit


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command()(audit)


def audit(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False,  # noqa: FBT002 - typer makes an option of it
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - as above
) -> None:
    """Check that every job is in exactly one place, and list leases; exit 1 if something is wrong and not mended."""
    seen = asyncio.run(_audit(repair=repair))
    if as_json:
        _print_json(seen)
    else:
        _print_tables(seen)
    raise typer.Exit(0 if seen.sound else 1)


async def _audit(*, repair: bool) -> "Audit":
    from imagequeue.config.settings import load_settings
    from imagequeue.producer.open_queue import opened_queue
    from imagequeue.queue import auditing

    async with opened_queue(load_settings(keys_needed=False)) as queue:
        return await auditing.audit(queue.scripts, models=queue.catalog.models.keys(), repair=repair)


def _print_json(seen: "Audit") -> None:
    from imagequeue.producer.commands.output import print_json

    rows = {"findings": [asdict(row) for row in seen.findings], "leases": [asdict(row) for row in seen.leases]}
    print_json({"sound": seen.sound, "jobs": seen.jobs, **rows})


def _print_tables(seen: "Audit") -> None:
    from imagequeue.producer.commands.output import print_line, print_table

    if seen.findings:
        columns = ("job", "queue", "status", "finding", "detail", "repaired")
        rows = [(f.id, f.queue, f.status, f.finding, f.detail, "yes" if f.repaired else "no") for f in seen.findings]
        print_table(columns, rows)
    if seen.leases:
        leases = [(lease.worker, str(lease.claims), f"{lease.seconds_left:.1f} s") for lease in seen.leases]
        print_table(("worker", "jobs", "lease left"), leases, right=("jobs", "lease left"))
    verdict = (
        "every job is in exactly one place" if seen.sound else "some jobs are not where they should be; see --repair"
    )
    print_line(f"{seen.jobs:,} jobs looked at: {verdict}")
