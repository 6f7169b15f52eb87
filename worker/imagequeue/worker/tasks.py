"""The function that a queued job names. It is a name in an allow-list, not code that is run."""

from imagequeue.config.errors import ImageQueueError


def image_job(job: object) -> None:
    """Refuse to run in a stock RQ worker, which would neither keep the pace nor book the cost."""
    raise ImageQueueError("image jobs are run by `imagequeue worker`; this is a stock RQ worker")
