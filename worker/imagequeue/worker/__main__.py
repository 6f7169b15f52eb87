"""One engine as a process of its own: `python -m imagequeue.worker`, what the supervisor starts."""

import typer

from imagequeue.worker.commands import register

if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    register(app)
    app()
