"""The command `ledger caps`: every configured cap, its used share, and the warnings that it gave."""

from typing import TYPE_CHECKING

from imagequeue.producer.commands.ledger_options import AsJson, run

if TYPE_CHECKING:
    from imagequeue.ledger.cap_report import CapStatus

KINDS = {
    "org_month": "organization, month",
    "tenant_day": "tenant, day",
    "tenant_month": "tenant, month",
    "tenant_total": "tenant, for ever",
    "job": "job",
}


def caps(
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Show every cap: limit, what is settled, held and in doubt under it, and warnings at 50, 80 and 100 %."""
    from imagequeue.config.settings import load_settings
    from imagequeue.producer.caps import configured_caps
    from imagequeue.producer.commands.output import print_json

    configured = configured_caps(load_settings())
    found = run(lambda ledger: ledger.caps(configured))
    if as_json:
        print_json([one.as_json() for one in found])
    else:
        print_caps(found)


def print_caps(found: "tuple[CapStatus, ...]") -> None:
    """Print one line for each cap."""
    from imagequeue.producer.commands.output import print_line, print_table
    from imagequeue.producer.commands.words import dollars, moment

    if not found:
        print_line("no caps are configured: monthly_cap_usd of an organization, IMAGEQUEUE_TENANT_CAPS")
        return
    rows = [
        (
            KINDS[one.cap.kind],
            one.cap.name,
            dollars(one.cap.limit_nano),
            dollars(one.used_nano),
            f"{one.used_share:.1%}",
            "-" if one.starts_anew is None else moment(one.starts_anew),
            ", ".join(f"{warning.percent} % since {moment(warning.at)}" for warning in one.warnings) or "-",
        )
        for one in found
    ]
    columns = ("cap", "of", "limit $", "used $", "share", "starts anew", "warnings")
    print_table(columns, rows, right=("limit $", "used $", "share"))
