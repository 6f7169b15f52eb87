"""Runs the simulator without the rest of the product: `python -m imagequeue.simulator`."""

import typer

from imagequeue.simulator.commands import simulate

if __name__ == "__main__":
    typer.run(simulate)
