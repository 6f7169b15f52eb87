"""`imagequeue worker`: pulls jobs and runs them."""

import signal
from typing import Annotated, NoReturn

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def worker(
        processes: Annotated[int, typer.Option(min=1, max=64, help="How many engines to run, one process each.")] = 1,
        max_in_flight: Annotated[
            int | None, typer.Option(min=1, help="Most calls in flight in one process; default from the configuration.")
        ] = None,
        queues: Annotated[
            list[str] | None, typer.Option(help="Serve only these queues, e.g. dall-e-3.high; may be repeated.")
        ] = None,
        burst: Annotated[bool, typer.Option("--burst", help="End when nothing is queued, delayed or leased.")] = False,  # noqa: FBT002 - typer's way to say a flag
    ) -> None:
        """Pull jobs at the steady pace the tiers allow, call the image API, store images, write costs to the ledger."""
        signal.signal(signal.SIGTERM, _leave)  # until the engine hears signals itself: nothing is held yet
        from imagequeue.config.logs import set_up_logs
        from imagequeue.config.settings import load_settings
        from imagequeue.worker.main import WorkerOptions, run_worker
        from imagequeue.worker.supervisor import supervise

        settings = load_settings()
        set_up_logs(settings.log_level)
        options = WorkerOptions(max_in_flight=max_in_flight, queues=tuple(queues or ()), burst=burst)
        if processes == 1:
            run_worker(settings, options)
        else:
            supervise(processes, options)


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(0)
