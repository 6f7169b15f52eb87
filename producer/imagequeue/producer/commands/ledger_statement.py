"""The command `ledger statement`: a calendar month of one tenant, or of all."""

from typing import TYPE_CHECKING, Annotated, cast

import typer

from imagequeue.producer.commands.ledger_options import AsJson, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imagequeue.ledger.statement import Statement


def statement(
    month: Annotated[str, typer.Option(help="The calendar month in UTC, e.g. 2026-11.")],
    tenant: Annotated[str | None, typer.Option(help="Only this tenant; all together without it.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Show a month: spent before, by model and day, credits used, corrected, in doubt, and spent at its end."""
    from imagequeue.producer.commands.output import print_json

    found = run(lambda ledger: ledger.statement(month, tenant))
    if as_json:
        print_json(found.as_json())
    else:
        print_statement(found)


def print_statement(found: "Statement") -> None:
    """Print the month as a table by model and one by day, between its opening and closing sums."""
    from imagequeue.producer.commands.output import print_line, print_table

    shown = found.as_json()
    opening, closing = (cast("Mapping[str, str]", shown[name]) for name in ("opening", "closing"))
    columns = ("settled_usd", "corrected_usd", "in_doubt_usd", "saved_usd", "images", "kept_images")
    print_line(f"{found.month}, {'all tenants' if found.tenant is None else f'tenant {found.tenant}'} (UTC)")
    print_line(f"spent before the month: ${opening['spent_usd']}")
    for name in ("model", "day"):
        rows = cast("Sequence[Mapping[str, object]]", shown[f"by_{name}"])
        cells = [[str(row[name]) or "-", *(str(row[column]) for column in columns)] for row in rows]
        print_table((name, *(column.replace("_", " ") for column in columns)), cells, right=_words(columns))
    if found.credits.credits:
        print_line(f"of it paid with {found.credits.credits} credits")
    print_line(f"spent at the end of the month: ${closing['spent_usd']}; still in doubt: ${closing['in_doubt_usd']}")


def _words(columns: "Sequence[str]") -> tuple[str, ...]:
    return tuple(column.replace("_", " ") for column in columns)
