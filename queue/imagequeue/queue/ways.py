"""Which other models may serve a queued job while its own pools do not, as the claim script reads it. Pure."""

from imagequeue.config.admission import tokens_of
from imagequeue.config.catalog import Catalog, adapt_job
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import Job


def ways_out(job: Job, catalog: Catalog) -> str:
    """Return the models of a job's overflow that take it, in order, each with what a call counts in tokens.

    The words are those of `iq_overflow` in place.lua: `model tokens,model tokens`. A job that may go into a batch is in
    no hurry and has none.
    """
    if not job.overflow or job.delivery != "now":
        return ""
    return ",".join(f"{each.model} {tokens_of(each, catalog)}" for each in worded(job, catalog))


def worded(job: Job, catalog: Catalog) -> list[Job]:
    """Return a job as it would be asked of each model of its overflow, in order, without those that cannot take it."""
    found = []
    for name in job.overflow:
        try:
            found.append(adapt_job(job, catalog.model(name)))
        except JobRefused:
            continue
    return found
