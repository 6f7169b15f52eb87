"""A file of jobs, one JSON object a line: checked whole before any of it is queued, in bounded memory.

The lines are copied as they are checked, so that what is queued is what was checked, also from a pipe.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Final, Protocol, Self

from imagequeue.config.errors import JobRefused
from imagequeue.config.job import JOB_BYTES_MAX, Job, parse_job_json
from imagequeue.queue.entries import Entry

JOBS_MAX: Final = 10_000_000
LINES_MAX: Final = 2 * JOBS_MAX  # blank ones are skipped
KEPT_MAX: Final = 20_000
"""Entries kept in memory, about 3 kB each; later lines are read a second time instead."""
SPOOL_BYTES_MAX: Final = 4 * 1024 * 1024
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

MakeEntry = Callable[[Job], Entry]
Told = Callable[[int], None]
"""Told how many jobs have been checked so far."""


class LineInputs(Protocol):
    """Takes in the input images that lines name."""

    def prepare(self, text: bytes) -> bytes:
        """Return a line with references in the place of files and data URLs."""
        ...

    def approve(self, job: Job) -> None:
        """JobRefused when an image that a job names cannot be used for it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Line:
    """One job of the file: the number of its line, from 1, and its entry."""

    number: int
    entry: Entry


class JobFile:
    """The checked jobs of a file; `with` gives its temporary copy back."""

    def __init__(self, make_entry: MakeEntry, inputs: LineInputs | None = None) -> None:
        self._make_entry = make_entry
        self._inputs = inputs
        self._kept: list[Line] = []
        self._spool: IO[bytes] = SpooledTemporaryFile(max_size=SPOOL_BYTES_MAX)  # noqa: SIM115 - closed by __exit__
        self._seen: dict[str, tuple[str, int]] = {}
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def check(self, source: IO[bytes], told: Told) -> None:
        """Check every line; JobRefused names the first bad line by its number, and the field."""
        for number, given in _lines(source):
            text, line = self._checked(number, given)
            self._refuse_twice(line)
            self.count += 1
            if self.count > JOBS_MAX:
                raise JobRefused(f"line {number}", f"at most {JOBS_MAX:,} jobs are taken from one file")
            if len(self._kept) < KEPT_MAX:
                self._kept.append(line)
            else:
                self._spool.write(b"%d %s\n" % (number, text))
            told(self.count)

    def lines(self) -> Iterator[Line]:
        """Give the jobs in order, as often as wanted; ids are those of the first time only for jobs with a key."""
        yield from self._kept
        self._spool.seek(0)
        for copied in self._spool:
            number, _, text = copied.partition(b" ")
            yield self._line(int(number), text)
        self._spool.seek(0, io.SEEK_END)

    def _checked(self, number: int, text: bytes) -> tuple[bytes, Line]:
        """The line as it is queued, its input images taken in, and its entry."""
        if self._inputs is None:
            return text, self._line(number, text)
        with _of_line(number):
            prepared = self._inputs.prepare(text)
        line = self._line(number, prepared)
        with _of_line(number):
            self._inputs.approve(line.entry.job)
        return prepared, line

    def _line(self, number: int, text: bytes) -> Line:
        with _of_line(number):
            return Line(number=number, entry=self._make_entry(parse_job_json(text)))

    def _refuse_twice(self, line: Line) -> None:
        """Refuse a second line with an idempotency key of the file but another body; the same body is fine."""
        job = line.entry.job
        if job.idempotency_key is None:
            return
        mark = line.entry.fingerprint
        before, first = self._seen.setdefault(line.entry.id, (mark, line.number))
        if before != mark:
            raise JobRefused(f"line {line.number}: idempotency_key", f"line {first} has it too, with another body")


@contextmanager
def _of_line(number: int) -> Iterator[None]:
    """Put the line's number before the field of a refusal."""
    try:
        yield
    except JobRefused as problem:
        raise JobRefused(f"line {number}: {problem.field}", problem.message) from problem


def _lines(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Give the lines that are not blank, with their numbers."""
    for number in range(1, LINES_MAX + 1):
        text = source.readline(JOB_BYTES_MAX + 2)
        if not text:
            return
        if len(text.rstrip(b"\r\n")) > JOB_BYTES_MAX:
            raise JobRefused(f"line {number}", f"at most {JOB_BYTES_MAX} bytes are accepted")
        stripped = (text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text).strip()
        if stripped:
            yield number, stripped
    raise JobRefused("file", f"at most {LINES_MAX:,} lines are read")
