"""`imagequeue worker`: pulls jobs and runs them."""

import signal
from collections.abc import Collection, Sequence
from typing import Annotated, NoReturn

import typer

from imagequeue.config.errors import JobRefused


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def worker(
        names: Annotated[list[str] | None, typer.Argument(metavar="QUEUE", help="As --queues.")] = None,
        processes: Annotated[int, typer.Option(min=1, max=64, help="How many engines to run, one process each.")] = 1,
        max_in_flight: Annotated[
            int | None, typer.Option(min=1, help="Most calls in flight in one process; default from the configuration.")
        ] = None,
        queues: Annotated[
            list[str] | None, typer.Option(help="Serve only these queues, e.g. dall-e-3.high; several with commas.")
        ] = None,
        burst: Annotated[bool, typer.Option("--burst", help="End when nothing is queued, delayed or leased.")] = False,  # noqa: FBT002 - typer's way to say a flag
    ) -> None:
        """Pull jobs at the steady pace the tiers allow, call the image API, store images, write costs to the ledger."""
        signal.signal(signal.SIGTERM, _leave)  # until the engine hears signals itself: nothing is held yet
        from imagequeue.config.catalog import load_catalog
        from imagequeue.config.logs import set_up_logs
        from imagequeue.config.settings import load_settings
        from imagequeue.worker.main import WorkerOptions, run_worker
        from imagequeue.worker.supervisor import supervise

        settings = load_settings()
        set_up_logs(settings.log_level)
        only = checked_queues([*(queues or ()), *(names or ())], load_catalog(settings.catalog).models)
        options = WorkerOptions(max_in_flight=max_in_flight, queues=only, burst=burst)
        if processes == 1:
            run_worker(settings, options)
        else:
            supervise(processes, options)


def checked_queues(given: Sequence[str], models: Collection[str]) -> tuple[str, ...]:
    """Return the queues that a command line names; JobRefused for one that no job can stand on."""
    from imagequeue.config.job import PRIORITIES

    names = tuple(name.strip() for each in given for name in each.split(",") if name.strip())
    for name in names:
        model, _, priority = name.rpartition(".")
        if model not in models or priority not in PRIORITIES:
            raise JobRefused("queues", f"{name!r} is unknown; accepted: MODEL.PRIORITY, such as dall-e-3.low")
    return names


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(0)
