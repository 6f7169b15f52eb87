"""The command `status`: what goes on."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagequeue.producer.commands.switches import register as register_switches

if TYPE_CHECKING:
    from imagequeue.ledger.cap_report import CapStatus
    from imagequeue.ledger.provider_state import ProviderState
    from imagequeue.producer.client import AsyncImageQueue
    from imagequeue.producer.commands.status_view import Section
    from imagequeue.queue.status import Status
    from imagequeue.queue.status_reading import StatusReader
    from imagequeue.queue.webhook_health import WebhookHealth

SAMPLE_SECONDS: Final = 1.0
"""Between two looks at a busy pool, so that the share of its ceiling in use is known."""
WATCH_SECONDS: Final = 1.0
CAPS_SHOWN: Final = 10
"""So many caps are listed, or as many as have warned."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to an application: this one and the switches that it shows."""
    app.command()(status)
    register_switches(app)


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,  # noqa: FBT002 - typer makes an option of it
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Show queues by priority, what is in flight, pools with their ceilings and pace, and workers."""
    asyncio.run(_watch(as_json=as_json) if watch else _once(as_json=as_json))


async def _once(*, as_json: bool) -> None:
    from imagequeue.producer.client import AsyncImageQueue
    from imagequeue.producer.commands.output import print_json

    async with AsyncImageQueue() as queue:
        reader = queue.status_reader()
        found = await reader.read()
        if found.totals.running:
            await asyncio.sleep(SAMPLE_SECONDS)
            found = await reader.read()
        health = await _webhooks(queue)
        agreed = await _provider(queue)
        caps = await _caps(queue) if agreed is not None else ()  # one wait for a ledger that does not answer is enough
    if as_json:
        more = {**({"webhooks": health.as_json()} if health else {}), **(agreed.as_json() if agreed else {})}
        print_json({**found.as_json(), **more, **({"caps": [cap.as_json() for cap in caps]} if caps else {})})
        return
    _print(found)
    if health is not None:
        from imagequeue.producer.commands.webhooks_view import print_endpoints

        typer.echo("")
        print_endpoints(health)
    if agreed is None or agreed.orgs or agreed.in_doubt or agreed.batches:
        from imagequeue.producer.commands.ledger_view import print_agreement

        typer.echo("")
        print_agreement(agreed)
    if caps:
        _print_caps(caps)


def _print_caps(caps: "tuple[CapStatus, ...]") -> None:
    """Print the caps that warned, and the fullest of the others."""
    from imagequeue.producer.commands.ledger_caps import print_caps
    from imagequeue.producer.commands.output import print_line

    ordered = sorted(caps, key=lambda cap: (not cap.warnings, -cap.used_share))
    shown = ordered[: max(CAPS_SHOWN, sum(bool(cap.warnings) for cap in caps))]
    print_line("")
    print_caps(shown)
    if len(shown) < len(caps):
        print_line(f"and {len(caps) - len(shown)} caps that are used less: imagequeue ledger caps")


async def _webhooks(queue: "AsyncImageQueue") -> "WebhookHealth | None":
    """How webhooks do; None without endpoints, which spares opening the ledger."""
    if not queue.settings.webhooks:
        return None
    from imagequeue.queue.webhook_health import read_webhook_health

    return await read_webhook_health(queue.scripts, await queue.ledger(), queue.settings.webhooks)


async def _caps(queue: "AsyncImageQueue") -> "tuple[CapStatus, ...]":
    """How far the caps are used that stand, configured or set; none without the ledger, which is told then."""
    from imagequeue.config.errors import LedgerUnavailable
    from imagequeue.producer.caps import configured_caps

    try:
        return await (await queue.ledger()).caps(configured_caps(queue.settings))
    except LedgerUnavailable:
        return ()


async def _provider(queue: "AsyncImageQueue") -> "ProviderState | None":
    """How far the ledger agrees with the provider; None when it cannot be reached."""
    from imagequeue.config.clock import SystemClock
    from imagequeue.config.errors import LedgerUnavailable
    from imagequeue.ledger.provider_state import provider_state

    keyed, now = [org.name for org in queue.settings.orgs if org.admin_key is not None], SystemClock().now()
    try:
        return await (await queue.ledger()).read(lambda connection: provider_state(connection, keyed, now))
    except LedgerUnavailable:
        return None


async def _watch(*, as_json: bool) -> None:
    from imagequeue.producer.client import AsyncImageQueue
    from imagequeue.producer.commands.live import Live

    async with AsyncImageQueue() as queue:
        reader = queue.status_reader()
        if as_json:
            await _stream(reader)
            return
        with Live() as live:
            while True:  # ends with Ctrl-C
                live.show(*_parts(await reader.read()))
                await asyncio.sleep(WATCH_SECONDS)


async def _stream(reader: "StatusReader") -> None:
    from imagequeue.producer.commands.output import print_json_line

    while True:  # ends with Ctrl-C
        print_json_line((await reader.read()).as_json())
        await asyncio.sleep(WATCH_SECONDS)


def _print(found: "Status") -> None:
    from imagequeue.producer.commands.output import print_line, print_table
    from imagequeue.producer.commands.status_view import headline, notes, sections

    print_line(headline(found), style="bold")
    for section in sections(found):
        print_line("")
        print_table(section.columns, section.rows, right=section.right)
    for note in notes(found):
        print_line("")
        print_line(note, style="yellow")


def _parts(found: "Status") -> "tuple[str, list[Section], list[str]]":
    from imagequeue.producer.commands.status_view import headline, notes, sections

    return headline(found), sections(found), notes(found)
