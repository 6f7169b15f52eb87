"""The commands `up` and `down`: all parts of the product on this machine, started and ended together."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Final

import typer

from imagequeue.config.errors import ImageQueueError
from imagequeue.producer.commands.output import print_json, print_line
from imagequeue.producer.registry import installed_parts
from imagequeue.producer.running import UP, Running, registered, run_folder, stop, who_runs, write_process_id
from imagequeue.producer.supervisor import Part, Supervisor

WORKERS_MAX: Final = 64
GRACE_SECONDS: Final = 5.0  # beyond a worker's own drain, for what it writes down after its last call


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(up)
    app.command()(down)


def up(
    workers: Annotated[int, typer.Option(min=1, max=WORKERS_MAX, help="Worker processes to start.")] = 1,
    host: Annotated[str, typer.Option(help="Address of the door; off loopback, keys are needed.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the door; 0 takes a free one.")] = 8080,
) -> None:
    """Run everything on this machine with the configured organizations. Ctrl-C finishes what is in flight."""
    from imagequeue.config.settings import load_settings

    settings = load_settings()
    door = ("--host", host, "--port", str(port))
    parts = parts_of({part.name for part in installed_parts()}, workers=workers, door=door)
    folder = run_folder(settings.data_dir)
    _refuse_if_up(who_runs(folder))
    with registered(folder, UP) as lock:
        write_process_id(lock, os.getpid())
        if settings.redis_url is None:
            _start_embedded(settings.data_dir)
        print_line(f"up: {', '.join(part.name for part in parts)} on {settings.data_dir}; Ctrl-C ends it")
        code = asyncio.run(_supervise(folder, parts, settings.drain_seconds + GRACE_SECONDS))
    raise typer.Exit(code)


def down(
    now: Annotated[bool, typer.Option("--now", help="Kill at once instead of finishing what is in flight.")] = False,  # noqa: FBT002 - typer makes an option of it
    as_json: Annotated[bool, typer.Option("--json", help="Print what was ended as JSON.")] = False,  # noqa: FBT002
) -> None:
    """End what `up` or another command left running on this data dir: workers first, then the embedded server."""
    from imagequeue.config.embedded import stop_server
    from imagequeue.config.settings import load_settings

    settings = load_settings(keys_needed=False)
    # `up` may use all of its own time to drain before it kills, and needs a moment to end
    drain_seconds = 0.0 if now else settings.drain_seconds + 2 * GRACE_SECONDS
    ended = [running.name for running in stop(run_folder(settings.data_dir), drain_seconds=drain_seconds)]
    if stop_server(settings.data_dir):
        ended.append("embedded server")
    if as_json:
        print_json({"ended": ended})
    else:
        print_line(f"ended: {', '.join(ended)}" if ended else f"nothing runs on {settings.data_dir}")


def parts_of(commands: set[str], *, workers: int, door: tuple[str, ...] = ()) -> tuple[Part, ...]:
    """Return the parts to run, given which commands are installed; ImageQueueError when there is none.

    `door`: options of the command `api`.
    """
    parts = [Part(name="api", arguments=("api", *door))] if "api" in commands else []
    if "worker" in commands:
        parts += [Part(name=f"worker-{number}", arguments=("worker",)) for number in range(1, workers + 1)]
    if not parts:
        raise ImageQueueError("neither `worker` nor `api` is installed, so there is nothing to run")
    return tuple(parts)


def _refuse_if_up(running: list[Running]) -> None:
    if running:
        names = ", ".join(f"{one.name} (process {one.process_id})" for one in running)
        raise ImageQueueError(f"up already: {names}; `imagequeue down` ends it")


def _start_embedded(data_dir: Path) -> None:
    from imagequeue.config.embedded import ensure_server

    ensure_server(data_dir)
    print_line(f"embedded server: running in {data_dir / 'server'}")


async def _supervise(folder: Path, parts: tuple[Part, ...], drain_seconds: float) -> int:
    return await Supervisor(folder=folder, drain_seconds=drain_seconds, write=print_line).run(parts)
