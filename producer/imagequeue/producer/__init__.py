"""What apps import: `from imagequeue.producer import ImageQueue, AsyncImageQueue`. Loaded when first used."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagequeue.config.job import Job
    from imagequeue.producer.client import AsyncImageQueue, JobHandle
    from imagequeue.producer.http_client import AsyncHttpImageQueue
    from imagequeue.producer.promptcheck.check import check_prompt
    from imagequeue.producer.promptcheck.finding import PromptFinding
    from imagequeue.producer.sync_client import ImageQueue
    from imagequeue.queue.listing import JobQuery
    from imagequeue.queue.views import JobView

__all__ = [
    "AsyncHttpImageQueue",
    "AsyncImageQueue",
    "ImageQueue",
    "Job",
    "JobHandle",
    "JobQuery",
    "JobView",
    "PromptFinding",
    "check_prompt",
]

_HOME = {
    "AsyncHttpImageQueue": "imagequeue.producer.http_client",
    "AsyncImageQueue": "imagequeue.producer.client",
    "ImageQueue": "imagequeue.producer.sync_client",
    "Job": "imagequeue.config.job",
    "JobHandle": "imagequeue.producer.client",
    "JobQuery": "imagequeue.queue.listing",
    "JobView": "imagequeue.queue.views",
    "PromptFinding": "imagequeue.producer.promptcheck.finding",
    "check_prompt": "imagequeue.producer.promptcheck.check",
}


def __getattr__(name: str) -> object:
    """Return a name of this package from the module where it lives; the commands start faster for it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
