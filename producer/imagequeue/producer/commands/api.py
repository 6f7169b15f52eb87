"""The command `api`: the HTTP door."""

from typing import Annotated

import typer

from imagequeue.producer.commands.output import print_line


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(api)


def api(
    host: Annotated[str, typer.Option(help="Address to listen on; off loopback, keys are needed.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = 8080,
) -> None:
    """Serve the HTTP door: jobs, images, the image API's own contract, metrics and the dashboard."""
    from imagequeue.config.settings import load_settings
    from imagequeue.producer.door.logs import set_up_logs
    from imagequeue.producer.door.main import run_door

    settings = load_settings(keys_needed=False)
    set_up_logs(settings.log_level)
    run_door(settings, host=host, port=port, on_ready=lambda url: print_line(f"api: {url}"))
