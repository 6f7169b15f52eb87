"""The command `demo`: the whole product on this machine in a minute, without a key and without cost."""

import asyncio
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command()(demo)


def demo(
    jobs: Annotated[int, typer.Option(min=1, max=100_000, help="Jobs to queue.")] = 1_000,
    keep_running: Annotated[bool, typer.Option("--keep-running", help="Leave all parts up until Ctrl-C.")] = False,  # noqa: FBT002 - typer makes an option of it
    as_json: Annotated[bool, typer.Option("--json", help="Print only the account, as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Queue jobs at mixed priorities, pace them against a simulated provider, and compare the ledger with its bill.

    Everything runs on this machine in a data dir of its own; nothing is charged and no key is needed. Near the end the
    provider refuses some calls and breaks others. Exit 0 only if the ledger equals the bill and nothing was lost.
    """
    from imagequeue.producer.demo.show import DemoOptions, show

    try:
        code = asyncio.run(show(DemoOptions(jobs=jobs, keep_running=keep_running, as_json=as_json)))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    raise typer.Exit(code)
