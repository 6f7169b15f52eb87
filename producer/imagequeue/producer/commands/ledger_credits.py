"""The commands `ledger credits grant|purchase|list`: operations that were paid for in advance."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from imagequeue.config.errors import ImageQueueError, JobRefused
from imagequeue.producer.commands.ledger_options import AsJson, known_org, moment_option, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagequeue.ledger.wallet import GrantKind, GrantRow

Org = Annotated[str, typer.Option(help="The organization whose wallet it is.")]
Count = Annotated[int, typer.Option("--credits", min=1, max=1_000_000, help="How many credits.")]
Expires = Annotated[str | None, typer.Option(help="Before this day or moment (UTC) they must be used.")]
FREE_KINDS = ("monthly", "bonus", "grant")


def credit_commands() -> typer.Typer:
    """Return the group of commands."""
    app = typer.Typer(no_args_is_help=True, help="Credits: operations paid for in advance, and free ones.")
    app.command("grant")(grant)
    app.command("purchase")(purchase)
    app.command("list")(listed)
    return app


def grant(
    org: Org,
    count: Count,
    kind: Annotated[str, typer.Option(help="monthly, bonus or grant.")] = "grant",
    expires: Expires = None,
    source: Annotated[str | None, typer.Option(help="What they are for; the same one is booked once.")] = None,
) -> None:
    """Add free credits. Monthly ones expire when the month ends, and are added once a month, unless told otherwise."""
    from imagequeue.ledger.moments import start_of_next_month

    if kind not in FREE_KINDS:
        raise JobRefused("kind", f"one of {', '.join(FREE_KINDS)}")
    if kind == "grant" and source is None:
        raise JobRefused("source", "--source TEXT is needed for a grant, so that it is booked once")
    today = datetime.now(UTC).date().isoformat()
    expires_at = moment_option("expires", expires)
    if kind == "monthly" and expires_at is None:
        expires_at = start_of_next_month(today)
    _book(
        org,
        count,
        0,
        "monthly" if kind == "monthly" else "bonus" if kind == "bonus" else "grant",
        source or (today[:7] if kind == "monthly" else "starting bonus"),
        expires_at,
    )


def purchase(
    org: Org,
    count: Count,
    paid_usd: Annotated[str, typer.Option(help="What was paid for all of them, e.g. 15.")],
    source: Annotated[str, typer.Option(help="The invoice; the same one is booked once.")],
    expires: Expires = None,
) -> None:
    """Add credits that were bought; a call that takes some of them costs what was paid for those."""
    from imagequeue.config.money import parse_usd

    try:
        paid_nano = parse_usd(paid_usd)
    except ValueError as error:
        raise JobRefused("paid_usd", f"an amount of dollars: {error}") from error
    if paid_nano < 0:
        raise JobRefused("paid_usd", "an amount of dollars, 0 or more")
    _book(org, count, paid_nano, "purchase", source, moment_option("expires", expires))


def listed(
    org: Annotated[str | None, typer.Option(help="Only this organization's.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Show every grant and purchase: what is left of it, what that is worth, until when; the next to be used first."""
    from imagequeue.producer.commands.output import print_json

    found = run(lambda ledger: ledger.grants(org))
    if as_json:
        print_json([_as_json(one) for one in found])
    else:
        _print(found)


def _book(org: str, count: int, paid_nano: int, kind: "GrantKind", source: str, expires_at: datetime | None) -> None:
    known_org(org)
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise JobRefused("expires", f"a moment to come; {expires_at:%Y-%m-%d} is over")
    added = run(
        lambda ledger: ledger.grant_credits(org, count, paid_nano, kind=kind, source=source, expires_at=expires_at)
    )
    if not added:
        raise ImageQueueError(f"source: {source!r} was booked for {org} before; nothing was added")
    typer.echo(f"{count} credits added to {org}", err=True)


def _as_json(one: "GrantRow") -> dict[str, object]:
    from imagequeue.config.clock import iso
    from imagequeue.config.money import format_usd

    return {
        "org": one.org,
        "kind": one.kind,
        "source": one.source,
        "credits": one.credits,
        "credits_left": one.credits_left,
        "paid_usd": format_usd(one.paid_nano),
        "worth_left_usd": format_usd(one.paid_left_nano),
        "granted_at": iso(one.granted_at),
        "expires_at": None if one.expires_at is None else iso(one.expires_at),
        "expired": _expired(one),
    }


def _expired(one: "GrantRow") -> bool:
    return one.expires_at is not None and one.expires_at <= datetime.now(UTC)


def _print(found: "Sequence[GrantRow]") -> None:
    from imagequeue.producer.commands.output import print_line, print_table
    from imagequeue.producer.commands.words import dollars, figure, moment

    rows = [
        (
            one.org,
            one.kind,
            one.source,
            figure(one.credits_left),
            figure(one.credits),
            dollars(one.paid_nano),
            dollars(one.paid_left_nano),
            "never" if one.expires_at is None else moment(one.expires_at) + (" (over)" if _expired(one) else ""),
        )
        for one in found
    ]
    if not rows:
        print_line("no credits were granted or bought")
        return
    columns = ("org", "kind", "source", "left", "of", "paid $", "left $", "expires")
    print_table(columns, rows, right=("left", "of", "paid $", "left $"))
