"""The commands `webhooks list|show|redeliver|enable|disable|secret`: who is told of ended jobs, and what arrived."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final, TypeVar, get_args

import typer

from imagequeue.config.clock import SystemClock
from imagequeue.config.errors import JobRefused, NotFound

if TYPE_CHECKING:
    from imagequeue.ledger.outbox import OutboxQuery, WebhookMessage
    from imagequeue.producer.open_queue import OpenQueue

Answer = TypeVar("Answer")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The endpoint's name in the configuration.")]

MESSAGE_PREFIX: Final = "msg_"


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    webhooks = typer.Typer(no_args_is_help=True, help="Webhook endpoints, and messages that did not arrive.")
    webhooks.command("list")(list_messages)
    webhooks.command("show")(show)
    webhooks.command("redeliver")(redeliver)
    webhooks.command("enable")(enable)
    webhooks.command("disable")(disable)
    webhooks.command("secret")(secret)
    app.add_typer(webhooks, name="webhooks")


def list_messages(
    endpoint: Annotated[str | None, typer.Option(help="Only messages to this endpoint.")] = None,
    state: Annotated[str | None, typer.Option(help="waiting, retrying, delivered or given_up.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only about this tenant's jobs.")] = None,
    job: Annotated[str | None, typer.Option(help="Only about this job.")] = None,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="Most messages to show.")] = 50,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Show the endpoints with how they do, and messages, newest first."""
    from imagequeue.producer.commands.output import print_json
    from imagequeue.producer.commands.webhooks_view import message_json, print_overview
    from imagequeue.queue.webhook_health import read_webhook_health

    async def look(queue: "OpenQueue") -> None:
        query = _query(queue, endpoint=endpoint, state=state, tenant=tenant, job=job, limit=limit)
        ledger = await queue.ledger()
        health = await read_webhook_health(queue.scripts, ledger, queue.settings.webhooks)
        found = await ledger.webhooks(query) if limit else ()
        if as_json:
            print_json({**health.as_json(), "messages": [message_json(one) for one in found]})
        else:
            print_overview(health, found)

    _run(look)


def show(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="One or more message ids, msg_...")],
    as_json: AsJson = False,  # noqa: FBT002 - as above
) -> None:
    """Show messages with what they say."""
    from imagequeue.producer.commands.output import print_json
    from imagequeue.producer.commands.webhooks_view import message_json, print_message

    async def look(queue: "OpenQueue") -> None:
        found = await _named(queue, ids)
        if as_json:
            documents = [message_json(one, with_payload=True) for one in found]
            print_json(documents[0] if len(ids) == 1 else {"messages": documents})
        else:
            for one in found:
                print_message(one)

    _run(look)


def redeliver(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Message ids, msg_...")] = None,
    given_up: Annotated[bool, typer.Option("--given-up", help="All that were given up, up to 1000.")] = False,  # noqa: FBT002
    endpoint: Annotated[str | None, typer.Option(help="With --given-up: only those to this endpoint.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - as above
) -> None:
    """Send messages again, under the same ids, with all their tries anew."""
    from imagequeue.ledger.outbox import MESSAGES_MAX
    from imagequeue.producer.commands.output import print_json, print_line
    from imagequeue.producer.commands.words import counted

    if bool(ids) == given_up:
        raise typer.BadParameter("message ids or --given-up are needed")

    async def send(queue: "OpenQueue") -> None:
        ledger = await queue.ledger()
        if ids:
            found = await _named(queue, ids)
        else:
            found = await ledger.webhooks(_query(queue, endpoint=endpoint, state="given_up", limit=MESSAGES_MAX))
        due = await ledger.redeliver_webhooks(one.webhook_id for one in found)
        if as_json:
            print_json({"due": due, "ids": [f"{MESSAGE_PREFIX}{one.webhook_id}" for one in found]})
        else:
            print_line(f"due again: {counted(due, 'message')}; a running worker sends them")

    _run(send)


def enable(name: Name, as_json: AsJson = False) -> None:  # noqa: FBT002 - as above
    """Send to an endpoint again; what was given up meanwhile goes with `redeliver --given-up`."""
    from imagequeue.queue import endpoints

    async def switch(queue: "OpenQueue") -> None:
        await endpoints.enable(queue.scripts, _known(queue, name))
        _switched(name, disabled=False, as_json=as_json)

    _run(switch)


def disable(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; shown with every message that is given up for it.")] = "by hand",
    as_json: AsJson = False,  # noqa: FBT002 - as above
) -> None:
    """Send nothing more to an endpoint until it is enabled; its messages are given up as they come due."""
    from imagequeue.queue import endpoints

    async def switch(queue: "OpenQueue") -> None:
        await endpoints.disable(queue.scripts, _known(queue, name), SystemClock().now(), reason)
        _switched(name, disabled=True, as_json=as_json)

    _run(switch)


def secret(as_json: AsJson = False) -> None:  # noqa: FBT002 - as above
    """Make a secret for one endpoint; it is kept nowhere."""
    from imagequeue.config.webhooks import new_secret
    from imagequeue.producer.commands.output import print_json

    made = new_secret()
    if as_json:
        print_json({"secret": made})
    else:
        typer.echo(made)


def _switched(name: str, *, disabled: bool, as_json: bool) -> None:
    from imagequeue.producer.commands.output import print_json, print_line

    if as_json:
        print_json({"name": name, "disabled": disabled})
    else:
        print_line(f"{name}: {'disabled' if disabled else 'enabled'}")


def _query(
    queue: "OpenQueue",
    *,
    endpoint: str | None = None,
    state: str | None = None,
    tenant: str | None = None,
    job: str | None = None,
    limit: int,
) -> "OutboxQuery":
    from imagequeue.ledger.outbox import MessageState, OutboxQuery

    if state is not None and state not in get_args(MessageState):
        raise JobRefused("state", f"accepted: {', '.join(get_args(MessageState))}")
    chosen: MessageState | None = state  # type: ignore[assignment]  # checked in the line before
    url = None if endpoint is None else _url(queue, endpoint)
    return OutboxQuery(url_prefix=url, state=chosen, tenant=tenant, job_id=job, limit=limit)


def _url(queue: "OpenQueue", name: str) -> str:
    _known(queue, name)
    return next(endpoint.url for endpoint in queue.settings.webhooks if endpoint.name == name)


def _known(queue: "OpenQueue", name: str) -> str:
    names = [endpoint.name for endpoint in queue.settings.webhooks]
    if name not in names:
        raise NotFound(f"endpoint {name}: there is none of this name; configured: {', '.join(names) or 'none'}")
    return name


async def _named(queue: "OpenQueue", ids: list[str]) -> "tuple[WebhookMessage, ...]":
    from imagequeue.ledger.outbox import OutboxQuery

    numbers = [_number(message_id) for message_id in ids]
    query = OutboxQuery(webhook_ids=tuple(numbers), limit=len(numbers))
    found = {one.webhook_id: one for one in await (await queue.ledger()).webhooks(query)}
    for message_id, number in zip(ids, numbers, strict=True):
        if number not in found:
            raise NotFound(f"message {message_id}: there is none of this id")
    return tuple(found[number] for number in numbers)


def _number(message_id: str) -> int:
    digits = message_id.removeprefix(MESSAGE_PREFIX)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise JobRefused("id", f"a message id is {MESSAGE_PREFIX} and a number")
    return int(digits)


def _run(work: "Callable[[OpenQueue], Awaitable[Answer]]") -> Answer:
    from imagequeue.config.settings import load_settings
    from imagequeue.producer.open_queue import opened_queue

    async def opened() -> Answer:
        async with opened_queue(load_settings(keys_needed=False)) as queue:
            return await work(queue)

    return asyncio.run(opened())
