"""One engine as a process of its own: `python -m imagequeue.worker`, what the supervisor starts."""

import typer

from imagequeue.worker.commands import register
from imagequeue.worker.orphaned import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    app = typer.Typer(add_completion=False)
    register(app)
    app()
