"""The commands `suspend` and `resume`: the switches of a pool, a tenant, a queue, or everything."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from imagequeue.config.errors import JobRefused

if TYPE_CHECKING:
    from imagequeue.producer.client import AsyncImageQueue
    from imagequeue.queue.status import PoolStatus

Pool = Annotated[str | None, typer.Argument(help="ORG|GROUP as `imagequeue status` shows it, e.g. 'main|dall-e-3'.")]
Org = Annotated[str | None, typer.Option(help="The pools of this organization; with --model, that one.")]
Model = Annotated[str | None, typer.Option(help="The pools that serve this model; with --org, that one.")]
Tenant = Annotated[str | None, typer.Option(help="All jobs of this tenant.")]
Queue = Annotated[str | None, typer.Option(help="One queue, MODEL.PRIORITY, e.g. dall-e-3.low.")]
Everything = Annotated[bool, typer.Option("--all", help="Everything.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Done = tuple[str, bool]
"""What a switch is of, and whether it stood the other way before."""


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.command()(suspend)
    app.command()(resume)


def suspend(
    pool: Pool = None,
    org: Org = None,
    model: Model = None,
    tenant: Tenant = None,
    queue: Queue = None,
    everything: Everything = False,  # noqa: FBT002 - typer makes an option of it
    reason: Annotated[str, typer.Option(help="Why; shown wherever a job waits for it.")] = "suspended by hand",
    minutes: Annotated[
        float, typer.Option(min=0, help="Of pools only: ends by itself after so long; 0: only by `resume`.")
    ] = 0.0,
    as_json: AsJson = False,  # noqa: FBT002 - as above
) -> None:
    """Start no more calls in a pool, for a tenant, from a queue, or at all; calls in flight go on."""
    _check_one(pool=pool, org=org, model=model, tenant=tenant, queue=queue, everything=everything)
    if minutes and not (pool or org or model):
        raise typer.BadParameter("--minutes is for pools only")

    async def work(opened: "AsyncImageQueue") -> list[Done]:
        from imagequeue.queue.switches import Switches

        switches = Switches(opened.scripts)
        if everything:
            return [("all queues", await switches.suspend_all(reason=reason))]
        if tenant is not None:
            return [(f"tenant {tenant}", await switches.suspend_tenant(_tenant(tenant), reason=reason))]
        if queue is not None:
            return [(f"queue {queue}", await switches.suspend_queue(await _queue(opened, queue), reason=reason))]
        names = await _pools(opened, pool, org, model)
        for_us = int(minutes * 60_000_000)
        return [(name, await switches.suspend_pool(name, reason=reason, for_us=for_us)) for name in names]

    _print(asyncio.run(_opened(work)), "suspended", as_json=as_json)


def resume(
    pool: Pool = None,
    org: Org = None,
    model: Model = None,
    tenant: Tenant = None,
    queue: Queue = None,
    everything: Everything = False,  # noqa: FBT002 - typer makes an option of it
    as_json: AsJson = False,  # noqa: FBT002 - as above
) -> None:
    """End a suspension; for a pool also its pause, and what its answers taught of a lower pace.

    --all: all pools, and every tenant and queue that a person suspended.
    """
    _check_one(pool=pool, org=org, model=model, tenant=tenant, queue=queue, everything=everything)

    async def work(opened: "AsyncImageQueue") -> list[Done]:
        from imagequeue.queue.switches import Switches

        switches = Switches(opened.scripts)
        if tenant is not None:
            return [(f"tenant {tenant}", await switches.resume_tenant(_tenant(tenant)))]
        if queue is not None:
            return [(f"queue {queue}", await switches.resume_queue(await _queue(opened, queue)))]
        done = [("all queues", await switches.resume_all())] if everything else []
        names = await _pools(opened, pool, org, model)
        return done + [(name, await switches.resume_pool(name)) for name in names]

    _print(asyncio.run(_opened(work)), "resumed", as_json=as_json)


async def _opened(work: "Callable[[AsyncImageQueue], Awaitable[list[Done]]]") -> list[Done]:
    from imagequeue.producer.client import AsyncImageQueue

    async with AsyncImageQueue() as queue:
        return await work(queue)


def _check_one(
    *, pool: str | None, org: str | None, model: str | None, tenant: str | None, queue: str | None, everything: bool
) -> None:
    asked = [pool is not None, org is not None or model is not None, tenant is not None, queue is not None, everything]
    if sum(asked) != 1:
        raise typer.BadParameter("one POOL or --all is needed, or one of --org and --model, --tenant, --queue")


async def _pools(queue: "AsyncImageQueue", pool: str | None, org: str | None, model: str | None) -> list[str]:
    """The pools that were named, or all; JobRefused when there is none such."""
    known = (await queue.status()).pools
    found = [one.name for one in known if pool in (None, one.name) and _is(one, org, model)]
    if not found and (pool or org or model):
        named = ", ".join(one.name for one in known) or "none"
        asked = pool if pool is not None else "|".join(word or "*" for word in (org, model))
        raise JobRefused("pool", f"{asked!r} is unknown; known: {named}")
    return found


def _is(pool: "PoolStatus", org: str | None, model: str | None) -> bool:
    group = pool.name.partition("|")[2]
    return org in (None, pool.org) and (model in (None, group) or model in pool.models)


def _tenant(name: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from imagequeue.config.job import Name

    try:
        return TypeAdapter[str](Name).validate_python(name)
    except ValidationError as error:
        raise JobRefused("tenant", "1 to 64 letters, digits and _ . : @ / - are accepted") from error


async def _queue(opened: "AsyncImageQueue", name: str) -> str:
    from imagequeue.config.job import PRIORITIES

    model, _, priority = name.rpartition(".")
    status = await opened.status()
    known = {model for pool in status.pools for model in pool.models} | {queue.model for queue in status.queues}
    if model not in known or priority not in PRIORITIES:
        raise JobRefused("queue", f"{name!r} is unknown; accepted: MODEL.PRIORITY, such as dall-e-3.low")
    return name


def _print(done: list[Done], word: str, *, as_json: bool) -> None:
    from imagequeue.producer.commands.output import print_json, print_line

    if as_json:
        print_json({word: [{"what": what, "changed": changed} for what, changed in done]})
        return
    for what, changed in done:
        print_line(f"{what}: {word}" if changed else f"{what}: was {word} before")
    if not done:
        print_line("no pool is configured")
