"""The commands `ledger caps` and `ledger caps set`: every cap with its used share, and a new one while workers run."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from imagequeue.config.errors import JobRefused
from imagequeue.producer.commands.ledger_options import AsJson, known_org, run

if TYPE_CHECKING:
    from imagequeue.ledger.cap_report import CapStatus
    from imagequeue.ledger.ledger import Ledger
    from imagequeue.ledger.set_caps import CapState, SetCap, SetKind

KINDS = {
    "org_month": "organization, month",
    "tenant_day": "tenant, day",
    "tenant_month": "tenant, month",
    "tenant_total": "tenant, for ever",
    "job": "job",
}
AMOUNT = "dollars such as 500, `none` for no cap, or `configured` for what the configuration says"
Amount = Annotated[str | None, typer.Option(help=f"The cap: {AMOUNT}.")]


def cap_commands() -> typer.Typer:
    """Return the group of commands; without one of them, every cap is shown."""
    app = typer.Typer(invoke_without_command=True, help="Caps: how far they are used; `set` changes one at once.")
    app.callback()(caps)
    app.command("set")(set_caps)
    return app


def caps(
    context: typer.Context,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Show every cap: limit, what is settled, held and in doubt under it, and warnings at 50, 80 and 100 %."""
    from imagequeue.config.settings import load_settings
    from imagequeue.producer.caps import configured_caps
    from imagequeue.producer.commands.output import print_json

    if context.invoked_subcommand is not None:
        return
    configured = configured_caps(load_settings(keys_needed=False))
    found = run(lambda ledger: ledger.caps(configured))
    if as_json:
        print_json([one.as_json() for one in found])
    else:
        print_caps(found)


def set_caps(
    org: Annotated[str | None, typer.Option(help="The organization; it has a cap of the --month.")] = None,
    tenant: Annotated[str | None, typer.Option(help="The tenant.")] = None,
    day: Amount = None,
    month: Amount = None,
    total: Amount = None,
    reason: Annotated[str, typer.Option(help="Why; kept in the books.")] = "",
    by: Annotated[str | None, typer.Option(help="Who decides; the user who runs the command unless given.")] = None,
) -> None:
    """Set caps over what the configuration says. Running workers keep to them from their next call on.

    Jobs that waited for the old cap go on by themselves. Each setting stands in the books, which `ledger audit` checks.
    """
    from getpass import getuser

    wanted = _wanted(org, tenant, day, month, total, reason, by or getuser())
    changed = run(lambda ledger: _book(ledger, wanted))
    for one, new in zip(wanted, changed, strict=True):
        typer.echo(f"{KINDS[one.kind]}, {one.name}: {_said(one)}{'' if new else ', as before'}", err=True)
    asyncio.run(_look_again(org, tenant))


async def _book(ledger: "Ledger", wanted: "list[SetCap]") -> list[bool]:
    return [await ledger.submit(one) for one in wanted]


async def _look_again(org: str | None, tenant: str | None) -> None:
    """Let jobs go on that wait; they do so within a minute without it."""
    from redis.exceptions import RedisError

    from imagequeue.config.errors import ImageQueueError
    from imagequeue.producer.client import AsyncImageQueue
    from imagequeue.queue.money import look_again

    try:
        async with AsyncImageQueue() as queue:
            await look_again(queue.scripts, org=org, tenant=tenant)
    except (ImageQueueError, RedisError, OSError) as error:
        typer.echo(f"imagequeue: jobs that wait for money go on within a minute: {error}", err=True)


def _wanted(
    org: str | None, tenant: str | None, day: str | None, month: str | None, total: str | None, reason: str, by: str
) -> "list[SetCap]":
    if (org is None) == (tenant is None):
        raise JobRefused("caps", "one of --org and --tenant is needed")
    if org is not None:
        if month is None or day is not None or total is not None:
            raise JobRefused("caps", "an organization has a cap of the --month, and no other")
        return [_cap("month", "org_month", known_org(org), month, reason, by)]
    given = [
        _cap(field, kind, _tenant(str(tenant)), value, reason, by)
        for field, kind, value in _of_tenant(day, month, total)
        if value is not None
    ]
    if not given:
        raise JobRefused("caps", f"--day, --month or --total is needed: {AMOUNT}")
    return given


def _of_tenant(day: str | None, month: str | None, total: str | None) -> "tuple[tuple[str, SetKind, str | None], ...]":
    return ("day", "tenant_day", day), ("month", "tenant_month", month), ("total", "tenant_total", total)


def _cap(field: str, kind: "SetKind", name: str, value: str, reason: str, by: str) -> "SetCap":
    from imagequeue.config.money import parse_usd
    from imagequeue.ledger.set_caps import SetCap

    if value in ("none", "configured"):
        state: CapState = "none" if value == "none" else "configured"
        return SetCap(kind=kind, name=name, state=state, limit_nano=None, by=by, reason=reason)
    try:
        limit_nano = parse_usd(value)
    except ValueError as error:
        raise JobRefused(field, f"{AMOUNT}; {error}") from error
    if limit_nano < 0:
        raise JobRefused(field, AMOUNT)
    return SetCap(kind=kind, name=name, state="limit", limit_nano=limit_nano, by=by, reason=reason)


def _tenant(name: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from imagequeue.config.job import Name

    try:
        return TypeAdapter[str](Name).validate_python(name)
    except ValidationError as error:
        raise JobRefused("tenant", "1 to 64 letters, digits and _ . : @ / - are accepted") from error


def _said(one: "SetCap") -> str:
    from imagequeue.config.money import format_usd

    if one.limit_nano is not None:
        return f"${format_usd(one.limit_nano)}"
    return "no cap" if one.state == "none" else "as configured"


def print_caps(found: "Sequence[CapStatus]") -> None:
    """Print one line for each cap."""
    from imagequeue.producer.commands.output import print_line, print_table
    from imagequeue.producer.commands.words import dollars, moment

    if not found:
        print_line(
            "no caps are configured: monthly_cap_usd of an organization, IMAGEQUEUE_TENANT_CAPS, `ledger caps set`"
        )
        return
    rows = [
        (
            KINDS[one.cap.kind],
            one.cap.name,
            dollars(one.cap.limit_nano),
            dollars(one.settled_nano),
            dollars(one.held_nano),
            dollars(one.in_doubt_nano),
            f"{one.used_share:.1%}",
            "-" if one.starts_anew is None else moment(one.starts_anew),
            ", ".join(f"{warning.percent} % since {moment(warning.at)}" for warning in one.warnings) or "-",
            "configuration" if one.set is None else f"set by {one.set.by}, {moment(one.set.at)}",
        )
        for one in found
    ]
    amounts = ("limit $", "settled $", "held $", "in doubt $", "share")
    print_table(("cap", "of", *amounts, "starts anew", "warnings", "from"), rows, right=amounts)
