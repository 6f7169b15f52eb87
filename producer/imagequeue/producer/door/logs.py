"""The door's log lines, and those of the web server under it."""

import logging

from imagequeue.config.logs import set_up_logs as write_lines


def set_up_logs(level: str) -> None:
    """Write log lines of at least `level`; uvicorn's own from warnings on."""
    write_lines(level)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
