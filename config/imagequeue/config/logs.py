"""Log lines: one event with fields on stderr, readable on a terminal and JSON otherwise. No prompts, no keys."""

import io
import json
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TextIO, cast

import structlog
from pydantic_core import to_json

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Lines(io.TextIOBase):
    """A stream on which a line that cannot be written is lost: no job waits for who reads, or for room on a disk."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        """Write the text if that is possible."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Let go of what was written."""
        with suppress(OSError):
            self._stream.flush()


def set_up_logs(level: str) -> None:
    """Write log lines of at least `level`."""
    terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        # Where rich is installed, its tracebacks would show the values of variables: prompts, and keys in headers.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if terminal
        else structlog.processors.JSONRenderer(serializer=_line)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if terminal else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", Lines(sys.stderr))),
    )


def _line(event: Mapping[str, object], default: Callable[[object], object]) -> str:
    """The event as JSON; text that is not Unicode, as a foreign error may have, by the slower way that can write it."""
    try:
        return to_json(event, fallback=default).decode()
    except ValueError:
        return json.dumps(event, default=default)
