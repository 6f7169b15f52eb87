"""Whether a job is called at once or goes into a batch at a lower price. Pure.

`batch` always goes into a batch. `auto` does so when nobody is in a hurry: its priority is `low`, and it has no
deadline or one that a batch, which may take a day, is sure to meet.
"""

from datetime import datetime, timedelta
from typing import Final, Literal

from imagequeue.config.catalog.records import Model
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import Job

BATCH_WINDOW: Final = timedelta(hours=24)
"""How long the provider takes at most; the only window it offers."""
AUTO_DEADLINE: Final = timedelta(hours=26)
"""How far off the deadline of an `auto` job must be: the window, and time to gather and to store."""

Delivered = Literal["now", "batch"]


def delivered_as(job: Job, model: Model, *, priority: str, now: datetime) -> Delivered:
    """Return how a job is delivered when it is its turn."""
    if job.delivery == "now" or not can_batch(job, model):
        return "now"
    if job.delivery == "batch":
        return "batch"
    unhurried = job.deadline is None or job.deadline - now >= AUTO_DEADLINE
    return "batch" if priority == "low" and unhurried else "now"


def can_batch(job: Job, model: Model) -> bool:
    """Whether a job's call can be a line of a batch."""
    return model.batch_percent is not None and job.operation == "generation" and not job.partial_images


def check_delivery(job: Job, model: Model) -> None:
    """JobRefused when a job asks for a batch that it cannot be in."""
    if job.delivery != "batch" or can_batch(job, model):
        return
    if model.batch_percent is None:
        raise JobRefused("delivery", f"{model.name} is not offered in batches; accepted: now, auto")
    what = "partial images are" if job.partial_images else f"operation {job.operation} is"
    raise JobRefused("delivery", f"{what} not possible in batches; accepted: now, auto")
