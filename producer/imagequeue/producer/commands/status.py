"""The commands `status`, `suspend` and `resume`: what goes on, and a pool's switch."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagequeue.config.errors import JobRefused

if TYPE_CHECKING:
    from imagequeue.producer.client import AsyncImageQueue
    from imagequeue.producer.commands.status_view import Section
    from imagequeue.queue.status import Status
    from imagequeue.queue.status_reading import StatusReader

SAMPLE_SECONDS: Final = 1.0
"""Between two looks at a busy pool, so that the share of its ceiling in use is known."""
WATCH_SECONDS: Final = 1.0

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.command()(status)
    app.command()(suspend)
    app.command()(resume)


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,  # noqa: FBT002 - typer makes an option of it
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Show queues by priority, what is in flight, pools with their ceilings and pace, and workers."""
    asyncio.run(_watch(as_json=as_json) if watch else _once(as_json=as_json))


def suspend(
    pool: Annotated[str, typer.Argument(help="ORG|GROUP as `imagequeue status` shows it, e.g. 'main|dall-e-3'.")],
    reason: Annotated[str, typer.Option(help="Why; shown wherever a job waits for it.")] = "suspended by hand",
    minutes: Annotated[float, typer.Option(min=0, help="Ends by itself after so long; 0: only by `resume`.")] = 0.0,
) -> None:
    """Start no more calls in a pool; calls in flight go on."""
    asyncio.run(_suspend(pool, reason, int(minutes * 60_000_000)))


def resume(
    pool: Annotated[str | None, typer.Argument(help="ORG|GROUP as `imagequeue status` shows it.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All pools.")] = False,  # noqa: FBT002 - as above
) -> None:
    """End a pool's suspension, pause and lowered pace."""
    if (pool is None) != everything:
        raise typer.BadParameter("one POOL or --all is needed")
    asyncio.run(_resume(pool))


async def _once(*, as_json: bool) -> None:
    from imagequeue.producer.client import AsyncImageQueue
    from imagequeue.producer.commands.output import print_json

    async with AsyncImageQueue() as queue:
        reader = queue.status_reader()
        found = await reader.read()
        if found.totals.running:
            await asyncio.sleep(SAMPLE_SECONDS)
            found = await reader.read()
    if as_json:
        print_json(found.as_json())
    else:
        _print(found)


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


async def _suspend(pool: str, reason: str, for_us: int) -> None:
    from imagequeue.producer.client import AsyncImageQueue
    from imagequeue.producer.commands.output import print_line
    from imagequeue.queue import pools

    async with AsyncImageQueue() as queue:
        await _known(queue, pool)
        await pools.suspend(queue.scripts, pool, reason=reason, for_us=for_us)
    print_line(f"{pool}: suspended; `imagequeue resume '{pool}'` ends it")


async def _resume(pool: str | None) -> None:
    from imagequeue.producer.client import AsyncImageQueue
    from imagequeue.producer.commands.output import print_line
    from imagequeue.queue import pools

    async with AsyncImageQueue() as queue:
        names = await _known(queue, pool)
        for name in names:
            await pools.resume(queue.scripts, name)
    print_line(f"resumed: {', '.join(names)}" if names else "no pool has been used yet")


async def _known(queue: "AsyncImageQueue", pool: str | None) -> list[str]:
    """The pool that was named, or all; JobRefused when there is none of that name."""
    known = [one.name for one in (await queue.status()).pools]
    if pool is not None and pool not in known:
        raise JobRefused("pool", f"{pool!r} is unknown; known: {', '.join(known) or 'none'}")
    return known if pool is None else [pool]


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
