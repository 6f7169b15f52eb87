"""The command `advice`: what would help in the longer run."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from imagequeue.producer.advice.findings import Finding


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("advice")(advice)


def advice(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Say which ceilings, models, prices and prompts need a decision, and what would help."""
    from imagequeue.producer.commands.output import print_json, print_line

    findings = asyncio.run(_findings())
    if as_json:
        print_json({"findings": [finding.as_json() for finding in findings]})
        return
    if not findings:
        print_line("Nothing to advise: no ceiling was over 80 % for a week, no model in use ends, no price changed.")
    for finding in findings:
        print_line(f"{finding.severity}: {finding.text}", style="bold")
        for option in finding.options:
            print_line(f"  - {option.text}")


async def _findings() -> "tuple[Finding, ...]":
    from imagequeue.config.catalog import load_catalog
    from imagequeue.config.clock import SystemClock
    from imagequeue.producer.advice.advise import advise
    from imagequeue.producer.advice.gathering import gather_facts
    from imagequeue.producer.client import AsyncImageQueue

    async with AsyncImageQueue() as queue:
        settings, catalog = queue.settings, load_catalog(queue.settings.catalog)
        facts = await gather_facts(settings, catalog, queue.scripts, await queue.ledger(), SystemClock().now())
        return advise(facts)
