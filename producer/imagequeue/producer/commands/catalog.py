"""The command `catalog`: what is known of each model and tier, with source and date, and what is about to end."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("catalog")(catalog)


def catalog(
    model: Annotated[list[str] | None, typer.Option(help="Only this model, with every figure; repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Show models, tiers and prices with their sources and dates, and what is retired or about to be."""
    from imagequeue.config.catalog import catalog_rows, load_catalog
    from imagequeue.config.clock import SystemClock
    from imagequeue.config.settings import load_settings
    from imagequeue.producer.commands.catalog_json import document
    from imagequeue.producer.commands.catalog_view import show_all, show_models
    from imagequeue.producer.commands.output import print_json

    known = load_catalog(load_settings(keys_needed=False).catalog)
    today = SystemClock().now().date()
    rows = catalog_rows(known, today, model or ())
    if as_json:
        print_json(document(known, rows, today))
    elif model:
        show_models(known, rows)
    else:
        show_all(known, rows, today)
