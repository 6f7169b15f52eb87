"""The commands `ledger summary|export|audit|reconcile|resolve`: what was spent, its proof, and its corrections."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imagequeue.config.errors import ImageQueueError, JobRefused, NotFound
from imagequeue.producer.commands.ledger_caps import cap_commands
from imagequeue.producer.commands.ledger_credits import credit_commands
from imagequeue.producer.commands.ledger_options import AsJson, Since, Until, run, span_options
from imagequeue.producer.commands.ledger_retain import retain
from imagequeue.producer.commands.ledger_statement import statement

if TYPE_CHECKING:
    from imagequeue.ledger.ledger import Ledger
    from imagequeue.ledger.reconciling import DayReport


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    ledger = typer.Typer(no_args_is_help=True, help="What was spent, its proof, and its corrections.")
    ledger.command("summary")(summary)
    ledger.command("export")(export)
    ledger.command("audit")(audit)
    ledger.command("reconcile")(reconcile)
    ledger.command("resolve")(resolve)
    ledger.command("statement")(statement)
    ledger.command("retain")(retain)
    ledger.add_typer(cap_commands(), name="caps")
    ledger.add_typer(credit_commands(), name="credits")
    app.add_typer(ledger, name="ledger")


def summary(
    group_by: Annotated[
        str, typer.Option(help="model, org, tenant, priority, day, intent, tag:KEY; several with commas.")
    ] = "",
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Show what was settled, is held, in doubt or voided, what the cache saved, and the cost of an image."""
    from imagequeue.producer.commands.ledger_view import print_summary
    from imagequeue.producer.commands.output import print_json

    names = [name.strip() for name in group_by.split(",") if name.strip()]
    after, before = span_options(since, until)
    found = run(lambda ledger: ledger.summary(names, after, before))
    if as_json:
        print_json(found.as_json())
    else:
        print_summary(found, names)


def export(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write here, not to the terminal.")] = None,
    kind: Annotated[str, typer.Option("--format", help="csv, jsonl or parquet.")] = "csv",
    entries: Annotated[bool, typer.Option("--entries", help="The double entries instead of the attempts.")] = False,  # noqa: FBT002 - typer makes an option of it
    since: Since = None,
    until: Until = None,
) -> None:
    """Write every attempt, or every double entry, as CSV, JSON lines or Parquet."""
    from imagequeue.producer.commands.ledger_export import FORMATS, export_to

    if kind not in FORMATS:
        raise JobRefused("format", f"one of {', '.join(FORMATS)}")
    after, before = span_options(since, until)
    rows = run(lambda ledger: ledger.read(export_to(output, kind, entries=entries, since=after, until=before)))
    if output is not None:
        typer.echo(f"{rows} rows in {output}", err=True)


def audit(
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Prove that the books are right, or name the first breach and exit 1."""
    from imagequeue.producer.commands.ledger_options import tell_audit
    from imagequeue.producer.commands.ledger_view import print_audit
    from imagequeue.producer.commands.output import print_json

    report = run(lambda ledger: ledger.audit())
    tell_audit(breach=report.breach is not None)
    if as_json:
        print_json(report.as_json())
    else:
        print_audit(report)
    report.raise_for_breach()


def reconcile(
    org: Annotated[str, typer.Option(help="The organization; it needs an admin_key.")],
    day: Annotated[str, typer.Option(help="The UTC day, e.g. 2026-11-22; today's is compared as far as it is known.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare, and book nothing.")] = False,  # noqa: FBT002 - typer makes an option of it
    correct: Annotated[
        str | None, typer.Option(metavar="REASON", help="Book the unexplained rest too, for this reason.")
    ] = None,
    early: Annotated[bool, typer.Option("--early", help="What is not yet on the bill stays in doubt.")] = False,  # noqa: FBT002 - typer makes an option of it
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Compare a day with the provider's bill, resolve what was in doubt, and show the unexplained rest.

    Running it again over the same bill changes nothing. The bill of a day that is not over still grows, so that what is
    not on it decides nothing.
    """
    from imagequeue.config.settings import load_settings
    from imagequeue.ledger.provider_reports import fetch_bill
    from imagequeue.ledger.reconciliations import note_done
    from imagequeue.ledger.reconciling import is_over, reconcile_day
    from imagequeue.producer.commands.ledger_view import print_reconciliation
    from imagequeue.producer.commands.output import print_json

    orgs = load_settings().orgs
    chosen = next((one for one in orgs if one.name == org), None)
    if chosen is None:
        raise NotFound(f"org: {org} is not configured")
    checked = _begun(day)
    over = is_over(checked, datetime.now(UTC))
    if correct and not over:
        raise JobRefused("correct", f"{checked} is not over in UTC, its bill still grows; correct it after its end")

    async def work(ledger: "Ledger") -> "DayReport":
        report = await reconcile_day(
            ledger,
            chosen,
            checked,
            lambda one, of: fetch_bill(one, of, orgs=orgs),
            complete=over and not early,
            correct=correct,
            dry_run=dry_run,
        )
        if over and not dry_run:
            await note_done(ledger, report)
        return report

    report = run(work)
    if as_json:
        print_json(report.as_json())
    else:
        print_reconciliation(report.as_json())
    if not over:
        typer.echo(f"{checked} is not over in UTC: some of its calls may not be on the bill yet", err=True)
    if report.warning:
        raise ImageQueueError(f"nothing was booked: {report.warning}")


def resolve(
    attempt: Annotated[int | None, typer.Argument(help="The attempt; without it, those in doubt are listed.")] = None,
    billed_usd: Annotated[str | None, typer.Option(help="It was billed at this amount of dollars.")] = None,
    billed: Annotated[bool, typer.Option("--billed", help="It was billed at the whole amount that is held.")] = False,  # noqa: FBT002 - typer makes an option of it
    not_billed: Annotated[bool, typer.Option("--not-billed", help="It was not billed.")] = False,  # noqa: FBT002 - typer makes an option of it
    reason: Annotated[str, typer.Option(help="How you know; kept with the attempt.")] = "",
    by: Annotated[str | None, typer.Option(help="Who decides; the user who runs the command unless given.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Decide an attempt that was sent and never answered, or list those that wait for a decision."""
    from imagequeue.producer.commands.ledger_reconcile import decide
    from imagequeue.producer.commands.ledger_view import print_in_doubt
    from imagequeue.producer.commands.output import print_json

    if attempt is not None:
        run(decide(attempt, billed_usd, billed=billed, not_billed=not_billed, reason=reason, by=by))
        typer.echo(f"attempt {attempt} is reconciled", err=True)
        return
    waiting = run(lambda ledger: ledger.in_doubt())
    if as_json:
        print_json(waiting)
    else:
        print_in_doubt(waiting)


def _begun(value: str) -> str:
    try:
        day = date.fromisoformat(value)
    except ValueError as error:
        raise JobRefused("day", "a UTC day such as 2026-11-22") from error
    if day > datetime.now(UTC).date():
        raise JobRefused("day", f"{day} has not begun in UTC")
    return day.isoformat()
