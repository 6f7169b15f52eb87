"""The command `simulate`: the simulated provider alone, for trying things without a key and without cost."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from imagequeue.config.errors import ConfigError
from imagequeue.simulator.config import SimulatorConfig, load_config
from imagequeue.simulator.latency import parse_latency


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("simulate")(simulate)


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")] = 8089,
    host: Annotated[str, typer.Option(help="Address to listen on; keep it on this machine.")] = "127.0.0.1",
    config: Annotated[Path | None, typer.Option(help="JSON file with everything; options beat it.")] = None,
    latency: Annotated[str | None, typer.Option(help="15, uniform:10,20 or lognormal:15,0.4,60 (seconds).")] = None,
    image_bytes: Annotated[int | None, typer.Option(help="Size of each image file, up to 3145728.")] = None,
    render: Annotated[str | None, typer.Option(help="full or fast.")] = None,
    tier: Annotated[str | None, typer.Option(help="Usage tier of every organization.")] = None,
    seed: Annotated[int | None, typer.Option(help="Repeats delays and chances of faults.")] = None,
    bill: Annotated[Path | None, typer.Option(help="JSONL file that the bill is kept in.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ready line as JSON.")] = False,  # noqa: FBT002  # typer makes an option of it
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,  # noqa: FBT002  # typer makes an option of it
) -> None:
    """Run the simulated provider until Ctrl-C: OpenAI's image API, with limits, faults and a bill of its own."""
    from imagequeue.simulator import server

    try:
        told = _told(config, latency, image_bytes, render, tier, seed, bill)
        listener = server.listen(host, port)
        ready = _ready_line(f"http://{host}:{listener.getsockname()[1]}", told, as_json=as_json)
        server.run(told, listener, lambda: typer.echo(ready), until_stdin_closes=until_stdin_closes)
    except (ConfigError, ValueError, OSError) as error:
        typer.echo(f"imagequeue simulate: {error}", err=True)
        raise typer.Exit(2) from error


def _told(
    config: Path | None,
    latency: str | None,
    image_bytes: int | None,
    render: str | None,
    tier: str | None,
    seed: int | None,
    bill: Path | None,
) -> SimulatorConfig:
    base = SimulatorConfig() if config is None else load_config(config.read_bytes())
    changes: dict[str, object] = {
        "latency": None if latency is None else parse_latency(latency),
        "image_bytes": image_bytes,
        "render": render,
        "orgs": None if tier is None else tuple(replace(org, tier=tier) for org in base.orgs),
        "seed": seed,
        "bill_path": bill,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(base, **given)  # type: ignore[arg-type]  # each value has its field's type, as written above


def _ready_line(url: str, config: SimulatorConfig, *, as_json: bool) -> str:
    if not as_json:
        keys = ", ".join(f"{org.name}: {org.api_key} (admin {org.admin_key})" for org in config.orgs)
        return f"simulated provider ready at {url}/v1  keys {keys}"
    orgs = [{"name": org.name, "api_key": org.api_key, "admin_key": org.admin_key} for org in config.orgs]
    return json.dumps({"url": url, "base_url": f"{url}/v1", "orgs": orgs})
