"""The command `doctor`: looks at everything that jobs and money depend on, and says what to do."""

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from imagequeue.config.clock import SystemClock
from imagequeue.producer.commands.output import print_json, print_table, printable

if TYPE_CHECKING:
    from imagequeue.producer.checkup.finding import Finding

STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Check configuration, server, ledger, store, keys, models, clocks and limits; exit 1 if something fails."""
    from imagequeue.producer.checkup.checkup import check_everything

    findings = asyncio.run(check_everything(os.environ, SystemClock().now().date()))
    failed = any(finding.status == "fail" for finding in findings)
    if as_json:
        print_json({"ok": not failed, "checks": findings})
    else:
        _print(findings)
    if failed:
        raise typer.Exit(1)


def _print(findings: "Sequence[Finding]") -> None:
    print_table(
        ("", "check", "finding"),
        ((Text(one.status, style=STYLES[one.status]), one.check, _sentence(one)) for one in findings),
    )


def _sentence(finding: "Finding") -> Text:
    says = Text(printable(finding.says))
    return says.append(f" -> {printable(finding.do)}", style="bold") if finding.do else says
