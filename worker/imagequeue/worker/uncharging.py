"""A claimed job that makes no call after all gives back the pace that its claim was charged."""

from imagequeue.config.admission import tokens_of
from imagequeue.config.errors import QueueUnavailable
from imagequeue.queue.ceilings import unit_us
from imagequeue.worker.work import Parts, Work


async def uncharge(parts: Parts, work: Work) -> None:
    """Give back images and tokens of a claim; what is lost with the server is a moment's pace."""
    limits, fraction = work.pool.limits, parts.settings.pace_fraction
    try:
        await work.claims.uncharge(
            work.pool.name,
            images=work.job.n,
            tokens=tokens_of(work.job, parts.catalog),
            image_us=unit_us(limits.images_per_minute, fraction),
            token_us=unit_us(limits.tokens_per_minute, fraction),
        )
    except QueueUnavailable as error:
        parts.health.fails("queue", str(error))
