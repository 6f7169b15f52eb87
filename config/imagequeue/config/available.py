"""What a job may ask for that this version cannot do yet: refused by name, never ignored."""

from collections.abc import Iterator

from imagequeue.config.errors import JobRefused
from imagequeue.config.job import Job


def refuse_unavailable(job: Job) -> None:
    """JobRefused names the first field whose value this version does not carry out."""
    for field in _unavailable(job):
        raise JobRefused(field, "not available in this version")


def _unavailable(job: Job) -> Iterator[str]:
    if job.delivery == "batch":
        yield "delivery"
